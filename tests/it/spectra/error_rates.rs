//! A verdict has the error rate that it states: of heads that are draws of their own null model, 5 % are decided.

use luna::attention::{Mask, softmax};
use luna::report::{Cell, Report};
use luna::rng::{normal, stream};
use ndarray::Array3;
use ndarray_npy::WriteNpyExt;

use crate::study::svd_spectrum;

const HEADS: usize = 240;
const N: &str = "40";

/// How many rows are called lower or higher.
fn decided(report: &Report) -> usize {
    let verdict = report.rows.index("verdict").unwrap();
    let names: Vec<&Cell> = report.rows.rows.iter().map(|row| &row[verdict]).collect();
    assert_eq!(names.len(), HEADS);
    assert!(
        names.iter().all(|name| ["lower", "higher", "undecided"].map(Cell::from).contains(name)),
        "{names:?}"
    );
    names.iter().filter(|name| ***name != Cell::from("undecided")).count()
}

/// At most 5 % and three standard deviations.
fn assert_rate(report: &Report, what: &str) {
    let expected = 0.05 * HEADS as f64;
    let most = expected + 3.0 * (0.95 * expected).sqrt();
    let found = decided(report);
    assert!(found as f64 <= most, "{what}: {found} of {HEADS}");
}

/// Of one window each: every window of a synthetic head is a row with a verdict of its own.
fn one_window(flags: &[&str], what: &str) {
    let windows = HEADS.to_string();
    let common = ["--seq-len", N, "--at", "8", "--windows", &windows, "--aggregate=no"];
    assert_rate(&svd_spectrum(&[&common[..], flags].concat(), 21), what);
}

#[test]
fn untrained_heads_of_one_window_are_decided_in_one_of_twenty() {
    for draws in ["3", "20"] {
        for mask in [&[][..], &["--causal"]] {
            let gaussian = ["--synthetic", "gaussian", "--null", "gaussian", "--null-draws", draws];
            one_window(&[&gaussian[..], mask].concat(), &format!("gaussian, {draws} draws, {mask:?}"));
            let shuffled = ["--synthetic", "iid", "--null", "shuffled", "--null-draws", draws];
            one_window(&[&shuffled[..], mask].concat(), &format!("shuffled, {draws} draws, {mask:?}"));
        }
    }
}

/// Heads and draws that are estimated alike: their errors are as random as their differences.
#[test]
fn estimated_heads_of_one_window_are_decided_in_one_of_twenty() {
    let effort = ["--method", "quadrature", "--probes", "6", "--rounds", "8", "--null-draws", "3"];
    for input in
        [["--synthetic", "gaussian", "--null", "gaussian"], ["--synthetic", "iid", "--null", "shuffled"]]
    {
        for mask in [&[][..], &["--causal"]] {
            let windows = HEADS.to_string();
            let common = ["--seq-len", "80", "--at", "8", "--windows", &windows, "--aggregate=no"];
            let report = svd_spectrum(&[&common[..], &effort, &input, mask].concat(), 22);
            assert_rate(&report, &format!("{input:?}, {mask:?}"));
        }
    }
}

#[test]
fn untrained_heads_of_several_windows_are_decided_in_one_of_twenty() {
    // The label of a head draws it: heads of slightly different temperatures are different draws.
    let specs: Vec<String> =
        (0..HEADS).map(|head| format!("gaussian:logit_sd={}", 1.0 + 1e-4 * head as f64)).collect();
    let specs = specs.join(",");
    for (draws, windows) in [("3", "2"), ("3", "4"), ("20", "4")] {
        for mask in [&[][..], &["--causal"]] {
            let input = ["--synthetic", &specs, "--seq-len", N, "--at", "8", "--windows", windows];
            let null = ["--null", "gaussian", "--null-draws", draws, "--aggregate=yes"];
            let report = svd_spectrum(&[&input[..], &null, mask].concat(), 22);
            assert_rate(&report, &format!("{windows} windows, {draws} draws, {mask:?}"));
        }
    }
}

#[test]
fn dumped_untrained_heads_are_decided_in_one_of_twenty() {
    let n: usize = N.parse().unwrap();
    for mask in [Mask::Full, Mask::Causal] {
        let mut heads = Array3::<f32>::zeros((HEADS, n, n));
        for (head, mut matrix) in heads.outer_iter_mut().enumerate() {
            let mut rng = stream(23, &format!("head {head} {}", mask.name()));
            let (q, k) = (normal(&mut rng, n, 64), normal(&mut rng, n, 64));
            matrix.assign(&softmax::matrix(q.view(), k.view(), 0.125, mask));
        }
        let file = tempfile::Builder::new().suffix(".npy").tempfile().unwrap();
        heads.write_npy(file.as_file()).unwrap();
        for draws in ["3", "20"] {
            let input = ["--attention", file.path().to_str().unwrap(), "--at", "8"];
            let report =
                svd_spectrum(&[&input[..], &["--null", "gaussian", "--null-draws", draws]].concat(), 24);
            assert_rate(&report, &format!("a dump, {} mask, {draws} draws", mask.name()));
        }
    }
}

/// The other side of the error rate: what is no draw of its null model is found.
#[test]
fn heads_of_low_rank_are_still_found() {
    let flags =
        ["--synthetic", "rank:r=4", "--seq-len", N, "--at", "8", "--windows", "1", "--null", "gaussian"];
    let report = svd_spectrum(&flags, 25);
    let verdict = report.rows.index("verdict").unwrap();
    assert_eq!(report.rows.rows[0][verdict], "lower".into());
}
