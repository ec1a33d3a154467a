//! Comparison row by row, beside that of whole matrices.

use luna::attention::{ALL, Attention, Mask, Under};
use luna::report::Report;

use super::{approx_error, refusal};
use crate::model::golden::of_tokens;
use crate::model::{Expected, tiny};
use crate::study::{cell, number};

/// What reads some of the keys, and has a form for a mask.
fn able(mask: Mask) -> Vec<&'static str> {
    let kinds = ALL.iter().filter(|kind| !matches!(kind.under(mask), Under::Refused(_)));
    let able = kinds.filter(|kind| Attention::plain(kind.name, None).unwrap().choice().is_some());
    able.map(|kind| kind.name).collect()
}

/// Asserts that every figure of the second report is that of the first, but for norms that need the whole matrix; returns
/// how many figures there are.
fn same(name: &str, whole: &Report, rows: &Report) -> usize {
    let (whole, rows) = (&whole.rows, &rows.rows);
    assert_eq!(whole.rows.len(), rows.rows.len(), "{name}");
    let mut compared = 0;
    for row in 0..whole.rows.len() {
        for column in &whole.columns {
            let column = column.name.as_str();
            let at = format!("{name}, {:?}, {column}", cell(whole, row, "mechanism"));
            let Some(expected) = cell(whole, row, column).number() else {
                assert_eq!(cell(whole, row, column), cell(rows, row, column), "{at}");
                continue;
            };
            if column == "matrix_rel_spectral" {
                assert_eq!(cell(rows, row, column).number(), None, "{at}");
                continue;
            }
            let found = number(rows, row, column);
            assert!(
                (found - expected).abs() <= 1e-6 + 1e-5 * expected.abs(),
                "{at}: {found}, not {expected}"
            );
            compared += 1;
        }
    }
    compared
}

#[test]
fn figures_are_those_of_whole_matrices() {
    for mask in [Mask::Full, Mask::Causal] {
        let names = able(mask);
        assert!(names.len() >= 9, "{names:?}");
        let specs = [names.join(","), "top-k:renormalise=false,sink-window:l=7,sink=0".into()].join(",");
        let mut flags = vec!["--synthetic", "gaussian:logit_sd=0.5,gaussian:logit_sd=3,d_h=16", "--seq-len"];
        // Three tiles, of which the last is short.
        flags.extend(["140", "--windows", "1", "--l", "5,48", "--mechanism", &specs]);
        flags.extend((mask == Mask::Causal).then_some("--causal"));
        let of = |more: &str| approx_error(&[&flags[..], &[more]].concat()).unwrap();
        let (whole, rows) = (of("--stream=no"), of("--stream"));
        assert!(same(&format!("{mask:?}"), &whole, &rows) > 500);
        // The best choice of l keys stands in both; the best matrix of a rank does not.
        let bounds = |report: &Report| {
            let summary = &report.views[0].1;
            let name = |row: usize| cell(summary, row, "mechanism").exact();
            let named: Vec<String> = (0..summary.rows.len()).map(name).collect();
            ["top-k (best of l keys)", "best of rank l (SVD)"]
                .map(|best| named.iter().filter(|name| *name == best).count())
        };
        assert_eq!((bounds(&whole), bounds(&rows)), ([2, 2], [2, 0]));
        assert!(rows.notes.iter().any(|note| note.contains("row by row") && note.contains("n = 140")));
    }
}

#[test]
fn what_heads_of_models_carry_is_honoured_row_by_row() {
    for name in of_tokens() {
        let expected = Expected::read(&name);
        let file = tempfile::NamedTempFile::new().unwrap();
        let ids: Vec<String> = expected.ids().iter().map(ToString::to_string).collect();
        std::fs::write(file.path(), ids.join(" ")).unwrap();
        let (model, n) = (tiny(&name), ids.len().to_string());
        let mut flags = vec!["--model", model.to_str().unwrap(), "--tokens", file.path().to_str().unwrap()];
        flags.extend(["--seq-len", &n, "--windows", "1", "--l", "4"]);
        flags.extend(["--mechanism", "softmax,top-k,top-p,top-k:renormalise=false"]);
        let of = |more: &str| approx_error(&[&flags[..], &[more]].concat()).unwrap();
        assert!(same(&name, &of("--stream=no"), &of("--stream=yes")) > 40);
    }
}

#[test]
fn without_a_word_long_heads_are_compared_row_by_row() {
    let of = |n: &str, mechanism: &str| {
        let flags = ["--synthetic", "gaussian:d_h=2", "--windows", "1", "--l", "2", "--seq-len", n];
        let report = approx_error(&[&flags[..], &["--mechanism", mechanism]].concat()).unwrap();
        report.notes.iter().any(|note| note.contains("row by row"))
    };
    assert!(of("2049", "local"));
    assert!(!of("64", "local,sink-window"));
    assert!(!of("64", "local,linear"));
}

#[test]
fn what_needs_whole_matrices_is_refused() {
    let flags = ["--synthetic", "gaussian", "--seq-len", "32", "--l", "4", "--stream", "--causal"];
    let said = refusal(&[&flags[..], &["--mechanism", "local,linear,svd"]].concat());
    let expected = "--mechanism: 'linear, svd' is not accepted; accepted: with --stream, which has no n x n arrays, softmax, \
                    local, longformer, ";
    assert!(said.starts_with(expected), "{said}");
}
