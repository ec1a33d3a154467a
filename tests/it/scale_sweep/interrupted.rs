//! Interrupted sweeps and --resume.

use std::sync::atomic::{AtomicUsize, Ordering};

use luna::study::{Unwatched, Watch};

use super::{outcome, rows};

const FLAGS: &[&str] =
    &["--mechanism", "softmax,luna", "--seq-len", "40,80", "--l", "8", "--num-heads", "2", "--rounds", "6"];

/// Asks to stop after so many steps.
struct After(AtomicUsize);

impl Watch for After {
    fn step(&self, steps: usize, _: &str) {
        self.0.fetch_sub(steps.min(self.0.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

fn journal(folder: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    text.lines().map(Into::into).collect()
}

#[test]
fn finished_lines_are_written_and_resumed_from() {
    let folder = tempfile::tempdir().unwrap();
    // 6 cells, and 2 rounds of 6 cells, 2 second copies and 3 pieces of the machine's own work; then half a round.
    let stopped = outcome(FLAGS, Some(folder.path()), &After(AtomicUsize::new(6 + 2 * 11 + 5))).unwrap();
    assert!(!stopped.complete);
    assert!(stopped.report.notes[0].starts_with("interrupted"));
    for row in rows(&stopped.report.rows) {
        assert_eq!((&*row["state"], &*row["rounds"]), ("measured", "2"));
    }
    let before = journal(folder.path());
    assert_eq!(before.len(), 1 + 6 + 2);

    let on = [FLAGS, &["--resume", "--out", "there"]].concat();
    let whole = outcome(&on, Some(folder.path()), &Unwatched).unwrap();
    assert!(whole.complete);
    let after = journal(folder.path());
    assert_eq!(after.len(), 1 + 6 + 6);
    assert_eq!(after[..before.len()], before, "earlier lines are unchanged");
    for (early, late) in rows(&stopped.report.rows).iter().zip(rows(&whole.report.rows)) {
        assert_eq!(late["rounds"], "6");
        assert_eq!(early["extra_memory_bytes"], late["extra_memory_bytes"]);
    }
    // Nothing is left to do: the same figures again.
    let again = outcome(&on, Some(folder.path()), &Unwatched).unwrap();
    assert_eq!(rows(&again.report.rows), rows(&whole.report.rows));
    assert_eq!(again.report.notes, whole.report.notes);
}

#[test]
fn a_stop_between_cells_leaves_the_finished_ones() {
    let folder = tempfile::tempdir().unwrap();
    let stopped = outcome(FLAGS, Some(folder.path()), &After(AtomicUsize::new(3))).unwrap();
    assert!(!stopped.complete);
    assert!(stopped.report.stamp.get("interrupted").is_some());
    assert!(
        stopped.report.notes[0].starts_with("interrupted: ")
            && stopped.report.notes[0].contains("3 of 6 cells")
    );
    // Nothing was timed in rounds: nothing is stated about times.
    for (name, table) in &stopped.report.views {
        if name == "crossover" {
            assert!(rows(table).iter().all(|row| row["how"] == "not timed" && row["n_time"].is_empty()));
        }
    }
    assert!(!stopped.report.notes.iter().any(|note| note.starts_with("break-even")));
    assert_eq!(journal(folder.path()).len(), 1 + 3);
    let states: Vec<String> =
        rows(&stopped.report.rows).into_iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| state.starts_with("once")).count(), 3, "{states:?}");
    assert_eq!(states.iter().filter(|state| *state == "not reached").count(), 3, "{states:?}");
}

#[test]
fn resume_refuses_another_configuration() {
    let folder = tempfile::tempdir().unwrap();
    outcome(FLAGS, Some(folder.path()), &After(AtomicUsize::new(2))).unwrap();
    let other = [FLAGS, &["--num-heads", "3", "--resume", "--out", "there"]].concat();
    let error = outcome(&other, Some(folder.path()), &Unwatched).unwrap_err().to_string();
    assert!(error.contains("journal.jsonl") && error.contains("(heads: '2' then, '3' now)"), "{error}");
    // A longer budget or more rounds are the same sweep.
    let longer = [FLAGS, &["--budget", "2m", "--rounds", "3", "--resume", "--out", "there"]].concat();
    assert!(outcome(&longer, Some(folder.path()), &Unwatched).unwrap().complete);
}
