//! Interrupted sweeps and --resume.

use std::sync::atomic::{AtomicUsize, Ordering};

use luna::error::Error;
use luna::report::Report;
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

/// Steps of one length: 3 forms alone, and 6 rounds of them, a second copy and 3 pieces of the machine's own work.
const LENGTH: usize = 3 + 6 * 7;

/// Column by row.
fn column(report: &Report, name: &str) -> Vec<String> {
    rows(&report.rows).into_iter().map(|row| row[name].clone()).collect()
}

#[test]
fn finished_lengths_are_written_and_resumed_from() {
    let folder = tempfile::tempdir().unwrap();
    // The first length, and the second up to its third round.
    let stopped = outcome(FLAGS, Some(folder.path()), &After(AtomicUsize::new(LENGTH + 3 + 16))).unwrap();
    assert!(!stopped.complete && stopped.report.stamp.get("interrupted").is_some());
    let note = &stopped.report.notes[0];
    assert!(note.starts_with("interrupted: 3 of 6 cells were run; missing at n = 80"), "{note}");
    let states = column(&stopped.report, "state");
    assert_eq!(states, ["measured", "measured", "measured", "not reached", "not reached", "not reached"]);
    assert_eq!(column(&stopped.report, "rounds")[..3], ["6", "6", "6"]);
    let before = journal(folder.path());
    assert_eq!(before.len(), 1 + 1);

    let whole = outcome(FLAGS, Some(folder.path()), &Unwatched).unwrap();
    assert!(whole.complete);
    let after = journal(folder.path());
    assert_eq!(after.len(), 1 + 2);
    assert_eq!(after[..before.len()], before, "earlier lines are unchanged");
    assert_eq!(column(&whole.report, "rounds"), ["6"; 6]);
    for name in ["time_s", "time_low_s", "extra_memory_bytes"] {
        assert_eq!(column(&whole.report, name)[..3], column(&stopped.report, name)[..3], "{name}");
    }
    // Nothing is left to do: the same figures again.
    let again = outcome(FLAGS, Some(folder.path()), &Unwatched).unwrap();
    assert_eq!(again.report, whole.report);
    assert_eq!(journal(folder.path()), after);
}

#[test]
fn a_stop_before_the_first_length_ends_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for steps in [0, 2, LENGTH - 1] {
        let stopped = outcome(FLAGS, Some(folder.path()), &After(AtomicUsize::new(steps)));
        assert!(matches!(stopped, Err(Error::Interrupted)), "{steps}");
        assert_eq!(journal(folder.path()).len(), 1);
    }
}

#[test]
fn without_times_every_mechanism_is_a_cell() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [FLAGS, &["--measure", "flops,memory"]].concat();
    let stopped = outcome(&flags, Some(folder.path()), &After(AtomicUsize::new(4))).unwrap();
    assert!(!stopped.complete);
    assert_eq!(journal(folder.path()).len(), 1 + 4);
    let states = column(&stopped.report, "state");
    assert_eq!(states.iter().filter(|state| *state == "counted").count(), 4, "{states:?}");
    assert_eq!(states.iter().filter(|state| *state == "not reached").count(), 2, "{states:?}");
    // Nothing was timed: nothing is stated about times.
    for (name, table) in &stopped.report.views {
        if name == "crossover" {
            assert!(rows(table).iter().all(|row| row["how"] == "not timed" && row["n_time"].is_empty()));
        }
    }
    assert!(!stopped.report.notes.iter().any(|note| note.starts_with("break-even")));
    let whole = outcome(&flags, Some(folder.path()), &Unwatched).unwrap();
    assert_eq!(column(&whole.report, "state"), ["counted"; 6]);
    assert_eq!(journal(folder.path()).len(), 1 + 6);
}

#[test]
fn errors_are_resumed_window_by_window() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [FLAGS, &["--measure", "flops,error", "--windows", "3"]].concat();
    let whole = outcome(&flags, None, &Unwatched).unwrap();
    for steps in [1, 4, 3] {
        let stopped = outcome(&flags, Some(folder.path()), &After(AtomicUsize::new(steps))).unwrap();
        assert!(!stopped.complete);
        assert!(stopped.report.notes[0].starts_with("interrupted: "), "{:?}", stopped.report.notes);
    }
    let resumed = outcome(&flags, Some(folder.path()), &Unwatched).unwrap();
    assert!(resumed.complete);
    // Two lengths of three windows, and six mechanisms.
    assert_eq!(journal(folder.path()).len(), 1 + 6 + 6);
    for name in ["output_rel_fro", "output_rel_fro_low", "flops_counted", "gate_output"] {
        assert_eq!(column(&resumed.report, name), column(&whole.report, name), "{name}");
    }
}

#[test]
fn resume_refuses_another_configuration_and_measures_more() {
    let folder = tempfile::tempdir().unwrap();
    outcome(FLAGS, Some(folder.path()), &After(AtomicUsize::new(LENGTH + 2))).unwrap();
    let other = [FLAGS, &["--num-heads", "3"]].concat();
    let error = outcome(&other, Some(folder.path()), &Unwatched).unwrap_err().to_string();
    let expected = "the journal of another run (num_heads: '2' then, '3' now)";
    assert!(error.contains("journal.jsonl") && error.contains(expected), "{error}");
    // Fewer rounds are there already; more are measured, and so is what did not fit into a smaller budget.
    let rounds = |flags: &[&str]| {
        let found = outcome(&[FLAGS, flags].concat(), Some(folder.path()), &Unwatched).unwrap();
        assert!(found.complete);
        column(&found.report, "rounds")
    };
    assert_eq!(rounds(&["--rounds", "3"]), ["6", "6", "6", "3", "3", "3"]);
    assert_eq!(rounds(&["--rounds", "7"]), ["7"; 6]);
    assert_eq!(rounds(&["--rounds", "8", "--time-limit", "1e-6s"]), [""; 6]);
    assert_eq!(rounds(&["--rounds", "8", "--time-limit", "2m"]), ["8"; 6]);
    assert_eq!(journal(folder.path()).len(), 1 + 2 + 2 + 2 + 2);
}
