use std::path::Path;

use ndarray::{Array2, Array3, Axis};
use ndarray_npy::WriteNpyExt;

use super::*;
use crate::attention::softmax;
use crate::rng::{normal, stream};
use crate::task::dump::parse_npy;

const N: usize = 24;

/// Untrained heads under a mask.
fn heads(sharp: f64, count: usize, sees: &dyn Fn(usize, usize) -> bool) -> Array3<f32> {
    let visible = Visible::where_seen(N, N, sees);
    let mut all = Array3::zeros((count, N, N));
    for (head, mut a) in all.axis_iter_mut(Axis(0)).enumerate() {
        let logits = normal(&mut stream(head as u64, "mask"), N, N).mapv(f64::from) * sharp;
        let mut probabilities = Array2::zeros((N, N));
        softmax::within(&mut probabilities, logits.view(), &visible);
        a.assign(&probabilities.mapv(|x| x as f32));
    }
    all
}

fn dump(a: &Array3<f32>) -> Dump {
    let mut bytes = Vec::new();
    a.write_npy(&mut bytes).unwrap();
    parse_npy(Path::new("a"), &bytes, u64::MAX).unwrap()
}

fn masks(a: &Array3<f32>, typed: Option<&str>) -> Result<Masks> {
    let heads: Vec<usize> = (0..a.len_of(Axis(0))).collect();
    Masks::of(&dump(a), &[0], &heads, typed)
}

/// Which kinds of masks there are, with the words for them and the flag that says the same.
type Case = (&'static str, &'static str, Box<dyn Fn(usize, usize) -> bool>);

fn cases() -> Vec<Case> {
    let block = |i: usize| [0, 10, 17].iter().rposition(|start| i >= *start);
    let real = |i: usize| !matches!(i, 7..10 | 14..17 | 21..);
    vec![
        ("causal", "causal", Box::new(|i, j| j <= i)),
        ("full, without keys 18 to 23", "padding:keys=6", Box::new(|_, j| j < 18)),
        ("full, without keys 0 to 5", "padding:keys=6,left=true", Box::new(|_, j| j >= 6)),
        ("full, without queries 18 to 23", "padding:queries=6", Box::new(|i, _| i < 18)),
        (
            "full, without keys 18 to 23, without queries 18 to 23",
            "padding:keys=6,queries=6",
            Box::new(|i, j| i < 18 && j < 18),
        ),
        ("causal, without keys 18 to 23", "causal,padding:keys=6", Box::new(|i, j| j <= i && j < 18)),
        ("window (3 back, 3 ahead)", "window:back=3,ahead=3", Box::new(|i, j| i.abs_diff(j) <= 3)),
        ("causal window (5 back)", "window:back=5,ahead=0", Box::new(|i, j| j <= i && i - j <= 5)),
        (
            "causal window (5 back), without keys 18 to 23",
            "causal,window:back=5,padding:keys=6",
            Box::new(|i, j| j <= i && i - j <= 5 && j < 18),
        ),
        ("3 blocks of 10, 7, 7", "blocks:sizes=10+7+7", Box::new(move |i, j| block(i) == block(j))),
        (
            "3 causal blocks of 10, 7, 7",
            "causal,blocks:sizes=10+7+7",
            Box::new(move |i, j| j <= i && block(i) == block(j)),
        ),
        (
            "3 blocks of 7, 4, 4, without 9 keys from 7 to 23, without 9 queries from 7 to 23",
            "zeros",
            Box::new(move |i, j| real(i) && real(j) && block(i) == block(j)),
        ),
        ("prefix (keys 0 to 7 for all queries, causal after it)", "zeros", Box::new(|i, j| j <= i.max(7))),
    ]
}

#[test]
fn each_kind_of_mask_is_inferred_from_its_zeros_and_can_be_said() {
    for (words, flag, sees) in cases() {
        let a = heads(1.0, 3, &sees);
        for typed in [None, Some("auto"), Some(flag)] {
            let masks = masks(&a, typed).unwrap();
            for head in 0..3 {
                let visible = masks.get(0, head);
                for i in 0..N {
                    let found: Vec<usize> = visible.row(i, N).flatten().collect();
                    let right: Vec<usize> = (0..N).filter(|j| sees(i, *j)).collect();
                    // A query that a window and padding leave without keys sees none, whoever says it.
                    assert_eq!(found, right, "{words}, {typed:?}, row {i}");
                }
            }
            if typed == Some(flag) {
                assert!(masks.note().contains("as --mask says"), "{}", masks.note());
            } else {
                assert!(masks.words.starts_with(words), "{words}: {}", masks.words);
                assert!(masks.note().contains("inferred") && masks.doubt.is_none());
            }
        }
        // One head alone, and heads of different masks in one layer.
        assert!(masks(&a.slice_move(ndarray::s![..1, .., ..]), None).unwrap().words.starts_with(words));
    }
    let mut mixed = heads(1.0, 2, &|i, j| i.abs_diff(j) <= 3);
    mixed.index_axis_mut(Axis(0), 1).assign(&heads(1.0, 1, &|_, _| true).index_axis(Axis(0), 0));
    let words = masks(&mixed, None).unwrap().words;
    assert_eq!(words, "full in 1 of 2 heads; window (3 back, 3 ahead) in 1 of 2 heads");
}

/// Sharp heads in half precision: most probabilities underflow, and are no mask.
#[test]
fn zeros_of_underflow_are_no_mask() {
    let halved = |a: Array3<f32>| a.mapv(|x| half::f16::from_f32(x).to_f32());
    let sharp = halved(heads(8.0, 4, &|_, _| true));
    assert!(sharp.iter().filter(|x| **x == 0.0).count() > 100);
    let found = masks(&sharp, None).unwrap();
    assert_eq!((found.words.as_str(), found.get(0, 0)), ("full", Mask::Full.into()));
    assert!(found.doubt.unwrap().contains("in 4 of 4 heads"));
    let found = masks(&halved(heads(8.0, 4, &|i, j| j <= i)), None).unwrap();
    assert_eq!((found.words.as_str(), found.get(0, 0)), ("causal", Mask::Causal.into()));
    // Padding and windows show through the zeros of several heads.
    let padded = halved(heads(4.0, 8, &|i, j| j < 18 && j <= i));
    assert_eq!(masks(&padded, None).unwrap().words, "causal, without keys 18 to 23");
    let windows = halved(heads(3.0, 12, &|i, j| i.abs_diff(j) <= 4));
    assert_eq!(masks(&windows, None).unwrap().words, "window (4 back, 4 ahead)");
}

/// A sharp head that looks at one place only, and one whose reach ends where a position bias underflows.
#[test]
fn sharp_patterns_of_position_are_no_mask() {
    let shifted = Array3::from_shape_fn((1, N, N), |(_, i, j)| f32::from(j + 1 == i || i + j == 0));
    let found = masks(&shifted, None).unwrap();
    assert_eq!(found.get(0, 0), Mask::Causal.into());
    let identity = Array3::from_shape_fn((1, N, N), |(_, i, j)| f32::from(i == j));
    assert_eq!(masks(&identity, None).unwrap().words, "causal");
    let biased = heads(0.0, 1, &|_, _| true);
    let biased = Array3::from_shape_fn(biased.dim(), |(_, i, j)| (-10.0 * i.abs_diff(j) as f32).exp());
    let biased = &biased / &biased.sum_axis(Axis(2)).insert_axis(Axis(2));
    assert!(biased.iter().any(|x| *x == 0.0));
    let found = masks(&biased, None).unwrap();
    assert_eq!(found.words, "full");
    assert!(found.doubt.is_some());
}

/// Queries all of whose keys are hidden: eager attention leaves uniform rows, which are not compared.
#[test]
fn uniform_rows_of_hidden_queries_are_left_as_they_are() {
    let mut a = heads(1.0, 2, &|i, j| j <= i && j >= 6);
    for mut head in a.outer_iter_mut() {
        head.slice_mut(ndarray::s![..6, ..]).fill(1.0 / N as f32);
    }
    let found = masks(&a, None).unwrap();
    assert_eq!(found.words, "causal, without keys 0 to 5, without queries 0 to 5");
    assert_eq!(found.get(0, 1).row(3, N).count(), 0);
}

#[test]
fn a_mask_that_hides_probabilities_is_refused_with_the_place() {
    let a = heads(1.0, 2, &|_, j| j < 18);
    let said = |typed: &str| masks(&a, Some(typed)).err().unwrap().to_string();
    let causal = said("causal");
    assert!(
        causal.contains("--mask: 'causal'") && causal.contains("layer 0, head 0, row 0, column 1"),
        "{causal}"
    );
    assert!(said("padding:keys=7").contains("column 17"));
    assert!(masks(&a, Some("padding:keys=5")).is_ok());
}
