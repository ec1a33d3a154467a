//! `--task retrieval`: two towers learn which texts belong together.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fs;
use std::path::PathBuf;

use luna::linalg::engine::Engine;
use luna::name::List;
use luna::report::Report;
use luna::study::train::{TrainConfig, run};
use luna::study::{Context, Unwatched, evaluate};

/// Pairs of texts, each with one of two words at any place in it: label 1 where both have the same. No text alone says
/// anything of the label.
fn pairs(range: std::ops::Range<usize>, ids: &str) -> String {
    let text = |i: usize, word: usize| {
        let fill = |from: usize, length: usize| -> String {
            (0..length).map(|j| char::from(b'a' + ((i * 31 + (from + j) * 17) % 5) as u8)).collect()
        };
        format!("{} {} {}", fill(0, i % 7), ["xyxy", "zwzw"][word], fill(7, i * 5 % 9))
    };
    let line = |i: usize| {
        let (one, two) = (i % 2, i / 2 % 2);
        format!("{}\t{ids}{}\t{}\n", u8::from(one == two), text(i, one), text(3 * i + 1, two))
    };
    range.map(line).collect()
}

fn number(report: &Report, column: &str) -> f64 {
    report.rows.cells(column).unwrap().next().unwrap().number().unwrap()
}

#[test]
fn texts_that_belong_together_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let context = || Context { seed: 1, engine: Engine::default(), watch: &Unwatched };
    let test = file("test.tsv", pairs(400..500, ""));
    let config = TrainConfig {
        task: "retrieval".into(),
        data: Some(file("train.tsv", pairs(0..400, ""))),
        test: Some(test.clone()),
        mechanism: Some("luna:l=4".into()),
        seq_len: Some(32),
        d: Some(32),
        num_heads: Some(2),
        num_layers: Some(1),
        steps: Some(200),
        batch: Some(16),
        rate: List::new([3e-3]),
        folder: Some(folder.path().join("run")),
        ..TrainConfig::default()
    };
    let report = run(&config, context()).unwrap().report;
    let accuracy = number(&report, "test_accuracy");
    assert!(accuracy > 0.9, "{accuracy}, where chance is 0.5");
    assert_eq!(number(&report, "constant_accuracy"), 0.5);
    for note in [
        "chance: the best constant answer is right for 50.0 %",
        "360 training, 40 validation and 100 test pairs",
    ] {
        assert!(report.notes.iter().any(|found| found.contains(note)), "{:?}", report.notes);
    }
    // The network on the disk, on a file in Long Range Arena's layout.
    let arena = file("arena.tsv", pairs(400..500, "id1\tid2\t"));
    for data in [test, arena] {
        let config = evaluate::EvaluateConfig { run: folder.path().join("run"), data, batch: 7 };
        let found = evaluate::run(&config, context()).unwrap().report;
        assert_eq!((number(&found, "accuracy"), number(&found, "answers")), (accuracy, 100.0));
    }
}
