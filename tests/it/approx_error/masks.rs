//! Models whose layers have a window, a softcap, a bias or a sink: which layers are compared, with which mechanisms.

use luna::report::Report;

use super::{approx_error, refusal};
use crate::model::golden::of_tokens;
use crate::model::{Expected, tiny};
use crate::study::{cell, number};

/// What `of` makes of a tiny model, 24 of its tokens and these flags.
fn on<T>(name: &str, n: usize, more: &[&str], of: impl Fn(&[&str]) -> T) -> T {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ids: Vec<String> = Expected::read(name).ids().iter().map(ToString::to_string).collect();
    std::fs::write(file.path(), ids.join(" ")).unwrap();
    let (model, n) = (tiny(name), n.to_string());
    let input = ["--model", model.to_str().unwrap(), "--tokens", file.path().to_str().unwrap()];
    of(&[&input[..], &["--seq-len", &n, "--windows", "1", "--l", "4"], more].concat())
}

fn studied(name: &str, n: usize, more: &[&str]) -> Report {
    on(name, n, more, |flags| approx_error(flags).unwrap())
}

fn layers(report: &Report) -> Vec<f64> {
    let mut found: Vec<f64> =
        (0..report.rows.rows.len()).map(|row| number(&report.rows, row, "layer")).collect();
    found.sort_by(f64::total_cmp);
    found.dedup();
    found
}

fn left_out(report: &Report) -> Vec<&String> {
    report.notes.iter().filter(|note| note.contains("left out: ")).collect()
}

#[test]
fn layers_that_a_mechanism_has_no_form_for_are_left_out() {
    let report = studied("qwen2-sliding", 24, &["--mechanism", "performer,softmax,linear"]);
    assert_eq!(layers(&report), [0.0]);
    let note = "layers 1, 2 are left out: performer, linear have no form for a sliding window";
    assert_eq!(left_out(&report), [note]);
    assert!((0..report.rows.rows.len()).all(|row| cell(&report.rows, row, "mask").exact() == "causal"));
    // A window that hides nothing is none.
    let short = studied("qwen2-sliding", 12, &["--mechanism", "performer,softmax,linear"]);
    assert_eq!((layers(&short), left_out(&short).len()), (vec![0.0, 1.0, 2.0], 0));
    let exact = studied("qwen2-sliding", 24, &["--mechanism", "svd,softmax"]);
    assert_eq!((layers(&exact), left_out(&exact).len()), (vec![0.0, 1.0, 2.0], 0));
}

#[test]
fn where_no_layer_is_left_the_way_out_is_said() {
    let of = |name: &str, more: &[&str]| on(name, 24, more, refusal);
    let sliding = of("qwen2-sliding", &["--mechanism", "linear", "--layers", "sliding"]);
    let expected = "linear has no form for a sliding window; accepted: --layers full, or --mechanism softmax,svd,top-k,top-p";
    assert_eq!(sliding, expected);
    // A model that slides everywhere, and one whose full layers have a softcap too.
    let all = of("mistral-sliding", &["--mechanism", "performer,linear"]);
    assert_eq!(
        all,
        "performer, linear have no form for a sliding window; accepted: --mechanism softmax,svd,top-k,top-p"
    );
    let capped = of("gemma2", &["--mechanism", "linear"]);
    let expected = "linear has no form for a logit softcap and a sliding window; linear has no form for a logit softcap; \
                    accepted: --mechanism softmax,svd,top-k,top-p";
    assert_eq!(capped, expected);
    let kind = of("mistral-sliding", &["--mechanism", "softmax", "--layers", "full"]);
    assert!(kind.starts_with("--layers: 'full' is not accepted; accepted: sliding, or indices"), "{kind}");
}

/// The reference that errors are of is what the model computes: softmax has no error, and the best of a rank is that of the
/// model's own matrices.
#[test]
fn the_reference_is_the_attention_of_the_model() {
    for name in of_tokens() {
        let n = Expected::read(&name).ids().len();
        let report = studied(&name, n, &["--mechanism", "softmax,svd"]);
        let expected = Expected::read(&name).get("singular_values").clone();
        for row in 0..report.rows.rows.len() {
            let [layer, head] = ["layer", "head"].map(|key| number(&report.rows, row, key) as usize);
            let error = number(&report.rows, row, "matrix_rel_fro");
            if cell(&report.rows, row, "mechanism").exact() == "softmax" {
                assert!(error < 1e-5, "{name} layer {layer} head {head}: {error:e}");
                continue;
            }
            let energy =
                |from: usize| -> f64 { (from..n).map(|at| expected[[layer, head, at]].powi(2)).sum::<f64>() };
            let best = (energy(4) / energy(0)).sqrt();
            assert!((error - best).abs() < 1e-4, "{name} layer {layer} head {head}: {error}, best {best}");
        }
    }
}

#[test]
fn a_parameter_that_depends_on_l_is_judged_at_lengths_that_are_used() {
    let flags = ["--synthetic", "gaussian", "--seq-len", "32", "--windows", "1", "--l", "16,64"];
    let with = |mechanism: &'static str| [&flags[..], &["--mechanism", mechanism]].concat();
    for mechanism in ["sink-window:sink=8", "sparse-low-rank:sink=8,rank=2"] {
        let report = approx_error(&with(mechanism)).unwrap();
        assert!(
            report.rows.cells("mechanism").unwrap().any(|name| name.exact().contains("sink=8")),
            "{mechanism}"
        );
    }
    assert!(refusal(&with("sink-window:sink=17")).contains("'17' is not accepted"));
}
