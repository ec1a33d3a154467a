//! A run that is stopped speaks of what it has measured, and says that it was stopped.

use std::sync::atomic::{AtomicUsize, Ordering};

use luna::study::Watch;
use serde_json::json;

use super::outcome;
use crate::study::{cell, number};

/// Asks to stop after so many steps.
struct Impatient {
    left: AtomicUsize,
}

impl Watch for Impatient {
    fn step(&self, steps: usize, _message: &str) {
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(steps)));
    }

    fn stopped(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// Of one thread, whose work comes in its order.
fn stopped_after(steps: usize, flags: &[&str]) -> luna::study::Outcome {
    let watch = Impatient { left: AtomicUsize::new(steps) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| outcome(flags, 0, &watch)).unwrap()
}

#[test]
fn means_and_notes_are_of_what_was_measured() {
    let heads = "gaussian:logit_sd=1,gaussian:logit_sd=2,gaussian:logit_sd=3";
    let flags = [
        "--synthetic",
        heads,
        "--seq-len",
        "24",
        "--windows",
        "3",
        "--l",
        "4",
        "--mechanism",
        "luna,nystrom",
    ];
    let mut mixed = 0;
    for steps in [2, 6, 8, 12, 14] {
        let found = stopped_after(steps, &flags);
        assert!(!found.complete, "{steps}");
        let report = found.report;
        assert_eq!(report.stamp.get("interrupted"), Some(&json!(true)));
        assert!(report.notes[0].starts_with("interrupted: not everything"), "{:?}", report.notes);
        // Heads and windows that are there, from the rows.
        let mut windows = std::collections::BTreeMap::<String, usize>::new();
        for row in
            (0..report.rows.rows.len()).filter(|row| cell(&report.rows, *row, "mechanism").exact() == "luna")
        {
            *windows.entry(cell(&report.rows, row, "input").exact()).or_default() += 1;
        }
        let heads = windows.len();
        let said = |part: &str| report.notes.iter().any(|note| note.contains(part));
        match heads {
            1 => assert!(said("one head: no interval"), "{steps}: {:?}", report.notes),
            _ => assert!(said(&format!("Student's over {heads} heads")), "{steps}: {:?}", report.notes),
        }
        let counts: std::collections::BTreeSet<usize> = windows.values().copied().collect();
        assert_eq!(
            said("means are not over the same windows"),
            counts.len() > 1,
            "{steps}: {:?}",
            report.notes
        );
        if let (Some(least), Some(most), 2) = (counts.first(), counts.last(), counts.len()) {
            let of = |count: usize| windows.values().filter(|windows| **windows == count).count();
            let told = format!("{} heads over {most}, {} heads over {least}", of(*most), of(*least));
            assert!(said(&told), "{steps}: {told} {:?}", report.notes);
            mixed += 1;
        }
        let differences = report.views.iter().find(|(name, _)| name == "differences_n24").unwrap();
        assert_eq!(number(&differences.1, 0, "heads"), heads as f64);
    }
    assert!(mixed >= 1, "some run was stopped between windows");
}

#[test]
fn a_run_that_ends_has_no_such_stamp() {
    let flags =
        ["--synthetic", "gaussian", "--seq-len", "24", "--windows", "1", "--l", "4", "--mechanism", "luna"];
    let found = outcome(&flags, 0, &luna::study::Unwatched).unwrap();
    assert!(found.complete && found.report.stamp.get("interrupted").is_none());
}
