//! Pieces that are fitted: on some windows, and judged on others.

use super::approx_error;
use crate::study::{cell, number};

const INPUT: [&str; 8] =
    ["--synthetic", "gaussian:logit_sd=1.5,d_h=8", "--seq-len", "48", "--windows", "4", "--l", "8"];

#[test]
fn a_fit_is_trained_on_the_first_windows_and_judged_on_the_others() {
    let flags = [&INPUT[..], &["--mechanism", "luna:p=random,luna:p=fitted", "--fit-windows", "3"]].concat();
    let report = approx_error(&flags).unwrap();
    let rows = &report.rows;
    let mut errors = [Vec::new(), Vec::new(), Vec::new()];
    for row in 0..rows.rows.len() {
        let (window, fit) = (number(rows, row, "window"), cell(rows, row, "fit").exact());
        let fitted = cell(rows, row, "mechanism").exact() == "luna:p=fitted";
        let expected = match (fitted, window < 3.0) {
            (false, false) => "",
            (false, true) => "not judged",
            (true, false) => "held-out",
            (true, true) => "train",
        };
        assert_eq!(fit, expected);
        let place = if fitted { 1 + usize::from(window >= 3.0) } else { 0 };
        errors[place].push(number(rows, row, "output_rel_fro"));
    }
    assert_eq!(errors.each_ref().map(Vec::len), [4, 3, 1]);
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    assert!(mean(&errors[1]) < 0.9 * mean(&errors[0]), "a fit is nearer on its own windows: {errors:?}");
    let (_, summary) = &report.views[0];
    let shown: Vec<String> = (0..summary.rows.len()).map(|row| cell(summary, row, "fit").exact()).collect();
    assert!(shown.contains(&"train".to_string()) && shown.contains(&"held-out".to_string()), "{shown:?}");
}

#[test]
fn the_other_mechanisms_are_judged_on_the_same_windows() {
    let flags = [&INPUT[..], &["--mechanism", "luna:p=segment,luna:p=fitted", "--fit-windows", "3"]].concat();
    let report = approx_error(&flags).unwrap();
    let (_, summary) = &report.views[0];
    let find = |name: &str| {
        (0..summary.rows.len()).find(|row| cell(summary, *row, "mechanism").exact() == name).unwrap()
    };
    let rows = &report.rows;
    let last = (0..rows.rows.len())
        .find(|row| {
            cell(rows, *row, "mechanism").exact() == "luna:p=segment" && number(rows, *row, "window") == 3.0
        })
        .unwrap();
    let (shown, judged) =
        (number(summary, find("luna:p=segment"), "out_err"), number(rows, last, "output_rel_fro"));
    assert!((shown - judged).abs() < 1e-12, "{shown} {judged}");
}
