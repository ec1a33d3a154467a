//! Which tokens of a text are read: windows spread over it, other strides, and what is said of them.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use luna::report::Report;
use serde_json::Value;

use crate::approx_error::approx_error;
use crate::study::svd_spectrum;

/// A table of contents, and then the text: words that count up.
fn book(folder: &Path) -> PathBuf {
    let mut text = "CHAPTER ........ 1\n".repeat(100);
    (0..3000).for_each(|word| write!(text, "word{word} ").unwrap());
    let path = folder.join("book.txt");
    fs::write(&path, text).unwrap();
    path
}

fn fact(report: &Report, key: &str) -> Value {
    report.stamp.get(key).cloned().unwrap_or_else(|| panic!("no {key} in the stamp"))
}

fn starts(report: &Report) -> Vec<usize> {
    serde_json::from_value(fact(report, "window_starts")).unwrap()
}

fn read(path: &Path, more: &[&str], seed: u64) -> Report {
    let input = ["--text", path.to_str().unwrap(), "--seq-len", "64", "--null", "none", "--layers", "0"];
    svd_spectrum(&[&input[..], &["--heads", "0", "--at", "4"], more].concat(), seed)
}

fn said(report: &Report, part: &str) -> bool {
    report.notes.iter().any(|note| note.contains(part))
}

#[test]
fn the_default_reads_the_whole_text_and_not_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = book(folder.path());
    let text = fs::read_to_string(&path).unwrap();
    let report = read(&path, &[], 0);
    let found = starts(&report);
    assert_eq!(found.len(), 8, "as many as need no warning");
    assert!(!said(&report, "too narrow"), "{:?}", report.notes);
    assert_eq!(fact(&report, "stride"), "spread");
    assert_eq!(fact(&report, "text_tokens"), text.len());
    for (i, start) in found.iter().enumerate() {
        let (from, to) = (text.len() * i / 8, text.len() * (i + 1) / 8);
        assert!((from..=to - 64).contains(start), "window {i} of {found:?} lies in its eighth");
        let before = text.as_bytes()[start - 1];
        assert!(before.is_ascii_whitespace() || text.as_bytes()[*start] == b' ', "window {i} begins a word");
    }
    assert!(!said(&report, "only the first"), "{:?}", report.notes);
    let first = text[found[0]..].split_whitespace().next().unwrap();
    let place = format!(
        "read: 8 windows of 64 tokens (stride spread), tokens {} to {} of {} of ",
        found[0],
        found[7] + 63,
        text.len()
    );
    assert!(
        said(&report, &place) && said(&report, &format!("the first begins '{first} ")),
        "{:?}",
        report.notes
    );
    // The seed decides, and every study reads the same.
    assert_eq!(starts(&read(&path, &[], 0)), found);
    assert_ne!(starts(&read(&path, &[], 1)), found);
    let input = ["--text", path.to_str().unwrap(), "--seq-len", "64", "--l", "4", "--mechanism", "linear"];
    for more in [&["--layers", "0"][..], &["--substitute", "0"]] {
        assert_eq!(starts(&approx_error(&[&input[..], more].concat()).unwrap()), found, "{more:?}");
    }
}

#[test]
fn other_strides_begin_where_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = book(folder.path());
    let report = read(&path, &["--stride", "contiguous", "--windows", "3"], 0);
    assert_eq!(starts(&report), [0, 64, 128]);
    assert!(
        said(&report, "only the first 0.") && said(&report, "--stride spread reads all of it"),
        "{:?}",
        report.notes
    );
    assert!(said(&report, "begins 'CHAPTER ........ 1 CHAPTER"), "{:?}", report.notes);
    let report = read(&path, &["--stride", "1000", "--windows", "3", "--skip-tokens", "5000"], 0);
    assert_eq!(starts(&report), [5000, 6000, 7000]);
    assert!(!said(&report, "only the first"), "whoever skips knows: {:?}", report.notes);
    // One window is where it is asked for.
    let report = read(&path, &["--windows", "1", "--skip-tokens", "5000"], 0);
    assert_eq!(starts(&report), [5000]);
    let report = read(&path, &["--windows", "1"], 0);
    assert_eq!(starts(&report), [0]);
    assert!(said(&report, "--windows 8 are spread over all of it"), "{:?}", report.notes);
    // Windows of several lengths begin together, so that a comparison of lengths is one of lengths.
    let found = starts(&read(&path, &["--windows", "3"], 0));
    let report = read(&path, &["--windows", "3", "--seq-len", "16,64"], 0);
    assert_eq!(starts(&report), found);
    assert_eq!(report.rows.rows.len(), 6);
    // What is skipped is not read.
    let skipped = starts(&read(&path, &["--skip-tokens", "20000"], 0));
    assert!(skipped.iter().all(|start| *start >= 20_000) && skipped.len() == 8, "{skipped:?}");
}

#[test]
fn the_number_of_windows_is_the_texts_where_nobody_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.txt");
    fs::write(&path, "a short text ".repeat(16)).unwrap();
    let report = read(&path, &[], 0);
    assert_eq!(starts(&report).len(), 3, "208 bytes are three windows of 64");
    assert!(said(&report, "too narrow"), "{:?}", report.notes);
}

#[test]
fn lists_of_ids_are_taken_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ids.json");
    let tokens = |count: usize, more: &[&str]| {
        let ids: Vec<usize> = (0..count).map(|id| id % 256).collect();
        fs::write(&path, serde_json::json!({ "input_ids": [ids] }).to_string()).unwrap();
        let input =
            ["--tokens", path.to_str().unwrap(), "--seq-len", "32", "--null", "none", "--layers", "0"];
        svd_spectrum(&[&input[..], &["--heads", "0", "--at", "4"], more].concat(), 0)
    };
    assert_eq!(starts(&tokens(32, &[])), [0]);
    assert_eq!(starts(&tokens(60, &[])), [0], "one list that is hardly longer");
    assert!(said(&tokens(60, &[]), "the first begins 0 1 2 3 4 5 6 7 ..."));
    // A whole number of windows are those windows.
    let found = starts(&tokens(32 * 20, &[]));
    assert!(found.len() == 8 && found.iter().all(|start| start % 32 == 0), "{found:?}");
    assert!(found.is_sorted_by(|a, b| a < b) && found[7] >= 32 * 17, "{found:?}");
    assert_eq!(starts(&tokens(32 * 20, &["--windows", "20"])), (0..20).map(|i| 32 * i).collect::<Vec<_>>());
    let found = starts(&tokens(10_007, &["--windows", "3"]));
    assert!(found[2] > 6600, "{found:?}");
}
