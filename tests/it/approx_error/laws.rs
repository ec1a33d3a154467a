//! What holds for every cell of a comparison, whatever the mechanism.

use luna::attention::{ALL, Mask, Under};
use luna::report::Table;

use super::{approx_error, refusal};
use crate::study::{cell, number};

/// Every mechanism of the list that a mask allows, at its defaults but for sizes that fit short heads.
fn all(mask: Mask) -> String {
    let kinds = ALL.iter().filter(|kind| !matches!(kind.under(mask), Under::Refused(_)));
    kinds.map(|kind| kind.name).collect::<Vec<_>>().join(",")
}

fn run(mask: Mask) -> Table {
    let specs = all(mask);
    let mut flags = vec![
        "--synthetic",
        "gaussian:logit_sd=0.5,gaussian:logit_sd=3,d_h=16",
        "--seq-len",
        "96",
        "--windows",
        "2",
    ];
    flags.extend(["--l", "4,24,96", "--mechanism", &specs]);
    if mask == Mask::Causal {
        flags.push("--causal");
    }
    approx_error(&flags).unwrap().rows
}

#[test]
fn no_matrix_of_its_rank_is_nearer_than_the_truncated_decomposition() {
    for mask in [Mask::Full, Mask::Causal] {
        let rows = run(mask);
        let mut bounded = 0;
        for row in 0..rows.rows.len() {
            let name = format!("{mask:?} {:?} {:?}", cell(&rows, row, "mechanism"), cell(&rows, row, "l"));
            let Some(best) = cell(&rows, row, "optimal_rel_fro").number() else { continue };
            bounded += 1;
            let error = number(&rows, row, "matrix_rel_fro");
            assert!(error >= best * (1.0 - 1e-4) - 1e-5, "{name}: {error} below {best}");
            let (error, best) =
                (number(&rows, row, "matrix_rel_spectral"), number(&rows, row, "optimal_rel_spectral"));
            assert!(error >= best * (1.0 - 2e-3) - 1e-5, "{name}: {error} below {best} by operator norm");
        }
        // Under the causal mask only the truncated decomposition has a bound.
        let least = if mask == Mask::Full { 40 } else { 8 };
        assert!(bounded >= least, "{mask:?}: only {bounded} cells have a rank bound");
    }
}

#[test]
fn figures_stay_in_their_ranges() {
    for mask in [Mask::Full, Mask::Causal] {
        let rows = run(mask);
        let mut weights = 0;
        for row in 0..rows.rows.len() {
            let name = format!("{mask:?} {:?}", cell(&rows, row, "mechanism"));
            let of = |column: &str| number(&rows, row, column);
            assert!(of("matrix_rel_fro") >= 0.0 && of("output_rel_fro") >= 0.0, "{name}");
            assert!(of("output_cosine").abs() <= 1.0 + 1e-6, "{name}");
            assert!(of("output_rel_spectral") <= of("output_rel_fro") * 4.0 + 1e-6, "{name}: 16 columns");
            let stochastic = ALL.iter().any(|kind| {
                kind.stochastic && cell(&rows, row, "mechanism").exact().split(':').next() == Some(kind.name)
            });
            if stochastic {
                assert!(of("row_kl") >= -1e-5 && (-1e-6..=1.0 + 1e-5).contains(&of("row_tv")), "{name}");
                assert!(of("row_sum_drift") < 1e-3, "{name}: {}", of("row_sum_drift"));
                weights += 1;
            }
        }
        assert!(weights >= 16, "{mask:?}: only {weights} cells of mechanisms whose rows are weights");
    }
}

#[test]
fn softmax_and_the_whole_decomposition_are_exact() {
    let rows = run(Mask::Full);
    let mut exact = 0;
    for row in 0..rows.rows.len() {
        let whole = cell(&rows, row, "l").number() == Some(96.0);
        match cell(&rows, row, "mechanism").exact().as_str() {
            "softmax" => {}
            "svd" if whole => {}
            _ => continue,
        }
        exact += 1;
        assert!(number(&rows, row, "matrix_rel_fro") < 1e-5);
        assert!(number(&rows, row, "output_rel_fro") < 1e-5);
    }
    assert_eq!(exact, 8, "two heads, two draws, two mechanisms");
}

#[test]
fn the_truncated_decomposition_is_the_optimum_beside_it() {
    let flags =
        ["--synthetic", "gaussian:logit_sd=2", "--seq-len", "80", "--l", "1,7,30", "--mechanism", "svd"];
    let rows = approx_error(&flags).unwrap().rows;
    for row in 0..rows.rows.len() {
        for (own, best) in [
            ("matrix_rel_fro", "optimal_rel_fro"),
            ("matrix_rel_spectral", "optimal_rel_spectral"),
            ("output_rel_fro", "optimal_output_rel_fro"),
        ] {
            let (own, best) = (number(&rows, row, own), number(&rows, row, best));
            assert!((own - best).abs() < 1e-3 * best + 1e-5, "{own} {best}");
        }
        assert!((number(&rows, row, "gap") - 1.0).abs() < 1e-3);
    }
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let input = ["--synthetic", "gaussian:logit_sd=1", "--seq-len", "40", "--windows", "1"];
    let of = |more: &[&str]| approx_error(&[&input[..], more].concat()).unwrap().rows;
    let alone = of(&["--mechanism", "performer", "--l", "8"]);
    let among = of(&["--mechanism", "luna,performer,nystrom", "--l", "4,8"]);
    let same = among.rows.iter().filter(|row| **row == alone.rows[0]).count();
    assert_eq!((alone.rows.len(), same), (1, 1));
}

#[test]
fn every_l_for_those_that_take_one() {
    let input = ["--synthetic", "gaussian", "--seq-len", "40", "--windows", "1", "--l", "4,8"];
    let rows = approx_error(&[&input[..], &["--mechanism", "luna,linear,nystrom:l=5,synthesizer"]].concat())
        .unwrap()
        .rows;
    let found: Vec<(String, String)> = (0..rows.rows.len())
        .map(|row| (cell(&rows, row, "mechanism").exact(), cell(&rows, row, "l").exact()))
        .collect();
    let expected = [("luna", "4"), ("luna", "8"), ("linear", ""), ("nystrom", "5"), ("synthesizer", "")];
    assert_eq!(found, expected.map(|(name, l)| (name.to_string(), l.to_string())));
}

#[test]
fn an_l_above_n_is_left_out_unless_it_was_typed() {
    let input = ["--synthetic", "gaussian", "--seq-len", "24,48", "--windows", "1", "--l", "8,32"];
    let report = approx_error(&[&input[..], &["--mechanism", "luna,nystrom:l=30"]].concat()).unwrap();
    let of = |row: usize, column: &str| cell(&report.rows, row, column).exact();
    let mut found: Vec<[String; 3]> = (0..report.rows.rows.len())
        .map(|row| ["n", "mechanism", "l"].map(|column| of(row, column)))
        .collect();
    found.sort();
    let expected = [
        ["24", "luna", "8"],
        ["24", "nystrom", "30"],
        ["48", "luna", "32"],
        ["48", "luna", "8"],
        ["48", "nystrom", "30"],
    ];
    assert_eq!(found, expected.map(|row| row.map(String::from)));
    let notes = report.notes.join("\n");
    assert!(notes.contains("an l of --l above n is left out: 32 at n = 24\n"), "{notes}");
    assert!(notes.contains("l above n as typed: nystrom:l=30 at n = 24;"), "{notes}");
    let message = refusal(&[&input[..], &["--l", "64,128", "--mechanism", "luna"]].concat());
    assert!(message.contains("--l: '64,128'") && message.contains("n = 48 or less"), "{message}");
}

#[test]
fn notes_say_what_has_no_rank_bound_and_whose_rows_do_not_sum_to_1() {
    let notes = |more: &[&str]| {
        let input = ["--synthetic", "gaussian", "--seq-len", "24", "--windows", "1", "--l", "8,24"];
        approx_error(&[&input[..], more].concat()).unwrap().notes
    };
    let starts = |notes: &[String], start: &str| notes.iter().any(|note| note.starts_with(start));
    let full = notes(&["--mechanism", "softmax,luna,local,linear,bigbird"]);
    assert!(starts(&full, "no rank bound: local, bigbird;"), "{full:?}");
    assert!(!starts(&full, "rows of the matrices"), "{full:?}");
    let causal = notes(&["--causal", "--mechanism", "luna-causal:weight=elu,performer,svd"]);
    assert!(starts(&causal, "no rank bound: luna-causal:weight=elu, performer;"), "{causal:?}");
    assert!(
        starts(&causal, "rows of the matrices of luna-causal:weight=elu, svd do not sum to 1"),
        "{causal:?}"
    );
    assert!(!starts(&notes(&["--mechanism", "luna"]), "no rank bound"));
}

#[test]
fn mechanisms_without_a_form_for_the_mask_are_left_out_while_others_remain() {
    let input = ["--synthetic", "gaussian", "--causal", "--seq-len", "24", "--windows", "1", "--l", "4,8"];
    let report = approx_error(&[&input[..], &["--mechanism", "luna,linear,linformer"]].concat()).unwrap();
    assert!((0..report.rows.rows.len()).all(|row| cell(&report.rows, row, "mechanism").exact() == "linear"));
    let note = "left out, for want of a causal form: luna, linformer";
    assert!(report.notes.iter().any(|said| said == note), "{:?}", report.notes);
    let refused = refusal(&[&input[..], &["--mechanism", "luna,linformer"]].concat());
    let expected = "--mechanism: 'luna, linformer' is not accepted; accepted: mechanisms with a causal form";
    assert!(refused.starts_with(expected), "{refused}");
    // A mistake in a spec is one all the same.
    assert!(
        refusal(&[&input[..], &["--mechanism", "linear,luna:k=3"]].concat()).contains("no parameter 'k'")
    );
}

#[test]
fn a_block_of_the_whole_input_is_said_to_be_softmax() {
    let specs = "bigbird:block=512,bigbird:block=8,sinkhorn:block=24";
    let input = ["--synthetic", "gaussian", "--seq-len", "24", "--windows", "1", "--l", "8"];
    let report = approx_error(&[&input[..], &["--mechanism", specs]].concat()).unwrap();
    for row in [0, 2] {
        assert!(number(&report.rows, row, "matrix_rel_fro") < 1e-5);
    }
    let whole = "softmax attention itself: bigbird:block=512, sinkhorn:block=24 at n = 24";
    assert!(report.notes.iter().any(|note| note.ends_with(whole)), "{:?}", report.notes);
}

#[test]
fn the_tolerance_of_a_mechanism_that_never_reaches_it() {
    let heads = |count: usize| {
        let sds = (0..count).map(|head| format!("gaussian:logit_sd={}", 3.0 + head as f64 / 8.0));
        sds.collect::<Vec<_>>().join(",")
    };
    let reached = |heads: &str| {
        let flags = ["--synthetic", heads, "--seq-len", "64", "--windows", "1", "--l", "4,16,64"];
        let more = ["--mechanism", "luna,svd", "--target-error", "0.2"];
        let report = approx_error(&[&flags[..], &more].concat()).unwrap();
        report.views.into_iter().find(|(name, _)| name == "reach").unwrap().1
    };
    let reach = reached(&heads(8));
    assert_eq!(cell(&reach, 0, "reached").exact(), "not reached");
    assert_eq!(cell(&reach, 0, "l_star").number(), None);
    let (svd, optimum) = (number(&reach, 1, "l_star"), number(&reach, 2, "l_star"));
    assert!((svd - optimum).abs() < 0.05 && (4.0..64.0).contains(&svd), "{svd} {optimum}");
    assert!(number(&reach, 1, "l_star_low") <= svd && svd <= number(&reach, 1, "l_star_high"));
    // Resamples of a few heads stay among them, and would say more than is known.
    let few = reached(&heads(7));
    assert!(number(&few, 1, "l_star") > 4.0 && cell(&few, 1, "l_star_low").number().is_none());
}

#[test]
fn aggregated_rows_are_means_of_the_others() {
    let flags = [
        "--synthetic",
        "gaussian:logit_sd=1,gaussian:logit_sd=2",
        "--seq-len",
        "40",
        "--windows",
        "3",
        "--l",
        "8",
    ];
    let of =
        |more: &[&str]| approx_error(&[&flags[..], &["--mechanism", "luna"], more].concat()).unwrap().rows;
    let (rows, means) = (of(&[]), of(&["--aggregate"]));
    for metric in ["matrix_rel_fro", "row_kl", "output_rel_fro"] {
        let all: Vec<f64> = (0..rows.rows.len()).map(|row| number(&rows, row, metric)).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!((number(&means, 0, metric) - mean).abs() < 1e-12, "{metric}");
    }
    let best: Vec<f64> = (0..rows.rows.len()).map(|row| number(&rows, row, "optimal_rel_fro")).collect();
    assert_eq!(cell(&means, 1, "mechanism").exact(), "best of rank l (SVD)");
    assert!(
        (number(&means, 1, "matrix_rel_fro") - best.iter().sum::<f64>() / best.len() as f64).abs() < 1e-12
    );
    let (low, mid, high) = ("output_rel_fro_low", "output_rel_fro", "output_rel_fro_high");
    assert!(
        number(&means, 0, low) <= number(&means, 0, mid) && number(&means, 0, mid) <= number(&means, 0, high)
    );
}

#[test]
fn the_gap_of_several_heads_is_a_ratio_of_means() {
    // The optimum of the second head is far below that of the first.
    let flags =
        ["--synthetic", "gaussian:logit_sd=3,gaussian:logit_sd=0.1,d_h=4", "--seq-len", "40", "--l", "8"];
    let of = |more: &[&str]| approx_error(&[&flags[..], &["--mechanism", "luna"], more].concat()).unwrap();
    let (single, means) = (of(&[]), of(&["--aggregate"]));
    let mean = |column: &str| {
        let cells = single.rows.cells(column).unwrap().map(|cell| cell.number().unwrap());
        cells.sum::<f64>() / single.rows.rows.len() as f64
    };
    let (ratio, ratios) = (mean("matrix_rel_fro") / mean("optimal_rel_fro"), mean("gap"));
    assert!((ratios / ratio - 1.0).abs() > 0.05, "the two differ here: {ratios} {ratio}");
    let gap = number(&means.rows, 0, "gap");
    assert!((gap - ratio).abs() < 1e-12, "{gap} {ratio}");
    assert!(number(&means.rows, 0, "gap_low") < gap && gap < number(&means.rows, 0, "gap_high"));
    let (_, summary) = &means.views[0];
    let row = (0..2).find(|row| cell(summary, *row, "mechanism").exact() == "luna").unwrap();
    assert!((number(summary, row, "gap") - ratio).abs() < 1e-12);
}

#[test]
fn heads_that_are_only_matrices_are_refused() {
    let message = refusal(&["--synthetic", "identity"]);
    assert!(message.contains("'identity'") && message.contains("queries, keys and values"), "{message}");
}

#[test]
fn bad_parameters_are_refused_in_one_line() {
    for (spec, more, parts) in [
        ("luna:l=0", &[][..], &["'l'", "'luna'", "'0'", "1 or more"][..]),
        ("luna:k=16", &[], &["'luna' takes no parameter 'k'", "it takes: l=16"]),
        ("luna:p=segments", &[], &["'p'", "'segments'", "random, segment, kmeans or fitted"]),
        ("lunna", &[], &["attention 'lunna'", "did you mean 'luna'?", "known: softmax, luna"]),
        ("linformer:l=64", &["--seq-len", "520", "--windows", "1"], &["'max'", "520", "linformer"]),
        ("synthesizer", &["--seq-len", "520", "--windows", "1"], &["'max'", "520", "synthesizer"]),
        ("bigbird:block=0", &[], &["'block'", "'bigbird'", "'0'"]),
        ("bigbird:window=2", &[], &["'window'", "'bigbird'", "'2'"]),
        (
            "luna",
            &["--causal"],
            &["luna:l=4 has no causal form; this model is causal", "(luna-causal has one)"],
        ),
        ("luna-causal", &[], &["luna-causal:l=4 has no form without a mask", "(luna has one)"]),
        ("luna:l=4,luna:l=4", &[], &["'luna:l=4'", "each mechanism once"]),
        ("luna", &["--seq-len", "4000000"], &["n = 4000000", "PiB, this machine has", "--seq-len"]),
        (
            "performer:l=1048576",
            &["--seq-len", "65536"],
            &["'performer:l=1048576' at n = 65536", "TiB, this machine has", "--l"],
        ),
        ("linformer:l=524288", &["--seq-len", "65536"], &["'linformer:l=524288'", "needs", "--l"]),
        ("luna", &["--l", "0"], &["--l: '0'", "1 or more"]),
        ("luna", &["--target-error", "0"], &["--target-error: '0'", "above 0"]),
        ("luna", &["--fit-windows", "2"], &["--fit-windows", "luna:p=fitted"]),
        ("luna:p=fitted", &["--windows", "1"], &["--windows: '1'", "2 or more"]),
        ("luna:p=fitted", &["--windows", "3", "--fit-windows", "3"], &["--fit-windows: '3'", "1 to 2"]),
    ] {
        let flags =
            [&["--synthetic", "gaussian", "--seq-len", "32", "--l", "4", "--mechanism", spec], more].concat();
        let message = refusal(&flags);
        assert!(!message.contains('\n'), "{message}");
        for part in parts {
            assert!(message.contains(part), "{spec} {more:?}: '{part}' is not in: {message}");
        }
    }
}
