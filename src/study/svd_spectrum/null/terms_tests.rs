//! Null models of heads with a window, a softcap, a bias or a sink share these.

use std::path::Path;

use ndarray::{Array1, Array2, Axis};

use super::draw::wide;
use super::*;
use crate::attention::{HeadTerms, Mask, Window};
use crate::linalg::engine::Engine;
use crate::linalg::operator::Operator;
use crate::metric::RowProfile;
use crate::rng::{normal, stream};
use crate::study::input::{Body, Head, HeadPlace, HeadWindow, InputArgs, Unnamed};
use crate::study::svd_spectrum::columns::Figure;
use crate::study::svd_spectrum::measure::Measurement;
use crate::study::svd_spectrum::verdict::{LEVEL, Verdict, decide, difference};
use crate::study::{Context, Unwatched};
use crate::task::dump::Matrix;

const N: usize = 40;
const WIDTH: usize = 16;

/// A head that nobody trained, its logits with a standard deviation of 1.5.
fn untrained(what: &str, place: usize, mask: Mask, terms: &HeadTerms) -> Head {
    let mut rng = stream(41, &format!("{what} {place}"));
    let [q, k, v] = [(); 3].map(|()| normal(&mut rng, N, WIDTH));
    let scale = 1.5 / (WIDTH as f64).sqrt();
    Head {
        label: format!("{what} {place}"),
        layer: 0,
        head: place,
        window: 0,
        shape: (N, N),
        mask,
        terms: terms.clone(),
        width: Some(WIDTH),
        body: Body::Projected { q, k, v, scale, precise: false, matrix: None },
        own: None,
    }
}

fn cases() -> [(&'static str, Mask, HeadTerms); 5] {
    let window = Some(Window { back: 7, ahead: 0 });
    let bias = Some(Array1::from_shape_fn(2 * N - 1, |at| 0.25 * (at as f32 - (N - 1) as f32)));
    let none = HeadTerms::default;
    [
        ("window", Mask::Causal, HeadTerms { window, ..none() }),
        ("bias", Mask::Causal, HeadTerms { bias: bias.clone(), ..none() }),
        ("softcap", Mask::Full, HeadTerms { softcap: Some(1.0), ..none() }),
        ("sink", Mask::Full, HeadTerms { sink: Some(3.0), ..none() }),
        ("all", Mask::Causal, HeadTerms { window, bias, softcap: Some(1.0), sink: Some(1.0) }),
    ]
}

#[test]
fn untrained_heads_under_terms_are_decided_in_one_of_twenty() {
    let figures = Figure::all(&[8]);
    let nulls = find("gaussian").unwrap();
    let context = Context { seed: 42, engine: Engine::Faer, watch: &Unwatched };
    let job = Measurement { figures: &figures, nulls: &nulls, draws: 3, context };
    let heads = 120;
    for (what, mask, terms) in cases() {
        let (mut decided, mut below, mut draws) = (0.0, 0.0, 0.0);
        for place in 0..heads {
            let head = untrained(what, place, mask, &terms);
            let of = HeadPlace { layer: 0, head: place, label: head.label.clone(), mask: String::new() };
            let one = job.head(HeadWindow { n: N, place: of, window: 0 }, &head).unwrap();
            let own = one.values.plain[Figure::effective_rank(&figures)];
            let drawn = &one.nulls[0].effective_ranks;
            let found = decide(&[difference(&[(own, drawn)])]).unwrap();
            decided += f64::from(u8::from(found.verdict != Verdict::Undecided));
            below += drawn.iter().filter(|rank| Some(**rank) < own).count() as f64;
            draws += drawn.len() as f64;
        }
        let expected = LEVEL * heads as f64;
        let most = expected + 3.0 * (expected * (1.0 - LEVEL)).sqrt();
        assert!(decided <= most, "{what}: {decided} of {heads}");
        // Neither side is the more frequent one: shares of a head's draws are uniform, and heads independent.
        let (share, width) = (below / draws, 3.0 * (1.0 / 12.0_f64).sqrt() / (heads as f64).sqrt());
        assert!((share - 0.5).abs() < width + 1.0 / 12.0, "{what}: {share} of the draws are below");
    }
}

/// Of heads of a trained folder: draws are zero where the window hides a key, and positive where it does not.
#[test]
fn the_nulls_of_a_sliding_head_slide() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf_tiny/mistral-sliding");
    let ids = tempfile::NamedTempFile::new().unwrap();
    let text: Vec<String> = (0..24).map(|id| ((id * 7) % 60).to_string()).collect();
    std::fs::write(ids.path(), text.join(" ")).unwrap();
    let args = InputArgs {
        model: Some(folder.display().to_string()),
        tokens: Some(ids.path().into()),
        seq_len: Some("24".parse().unwrap()),
        windows: Some(1),
        ..InputArgs::default()
    };
    let source = args.open(0, Unnamed::Model).unwrap();
    let mut heads = 0;
    let mut visit = |head: Head| {
        let matrix = head.matrix().into_owned();
        let rows = RowProfile::of(wide(&matrix).mapv(|x| x as f32).view(), &[]);
        for null in ["gaussian", "shuffled"] {
            let drawn = wide(&find(null)?[0].draw(&head, &matrix, &rows, &mut stream(7, &head.label))?);
            assert_ne!(drawn, wide(&matrix));
            for ((i, j), x) in drawn.indexed_iter() {
                assert_eq!(*x > 0.0, j <= i && i < j + 12, "{null} {} ({i}, {j}): {x}", head.label);
            }
        }
        heads += 1;
        Ok(())
    };
    source.visit(24, 0, true, &|_, _| true, &mut visit).unwrap();
    assert_eq!(heads, source.heads());
}

#[test]
fn rows_of_nulls_sum_to_what_a_sink_leaves() {
    let (_, mask, terms) = cases()[4].clone();
    let head = untrained("sums", 0, mask, &terms);
    let matrix = head.matrix().into_owned();
    let sums = |a: &Matrix| -> Array1<f64> { wide(a).sum_axis(Axis(1)) };
    assert!(sums(&matrix).iter().all(|sum| *sum < 0.99));
    for null in ["gaussian", "shuffled"] {
        let specs = find(null).unwrap();
        let drawn = specs[0].draw(&head, &matrix, &RowProfile::default(), &mut stream(8, null)).unwrap();
        let off: Array2<f64> = (sums(&drawn) - sums(&matrix)).insert_axis(Axis(1));
        assert!(off.iter().all(|off| off.abs() < 1e-6), "{null}");
    }
}

/// Null models of heads that are never kept are those of heads that are.
#[test]
fn operators_draw_what_matrices_draw() {
    for (what, mask, terms) in cases()
        .into_iter()
        .chain([("causal", Mask::Causal, HeadTerms::default()), ("full", Mask::Full, HeadTerms::default())])
    {
        let head = untrained(what, 0, mask, &terms);
        let matrix = head.matrix().into_owned();
        let own = wide(&matrix);
        let rows = RowProfile::of(own.mapv(|x| x as f32).view(), &[]);
        let rng = || stream(7, what);
        let beside = Beside { input: head.input().unwrap(), terms: &head.terms, rows: &rows };
        let operator = |null: &str| {
            let a = find(null).unwrap()[0].operator(&beside, &mut rng()).unwrap();
            let whole = read(a.as_ref(), &[0, N]);
            let far = (&whole - &read(a.as_ref(), &[0, 7, 19, N])).fold(0.0_f64, |far, x| far.max(x.abs()));
            assert!(far < 1e-6, "{what} {null}: other rows in other tiles, {far} apart");
            whole
        };
        let drawn = find("gaussian").unwrap()[0].draw(&head, &matrix, &rows, &mut rng()).unwrap();
        let far = (&operator("gaussian") - &wide(&drawn)).fold(0.0_f64, |far, x| far.max(x.abs()));
        assert!(far < 1e-6, "{what}: {far}");
        let shuffled = operator("shuffled");
        let mut moved = 0;
        for (i, (own, shuffled)) in own.rows().into_iter().zip(shuffled.rows()).enumerate() {
            let seen = beside.input.sees(i);
            let sorted = |row: ndarray::ArrayView1<'_, f64>| {
                let mut row = row.slice(ndarray::s![seen.clone()]).to_vec();
                row.sort_by(f64::total_cmp);
                row
            };
            assert_eq!(sorted(own), sorted(shuffled), "{what}: row {i}");
            moved += usize::from(own != shuffled);
        }
        assert!(moved > N / 2, "{what}: {moved} rows moved");
    }
}

/// All rows of an operator, in tiles that begin at these rows.
fn read(a: &dyn Operator, starts: &[usize]) -> Array2<f64> {
    let mut all = Array2::<f32>::zeros(a.shape());
    for rows in starts.windows(2) {
        let rows = rows[0]..rows[1];
        let support = a.support(rows.clone());
        a.rows(rows.clone(), all.slice_mut(ndarray::s![rows, support]));
    }
    all.mapv(f64::from)
}
