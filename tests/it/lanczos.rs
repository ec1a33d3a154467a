//! Leading singular values of matrices that are never kept, against the exact ones of the same heads.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use luna::attention::{Mask, softmax};
use luna::linalg::engine::{Engine, singular_values};
use luna::name::Spec;
use luna::report::{Cell, Report, Table};
use luna::task::synthetic::{Draw, Synthetic};

use crate::study::{cell, number, svd_spectrum};

const SEED: u64 = 0;
/// The share of `||A||_F^2` that f32 rows may differ by from f64 ones.
const ENERGY: f64 = 1e-5;

/// All singular values of the head that `--synthetic` draws, in f64.
fn exact(spec: &str, n: usize, mask: Mask) -> Vec<f64> {
    let spec: Spec = spec.parse().unwrap();
    let a = match Synthetic::find(&spec).unwrap().draw(&spec, n, 0, SEED).unwrap() {
        Draw::Heads { q, k, scale, .. } => softmax::matrix_f64(q.view(), k.view(), scale, mask),
        Draw::Logits(logits) => softmax::from_logits(logits, mask),
        Draw::Weights(weights) => weights,
    };
    singular_values(a.view(), Engine::Faer).unwrap()
}

fn leading(spec: &str, n: usize, flags: &[&str]) -> Report {
    let n = n.to_string();
    let head = ["--method", "lanczos", "--synthetic", spec, "--seq-len", &n, "--windows", "1"];
    svd_spectrum(&[&head[..], flags].concat(), SEED)
}

/// The table of values, one row each.
fn values(report: &Report) -> &Table {
    &report.tables.iter().find(|(name, _)| name == "values").unwrap().1
}

/// The values that are marked as converged, which must be the leading ones.
fn converged(report: &Report) -> Vec<f64> {
    let table = values(report);
    let yes = |row: &usize| *cell(table, *row, "converged") == Cell::Text("yes".into());
    let count = (0..table.rows.len()).take_while(yes).count();
    assert_eq!(number(&report.rows, 0, "converged"), count as f64);
    (0..count).map(|row| number(table, row, "sigma")).collect()
}

/// What must hold of any search, however far it came.
fn check(report: &Report, exact: &[f64], tolerance: f64) {
    let table = values(report);
    let energy: f64 = exact.iter().map(|s| s * s).sum();
    let found = converged(report);
    for (row, exact_value) in exact.iter().enumerate().take(table.rows.len()) {
        let (sigma, bound) = (number(table, row, "sigma"), number(table, row, "bound"));
        assert_eq!(number(table, row, "index"), (row + 1) as f64);
        let nearest = exact.iter().map(|s| (s - sigma).abs()).fold(f64::INFINITY, f64::min);
        assert!(nearest <= bound, "value {row}: {sigma}, bound {bound:e}, nearest {nearest:e} away");
        let marked = *cell(table, row, "converged") == Cell::Text("yes".into());
        assert_eq!(marked, bound <= tolerance * sigma, "value {row}: {sigma}, bound {bound:e}");
        // Not only some singular value: the one of this place.
        assert!(!marked || (sigma - exact_value).abs() <= bound, "value {row}: {sigma}, exact {exact_value}");
        let share = cell(table, row, "cum_energy").number();
        let expected = exact[..=row].iter().map(|s| s * s).sum::<f64>() / energy;
        assert_eq!(share.is_some(), row < found.len(), "value {row}");
        assert!(share.is_none_or(|share| (share - expected).abs() <= ENERGY), "{share:?}, exact {expected}");
    }
    let asked = number(&report.rows, 0, "asked") as usize;
    let missing = asked.min(exact.len()) - found.len();
    let note = format!("{missing} values did not converge");
    assert_eq!(report.notes.iter().any(|line| line.starts_with(&note)), missing > 0);
    assert!(missing > 0 || report.notes.iter().all(|line| !line.contains("did not converge")));
}

#[test]
fn values_lie_within_their_bounds() {
    let spec = "gaussian:logit_sd=4,d_h=64";
    let report = leading(spec, 2048, &["--top", "32", "--at", "8,16,32"]);
    let exact = exact(spec, 2048, Mask::Full);
    check(&report, &exact, 1e-3);
    assert_eq!(converged(&report).len(), 32, "{:?}", report.notes);
    let energy = |k: usize| exact[..k].iter().map(|s| s * s).sum::<f64>() / energy_of(&exact);
    for k in [8, 16, 32] {
        let found = number(&report.rows, 0, &format!("cum_energy_at_{k}"));
        assert!((found - energy(k)).abs() <= ENERGY, "{k}: {found}, exact {}", energy(k));
    }
    let stable = energy_of(&exact) / exact[0].powi(2);
    assert!((number(&report.rows, 0, "stable_rank") / stable - 1.0).abs() < 1e-4);
}

fn energy_of(sigma: &[f64]) -> f64 {
    sigma.iter().map(|s| s * s).sum()
}

#[test]
fn causal_heads_and_patterns_do_too() {
    for (spec, mask, flags) in [
        ("gaussian:logit_sd=2,d_h=16", Mask::Causal, &["--causal"][..]),
        ("gaussian:logit_sd=0.25", Mask::Full, &[]),
        ("iid:logit_sd=2", Mask::Full, &[]),
    ] {
        let report = leading(spec, 300, &[flags, &["--top", "12", "--at", "8"]].concat());
        check(&report, &exact(spec, 300, mask), 1e-3);
        assert_eq!(converged(&report).len(), 12, "{spec}: {:?}", report.notes);
    }
}

#[test]
fn what_has_not_converged_counts_in_no_figure() {
    let spec = "gaussian:logit_sd=4,d_h=64";
    let exact = exact(spec, 1024, Mask::Full);
    let mut counts = Vec::new();
    for rounds in ["1", "2", "4", "6", "8"] {
        let report = leading(spec, 1024, &["--top", "32", "--at", "1,4,16,32", "--rounds", rounds]);
        check(&report, &exact, 1e-3);
        let count = converged(&report).len();
        for k in [1, 4, 16, 32] {
            // A column of nothing but missing figures is left out.
            let column = report.rows.index(&format!("cum_energy_at_{k}"));
            assert_eq!(column.is_ok(), k <= count, "{k} of {count}");
            let expected = exact.iter().take(k).map(|s| s * s).sum::<f64>() / energy_of(&exact);
            if let Ok(column) = column {
                let found = report.rows.rows[0][column].number().unwrap();
                assert!((found - expected).abs() <= ENERGY, "{k}: {found}, exact {expected}");
            }
        }
        counts.push(count);
    }
    assert!(counts.is_sorted() && counts[0] < 32 && counts[3] > 0, "{counts:?}");
    // One round of 64 vectors cannot hold 100 values.
    let report = leading(spec, 1024, &["--top", "100", "--at", "1", "--rounds", "1"]);
    check(&report, &exact, 1e-3);
    assert!(values(&report).rows.len() < 100 && converged(&report).is_empty());
}

/// Lengths that the blocks of the search fill in one step, in several, and not evenly.
#[test]
fn short_lengths_are_searched_to_the_end() {
    for n in [1, 5, 63, 64, 65, 100, 129, 300] {
        for (spec, seed) in [("gaussian:logit_sd=4", 0), ("iid:logit_sd=2", 3), ("causal-mean", 0)] {
            let flags = ["--method", "lanczos", "--synthetic", spec, "--windows", "1"];
            let rest = ["--seq-len", &n.to_string(), "--top", "12", "--at", "4"];
            let report = svd_spectrum(&[&flags[..], &rest].concat(), seed);
            assert_eq!(converged(&report).len(), n.min(12), "{spec}, n = {n}: {:?}", report.notes);
        }
    }
}

#[test]
fn values_below_the_rank_do_not_converge() {
    let report = leading("rank:r=8", 200, &["--top", "12", "--at", "4,8,12"]);
    let found = converged(&report);
    assert_eq!(found.len(), 8, "{:?}", report.notes);
    assert!((number(&report.rows, 0, "cum_energy_at_8") - 1.0).abs() < ENERGY);
    assert!(report.rows.index("cum_energy_at_12").is_err());
}

#[test]
fn a_looser_tolerance_accepts_no_wrong_value() {
    let spec = "iid:logit_sd=1";
    let exact = exact(spec, 400, Mask::Full);
    let tolerances = [("1e-1", 1e-1), ("1e-2", 1e-2), ("1e-4", 1e-4)];
    let rounds = tolerances.map(|(text, tolerance)| {
        let report = leading(spec, 400, &["--top", "16", "--at", "8", "--tolerance", text]);
        let table = values(&report);
        for (row, exact) in exact.iter().enumerate().take(converged(&report).len()) {
            let (sigma, bound) = (number(table, row, "sigma"), number(table, row, "bound"));
            assert!((sigma - exact).abs() <= bound && bound <= tolerance * sigma, "{text} {row}: {sigma}");
        }
        number(&report.rows, 0, "rounds")
    });
    assert!(rounds.is_sorted(), "a tighter tolerance takes no fewer rounds: {rounds:?}");
}

/// People get a line a head; every value stands in the tables for machines and in an array.
#[test]
fn a_head_is_a_line_of_the_summary() {
    let report = svd_spectrum(
        &[
            "--method",
            "lanczos",
            "--synthetic",
            "gaussian,iid",
            "--seq-len",
            "300",
            "--windows",
            "1",
            "--top",
            "128",
        ],
        SEED,
    );
    let summary = &report.views[0].1;
    assert_eq!((report.views.len(), summary.rows.len()), (1, 2));
    assert!(values(&report).rows.len() >= 2 * 100);
    let (name, array) = &report.arrays[0];
    assert_eq!(name, "leading_singular_values");
    let sigma = values(&report).index("sigma").unwrap();
    assert_eq!(array[[0, 0]], values(&report).rows[0][sigma].number().unwrap());
    assert_eq!(array.shape()[0], 2);
}

/// Rows of matrices that are never kept have the figures of the matrices; people read a line a head, whatever the windows.
#[test]
fn figures_of_rows_are_those_of_the_matrix_and_a_head_has_one_line() {
    let heads = ["--synthetic", "gaussian:logit_sd=3,iid:logit_sd=1", "--causal", "--seq-len", "150"];
    let flags = [&heads[..], &["--windows", "2", "--at", "4,16"]].concat();
    let exact = svd_spectrum(&[&flags[..], &["--null", "none", "--aggregate=no"]].concat(), SEED);
    let leading =
        svd_spectrum(&[&flags[..], &["--method", "lanczos", "--top", "8", "--show-at", "4"]].concat(), SEED);
    assert_eq!((exact.rows.rows.len(), leading.rows.rows.len()), (4, 4));
    let shares =
        ["row_entropy", "max_prob", "logit_sd", "rank1_residual", "sink_mass", "sink4_mass", "own_mass"];
    let counts = [
        "near64_mass",
        "distance",
        "keys50",
        "keys90",
        "keys95",
        "keys99",
        "top_mass_at_4",
        "top_mass_at_16",
    ];
    for row in 0..4 {
        assert_eq!(exact.rows.rows[row][..4], leading.rows.rows[row][..4], "the same head and window");
        for name in shares.iter().chain(&counts) {
            let (exact, found) = (number(&exact.rows, row, name), number(&leading.rows, row, name));
            // A key more or less in one row, where rounding decides.
            let bound = if name.starts_with("keys") { 0.02 } else { 1e-5 * exact.max(1.0) };
            assert!((exact - found).abs() <= bound, "{name} of row {row}: {found}, and not {exact}");
        }
    }
    let (name, summary) = &leading.views[0];
    assert_eq!((name.as_str(), summary.rows.len()), ("summary", 2));
    assert_eq!(*cell(summary, 0, "converged"), Cell::Text("8 of 8".into()));
    let mean = f64::midpoint(number(&leading.rows, 0, "keys90"), number(&leading.rows, 1, "keys90"));
    assert!((number(summary, 0, "keys90") - mean).abs() < 1e-9);
    assert!(summary.index("cum_energy_at_4").is_ok() && summary.index("stable_rank").is_ok());
}
