//! Whole models with their attention replaced.

use std::path::{Path, PathBuf};

use luna::report::{Report, Table};
use luna::stats::student_mean_at;

use super::{approx_error, refusal};
use crate::model::golden::of_tokens;
use crate::model::tiny;
use crate::study::{cell, number};

fn model(name: &str) -> String {
    tiny(name).to_str().unwrap().to_string()
}

/// A file of token ids that every vocabulary here has, and that are no padding: its vector is 0, and where a model normalises
/// the output of its attention, rounding is all that a first token of that kind has there.
fn tokens(folder: &Path, count: usize) -> PathBuf {
    let path = folder.join("tokens.txt");
    let ids: Vec<String> = (0..count).map(|i| (3 + (i * i * 7 + i * 3) % 58).to_string()).collect();
    std::fs::write(&path, ids.join(" ")).unwrap();
    path
}

fn run(name: &str, attention: &str, l: &str, layers: &str) -> Table {
    report(name, attention, l, layers).rows
}

fn report(name: &str, attention: &str, l: &str, layers: &str) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let (model, tokens) = (model(name), tokens(folder.path(), 64));
    let flags =
        ["--model", &model, "--tokens", tokens.to_str().unwrap(), "--seq-len", "32", "--windows", "2"];
    let more = ["--mechanism", attention, "--l", l, "--substitute", layers];
    approx_error(&[&flags[..], &more[..]].concat()).unwrap()
}

#[test]
fn exact_mechanisms_give_the_model_itself() {
    for name in of_tokens().chain(["stories260k".to_string()]) {
        let rows = run(&name, "softmax,svd", "32", "all");
        assert_eq!(rows.rows.len(), 4, "two mechanisms, two windows");
        for row in 0..4 {
            let drift = number(&rows, row, "hidden_rel_fro");
            assert!(drift < 1e-5, "{name}: {:?} drifts by {drift:e}", cell(&rows, row, "mechanism"));
            if let Some(kl) = cell(&rows, row, "next_token_kl").number() {
                assert!(kl.abs() < 1e-6 && number(&rows, row, "top1_agreement") > 0.99, "{name}");
                assert!(number(&rows, row, "nll_change").abs() < 1e-4, "{name}");
            }
        }
    }
}

#[test]
fn a_vision_model_is_replaced_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let (model, images) = (model("deit"), folder.path().join("images.npy"));
    let pixel = |(i, c, y, x): (usize, usize, usize, usize)| ((5 * i + 3 * c + y * x) % 7) as f32 - 3.0;
    ndarray_npy::write_npy(&images, &ndarray::Array4::from_shape_fn((2, 3, 18, 18), pixel)).unwrap();
    let input = ["--model", &model, "--pixels", images.to_str().unwrap()];
    let more = ["--mechanism", "softmax,luna", "--l", "4", "--substitute", "all"];
    let rows = approx_error(&[&input[..], &more].concat()).unwrap().rows;
    assert_eq!(rows.rows.len(), 4, "two mechanisms, two images");
    for row in 0..4 {
        let (drift, name) = (number(&rows, row, "hidden_rel_fro"), cell(&rows, row, "mechanism"));
        assert_eq!(drift < 1e-5, format!("{name:?}").contains("softmax"), "{name:?}: {drift:e}");
        assert!(cell(&rows, row, "nll").number().is_none(), "an image has no next token");
    }
}

#[test]
fn language_models_are_judged_by_what_they_predict() {
    let rows = run("stories260k", "luna-causal,svd", "4", "all");
    for row in 0..rows.rows.len() {
        assert!(number(&rows, row, "next_token_kl") > 1e-3);
        let (nll, perplexity) = (number(&rows, row, "nll"), number(&rows, row, "perplexity"));
        assert!((nll.exp() - perplexity).abs() < 1e-9 * perplexity);
        let change = nll - number(&rows, row, "nll_softmax");
        assert!((change - number(&rows, row, "nll_change")).abs() < 1e-12);
    }
    let encoder = run("bert", "luna", "4", "all");
    assert_eq!(cell(&encoder, 0, "nll").number(), None);
    assert!(number(&encoder, 0, "hidden_rel_fro") > 1e-3);
}

#[test]
fn mechanisms_are_compared_window_by_window() {
    for (name, attention, column) in [
        ("stories260k", "local,longformer,luna-causal,softmax,linear", "nll_change"),
        ("bert", "local,longformer,luna,nystrom", "hidden_rel_fro"),
    ] {
        let report = report(name, attention, "4,8", "all");
        let of = |mechanism: &str, l: &str| -> Vec<f64> {
            let rows = 0..report.rows.rows.len();
            let at = |row: &usize, column: &str| cell(&report.rows, *row, column).exact();
            let own = rows.filter(|row| at(row, "mechanism") == mechanism && at(row, "l") == l);
            own.map(|row| number(&report.rows, row, column)).collect()
        };
        let (_, table) = report.views.iter().find(|(name, _)| name == "differences_n32").unwrap();
        let (mut best, mut compared) = (Vec::new(), 0);
        for row in 0..table.rows.len() {
            let text = |column: &str| cell(table, row, column).exact();
            let own = of(&text("mechanism"), &text("l"));
            assert_eq!((own.len(), number(table, row, "windows")), (2, 2.0), "{name} {row}");
            if text("verdict") == "best" {
                best = own;
                continue;
            }
            let set = (0..table.rows.len()).filter(|other| cell(table, *other, "l").exact() == text("l"));
            let differences: Vec<f64> = own.iter().zip(&best).map(|(own, best)| own - best).collect();
            let ends = student_mean_at(&differences, 1.0 - 0.1 / set.count() as f64).unwrap();
            assert!(ends.mid >= 0.0, "the best comes first");
            for (column, expected) in [("diff", ends.mid), ("low", ends.low), ("high", ends.high)] {
                let found = number(table, row, column);
                assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{name} {row} {column}");
            }
            assert_eq!(text("verdict"), if ends.low > 0.0 { "higher" } else { "undecided" });
            compared += 1;
        }
        assert!(compared >= 4, "{name}: {compared}");
        let said = |part: &str| report.notes.iter().any(|note| note.contains(part));
        assert!(said("windows of one text") && said("are not independent"), "{:?}", report.notes);
        let compared = format!(" of {compared} differences of ");
        assert!(said(&compared) && said("would be by chance"), "{:?}", report.notes);
    }
}

#[test]
fn fewer_layers_drift_less() {
    let error = |layers: &str| number(&run("bert", "luna", "4", layers), 0, "hidden_rel_fro");
    assert!(error("0") > 1e-4);
    assert_ne!(error("0"), error("all"));
    let rows = run("bert", "luna", "4", "1");
    assert_eq!(number(&rows, 0, "layers"), 1.0);
}

#[test]
fn layers_that_a_mechanism_has_no_form_for_keep_their_softmax() {
    let report = report("qwen2-sliding", "linear,softmax", "4", "all");
    let layers: Vec<f64> = (0..4).map(|row| number(&report.rows, row, "layers")).collect();
    assert_eq!(layers, [1.0; 4]);
    assert!(number(&report.rows, 0, "hidden_rel_fro") > 1e-3);
    let note = "layers 1, 2 are left out: linear has no form for a sliding window";
    assert!(report.notes.iter().any(|said| said == note), "{:?}", report.notes);
    let full = run("qwen2-sliding", "linear", "4", "full");
    assert_eq!(number(&full, 0, "hidden_rel_fro"), number(&report.rows, 0, "hidden_rel_fro"));
}

#[test]
fn what_cannot_be_substituted_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = tokens(folder.path(), 64);
    let of = |name: &str, more: &[&str]| {
        let model = model(name);
        let flags =
            ["--model", &model, "--tokens", tokens.to_str().unwrap(), "--seq-len", "32", "--windows", "1"];
        refusal(&[&flags[..], more].concat())
    };
    let message = of("gpt2", &["--mechanism", "luna", "--substitute", "all"]);
    assert!(message.starts_with("luna") && message.contains("no causal form"), "{message}");
    let message = of("bert", &["--mechanism", "luna", "--substitute", "9"]);
    assert!(message.contains("--substitute: '9'"), "{message}");
    let message = of("bert", &["--mechanism", "luna", "--substitute", "most"]);
    assert!(message.contains("--substitute: 'most'") && message.contains("or layers"), "{message}");
    let message = of("qwen2-sliding", &["--mechanism", "linear", "--substitute", "1-2"]);
    let expected = "linear has no form for a sliding window; accepted: --substitute full, or --mechanism softmax,svd,top-k,top-p";
    assert_eq!(message, expected);
}
