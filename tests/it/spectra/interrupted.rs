//! What a study that was stopped says: only what it measured.

use std::sync::atomic::{AtomicUsize, Ordering};

use luna::report::Cell;
use luna::study::Watch;

use crate::study::watched;

/// Stops a study after so many steps.
struct Stop {
    after: usize,
    done: AtomicUsize,
}

impl Watch for Stop {
    fn step(&self, steps: usize, _: &str) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.done.load(Ordering::Relaxed) >= self.after
    }
}

#[test]
fn heads_with_fewer_windows_are_marked_and_counted() {
    let specs: Vec<String> = (0..40).map(|head| format!("gaussian:logit_sd={}", 1 + head)).collect();
    let specs = specs.join(",");
    let flags =
        ["--synthetic", &specs, "--seq-len", "24", "--windows", "4", "--at", "4", "--null-draws", "1"];
    // A head has three steps: itself and one draw of each null model.
    let stop = Stop { after: 3 * 60, done: AtomicUsize::new(0) };
    let outcome = watched(&flags, 0, &stop);
    assert!(!outcome.complete);
    let report = outcome.report;
    let rows = report.rows.rows.len();
    assert!((50..80).contains(&rows), "{rows} of 160 heads and windows");
    let stamp = report.stamp.to_json();
    assert_eq!(stamp["interrupted"], true);
    let first = &report.notes[0];
    assert!(first.starts_with("interrupted: ") && first.contains("of 4 windows"), "{first}");
    let summary = &report.views[0].1;
    let windows = summary.index("windows").unwrap();
    let counted: f64 = summary.rows.iter().map(|row| row[windows].number().unwrap()).sum();
    assert_eq!(counted as usize, rows, "the table counts the windows of each head");
    assert!(summary.rows.iter().any(|row| row[windows] != summary.rows[0][windows]));
    let about = report.notes.iter().find(|note| note.starts_with("verdicts:")).unwrap();
    assert!(!about.contains("over 4 windows"), "{about}");
    let verdict = summary.index("verdict").unwrap();
    let null = summary.index("null_erank").unwrap();
    for row in &summary.rows {
        let alone = row[windows] == Cell::Int(1);
        assert!(!alone || row[verdict] == "undecided".into(), "one window and one draw decide nothing");
        assert!(row[null] != Cell::Missing, "what was measured of the null model is shown");
    }
}

#[test]
fn a_complete_run_says_so() {
    let stop = Stop { after: usize::MAX, done: AtomicUsize::new(0) };
    let outcome = watched(&["--synthetic", "iid", "--seq-len", "12", "--at", "4"], 0, &stop);
    assert!(outcome.complete);
    assert_eq!(outcome.report.stamp.to_json()["interrupted"], false);
    assert!(outcome.report.notes.iter().all(|note| !note.contains("interrupted")));
}
