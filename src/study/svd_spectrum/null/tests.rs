//! Dumped heads that are draws of their own null model must be like other draws, whatever the mask.

use std::path::Path;

use ndarray::{Array2, Array3, Axis};
use ndarray_npy::WriteNpyExt;

use super::draw::{WIDTH, wide};
use super::*;
use crate::attention::{Mask, Visible, softmax};
use crate::linalg::engine::Engine;
use crate::linalg::spectra;
use crate::metric::RowProfile;
use crate::metric::{self, Of, Spectrum};
use crate::rng::{normal, stream};
use crate::study::input::{DumpArgs, Head, InputArgs};
use crate::task::dump::{Matrix, Precision, Stored};

const HEADS: usize = 8;
const DRAWS: usize = 9;

fn effective_rank(matrix: &Matrix) -> f64 {
    let a = wide(matrix);
    let sigma = spectra::of_f64(a.view(), Engine::Faer, &spectra::uninterrupted).unwrap().plain;
    let spectrum = Spectrum::whole(&sigma, a.dim(), f64::EPSILON);
    let metric = metric::ALL.iter().find(|metric| metric.name == "effective_rank").unwrap();
    let Of::Spectrum(value) = metric.of else { panic!("a figure of the spectrum") };
    value(&spectrum).unwrap()
}

/// Heads whose rows are softmax of these logits over the keys that `sees` says, written with `precision`.
fn written(path: &Path, logits: &dyn Fn(usize) -> Array2<f64>, sees: &Sees, precision: Precision) {
    let (n, m) = logits(0).dim();
    let visible = Visible::where_seen(n, m, sees);
    let mut all = Array3::<f32>::zeros((HEADS, n, m));
    for (head, mut a) in all.axis_iter_mut(Axis(0)).enumerate() {
        let mut probabilities = Array2::zeros((n, m));
        softmax::within(&mut probabilities, logits(head).view(), &visible);
        a.assign(&probabilities.mapv(|x| precision.round(x) as f32));
    }
    all.write_npy(std::fs::File::create(path).unwrap()).unwrap();
}

/// Mean over heads of the share of draws below the head, and half the width of the interval in which it lies for a head that
/// is one more draw: three standard deviations of the mean of uniform ranks.
fn place_among_draws(path: &Path, null: &str, mask: Option<&str>) -> (f64, f64) {
    let args = DumpArgs {
        attention: Some(Stored::File(path.to_path_buf())),
        mask: mask.map(ToString::to_string),
        ..DumpArgs::default()
    };
    let source = args.open(&InputArgs::default()).unwrap().unwrap();
    source.comparable().unwrap();
    let specs = find(null).unwrap();
    let mut shares = Vec::new();
    let mut visit = |head: Head| {
        let matrix = head.matrix().into_owned();
        let rows = RowProfile::of(wide(&matrix).mapv(|x| x as f32).view(), &[]);
        let own = effective_rank(&matrix);
        let below = (0..DRAWS).filter(|draw| {
            let mut rng = stream(1, &format!("{} draw {draw}", head.label));
            let drawn = specs[0].draw(&head, &matrix, &rows, &mut rng).unwrap();
            assert_eq!(head.visible().count(head.shape.0, head.shape.1), positive(&drawn), "{null}");
            effective_rank(&drawn) < own
        });
        shares.push(below.count() as f64 / DRAWS as f64);
        Ok(())
    };
    source.visit(source.lengths()[0], 0, true, &|_, _| true, &mut visit).unwrap();
    (crate::stats::mean(&shares), 3.0 * (1.0 / 12.0_f64).sqrt() / (HEADS as f64).sqrt())
}

fn positive(matrix: &Matrix) -> usize {
    wide(matrix).iter().filter(|x| **x > 0.0).count()
}

type Sees = dyn Fn(usize, usize) -> bool;

/// What each null model draws: untrained heads, and rows of independent logits.
fn logits(null: &str, n: usize, m: usize, sd: f64) -> impl Fn(usize) -> Array2<f64> {
    let label = format!("{null} {n} {m}");
    move |head| {
        let mut rng = stream(head as u64, &label);
        if label.starts_with("gaussian") {
            let (q, k) = (normal(&mut rng, n, WIDTH), normal(&mut rng, m, WIDTH));
            q.dot(&k.t()).mapv(f64::from) * (sd / (WIDTH as f64).sqrt())
        } else {
            normal(&mut rng, n, m).mapv(f64::from) * sd
        }
    }
}

fn holds(what: &str, n: usize, m: usize, sees: &Sees, mask: Option<&str>, precision: Precision, sd: f64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    for null in ["gaussian", "shuffled"] {
        written(&path, &logits(null, n, m, sd), sees, precision);
        let (share, width) = place_among_draws(&path, null, mask);
        assert!((share - 0.5).abs() < width, "{what}, {null}: {share} of the draws are below the heads");
    }
}

#[test]
fn padded_keys_are_hidden_from_null_models() {
    holds("64 of 128 keys padded", 128, 128, &|_, j| j < 64, None, Precision::F32, 1.0);
    holds("so said", 64, 64, &|_, j| j < 32, Some("padding:keys=32"), Precision::F32, 1.0);
}

#[test]
fn padded_queries_stay_rows_of_zeros() {
    holds("32 of 64 queries padded", 64, 64, &|i, _| i < 32, None, Precision::F32, 1.0);
    holds("both padded, causal", 64, 64, &|i, j| j <= i && i < 40, None, Precision::F32, 1.0);
}

#[test]
fn windows_are_windows_of_null_models() {
    holds("a window", 64, 64, &|i, j| i.abs_diff(j) < 9, None, Precision::F32, 1.0);
    holds("a causal window", 64, 64, &|i, j| j <= i && i - j < 16, None, Precision::F32, 1.0);
    let said = Some("window:back=15,ahead=0");
    holds("a causal window, said", 64, 64, &|i, j| j <= i && i - j < 16, said, Precision::F32, 1.0);
}

#[test]
fn packed_sequences_stay_apart_in_null_models() {
    holds("blocks", 64, 64, &|i, j| i / 16 == j / 16, None, Precision::F32, 1.0);
    holds("causal blocks", 64, 64, &|i, j| j <= i && i / 16 == j / 16, None, Precision::F32, 1.0);
    let said = Some("blocks:sizes=16+16+16+16,padding:keys=4");
    holds("padded blocks", 64, 64, &|i, j| i / 16 == j / 16 && j < 60, said, Precision::F32, 1.0);
}

#[test]
fn queries_and_keys_of_other_lengths() {
    holds("more keys", 32, 64, &|_, j| j >= 10, None, Precision::F32, 1.0);
    holds("the last queries of causal attention", 32, 64, &|i, j| j <= i + 32, None, Precision::F32, 1.0);
}

/// Rounding to bfloat16 adds small singular values, which null models without it do not have.
#[test]
fn null_models_are_rounded_as_the_matrices_are() {
    holds("bfloat16", 128, 128, &|_, _| true, None, Precision::BF16, 0.1);
    holds("padded bfloat16", 64, 64, &|_, j| j < 48, None, Precision::BF16, 0.1);
}

#[test]
fn a_matrix_stored_by_columns_is_shuffled_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let a = softmax::from_logits(logits("shuffled", 16, 16, 1.0)(0), Mask::Full);
    let by_columns = a.t().as_standard_layout().into_owned().reversed_axes();
    by_columns.write_npy(std::fs::File::create(&path).unwrap()).unwrap();
    let args = DumpArgs { attention: Some(Stored::File(path)), ..DumpArgs::default() };
    let source = args.open(&InputArgs::default()).unwrap().unwrap();
    let mut visit = |head: Head| {
        let matrix = head.matrix().into_owned();
        assert_eq!(wide(&matrix), a);
        let drawn = find("shuffled")?[0].draw(&head, &matrix, &RowProfile::default(), &mut stream(0, "a"))?;
        let same = wide(&drawn).iter().zip(&a).filter(|(x, y)| x == y).count();
        assert!(same < 64, "{same} of 256 values where they were");
        Ok(())
    };
    source.visit(16, 0, true, &|_, _| true, &mut visit).unwrap();
}
