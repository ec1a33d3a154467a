//! Trainings: what they learn, that they go on where they stood, and what they refuse.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::fs;
use std::path::Path;

use luna::linalg::engine::Engine;
use luna::name::List;
use luna::report::{Report, Table};
use luna::stats::student_mean_at;
use luna::study::train::{TrainConfig, run};
use luna::study::{Context, Outcome, Unwatched, Watch};
use serde_json::Value;

fn with_seed(config: &TrainConfig, seed: u64, watch: &dyn Watch) -> luna::Result<Outcome> {
    run(config, Context { seed, engine: Engine::default(), watch })
}

fn trained(config: &TrainConfig) -> Report {
    let outcome = with_seed(config, 1, &Unwatched).unwrap();
    assert!(outcome.complete);
    outcome.report
}

fn refused(config: &TrainConfig) -> String {
    with_seed(config, 1, &Unwatched).unwrap_err().to_string()
}

fn number(report: &Report, row: usize, column: &str) -> f64 {
    let at = report.rows.index(column).unwrap();
    report.rows.rows[row][at].number().unwrap_or_else(|| panic!("{column} of row {row}"))
}

/// Small enough for a test: two pairs in a dozen tokens.
fn recall() -> TrainConfig {
    TrainConfig {
        task: "recall:pairs=2,vocab=17,held=64".into(),
        seq_len: Some(12),
        d: Some(32),
        num_heads: Some(2),
        steps: Some(40),
        batch: Some(16),
        eval_every: Some(10),
        ..TrainConfig::default()
    }
}

/// Each line of `metrics.jsonl` without its seconds.
fn metrics(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("seconds");
        value
    };
    text.lines().map(line).collect()
}

#[test]
fn recall_is_learned_by_exact_attention() {
    let config = TrainConfig {
        task: "recall:pairs=2,vocab=9,held=64".into(),
        seq_len: Some(8),
        steps: Some(400),
        batch: Some(32),
        rate: List::new([3e-3]),
        mechanism: Some("softmax".into()),
        ..recall()
    };
    let report = trained(&config);
    assert!(number(&report, 0, "test_accuracy") > 0.9, "{:?}", report.rows.rows);
    assert!((number(&report, 0, "constant_accuracy") - 0.25).abs() < 1e-12);
    assert!(number(&report, 0, "train_loss") < 0.5);
    assert!(number(&report, 0, "memory_bytes") > 16.0 * number(&report, 0, "parameters"));
}

/// Asks to stop after so many looks at the flag.
struct Stopping(std::sync::atomic::AtomicUsize);

impl Watch for Stopping {
    fn stopped(&self) -> bool {
        let left = &self.0;
        left.fetch_update(
            std::sync::atomic::Ordering::Relaxed,
            std::sync::atomic::Ordering::Relaxed,
            |left| Some(left.saturating_sub(1)),
        )
        .unwrap()
            == 0
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let config = |folder: &Path, resume| TrainConfig {
        mechanism: Some("luna-causal:l=4,decay=learned".into()),
        p_spread: Some(0.5),
        rate_p: Some(2.0),
        dropout: Some(0.1),
        attention_dropout: Some(0.2),
        accumulate: Some(2),
        batch: Some(8),
        folder: Some(folder.to_path_buf()),
        resume,
        ..recall()
    };
    trained(&config(&whole, false));
    let stopping = Stopping(17.into());
    let outcome = with_seed(&config(&parts, false), 1, &stopping).unwrap();
    assert!(!outcome.complete);
    let begun = refused(&config(&parts, false));
    assert!(begun.contains("--resume"), "{begun}");
    // Killed between two checkpoints: lines behind the last one are done again.
    let log = parts.join("metrics.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(
        &log,
        format!(
            "{text}{{\"step\":19,\"loss\":1.0,\"rate\":0.1,\"gradient_norm\":1.0,\"seconds\":1.0}}\n{{\"st"
        ),
    )
    .unwrap();
    let outcome = with_seed(&config(&parts, true), 1, &Unwatched).unwrap();
    assert!(outcome.complete);
    assert_eq!(metrics(&whole), metrics(&parts));
    assert_eq!(metrics(&whole).len(), 44);
    for file in ["last.safetensors", "best/model.safetensors", "best/config.json"] {
        let read = |folder: &Path| fs::read(folder.join(file)).unwrap();
        // The peak is of the first process; weights and means are what must agree.
        if file == "last.safetensors" {
            let tail = |bytes: Vec<u8>| bytes[bytes.len() - 50_000..].to_vec();
            assert!(tail(read(&whole)) == tail(read(&parts)), "{file}");
        } else {
            assert!(read(&whole) == read(&parts), "{file}");
        }
    }
    // A training that was told otherwise is another one.
    let other = TrainConfig { rate: List::new([0.5]), ..config(&parts, true) };
    assert!(refused(&other).contains("other settings"), "{}", refused(&other));
    assert!(
        with_seed(&config(&parts, true), 2, &Unwatched).unwrap_err().to_string().contains("other settings")
    );
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_keeps_what_was_good() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        mechanism: Some("softmax".into()),
        rate: List::new([1e30]),
        clip: Some(0.0),
        warm_up: Some(0),
        eval_every: Some(1),
        schedule: Some("constant".into()),
        folder: Some(folder.path().join("run")),
        ..recall()
    };
    let error = refused(&config);
    assert!(error.contains("at step") && error.contains("--rate"), "{error}");
}

#[test]
fn several_are_trained_on_the_same_batches_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        compare: Some("softmax,linear,luna-causal:l=4,local:l=4".into()),
        seeds: Some(2),
        folder: Some(folder.path().to_path_buf()),
        steps: Some(6),
        ..recall()
    };
    let report = trained(&config);
    assert_eq!(report.rows.rows.len(), 8);
    let (name, table) = &report.views[0];
    assert_eq!((name.as_str(), table.rows.len()), ("compare", 4));
    assert!(table.rows.iter().all(|row| row[4].number().unwrap() <= row[5].number().unwrap()));
    // Seed by seed, by the figures of the rows, and from the best of the four.
    let (name, table) = &report.views[1];
    assert_eq!((name.as_str(), table.rows.len()), ("differences", 4));
    let cell =
        |table: &Table, row: usize, column: &str| table.rows[row][table.index(column).unwrap()].clone();
    let scores = |attention: &str| -> Vec<f64> {
        let own = (0..8).filter(|row| cell(&report.rows, *row, "attention").exact() == attention);
        own.map(|row| 100.0 * number(&report, row, "test_accuracy")).collect()
    };
    let best = scores(&cell(table, 0, "attention").exact());
    assert_eq!(cell(table, 0, "verdict").exact(), "best");
    for row in 1..4 {
        let own = scores(&cell(table, row, "attention").exact());
        let differences: Vec<f64> = own.iter().zip(&best).map(|(own, best)| own - best).collect();
        let ends = student_mean_at(&differences, 1.0 - 0.1 / 4.0).unwrap();
        for (column, expected) in [("diff", ends.mid), ("low", ends.low), ("high", ends.high)] {
            assert!((cell(table, row, column).number().unwrap() - expected).abs() < 1e-9, "{row} {column}");
        }
        let verdict = if ends.high < 0.0 { "lower" } else { "undecided" };
        assert_eq!((cell(table, row, "verdict").exact(), ends.mid <= 0.0), (verdict.into(), true));
    }
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains(" of 3 differences of accuracy from the best are decided"))
    );
    let rates = |run: &str| -> Vec<Value> {
        metrics(&folder.path().join(run)).iter().map(|line| line["rate"].clone()).collect()
    };
    assert_eq!(rates("softmax-seed1"), rates("luna-causal-l4-seed2"));
    assert_ne!(metrics(&folder.path().join("softmax-seed1")), metrics(&folder.path().join("softmax-seed2")));
}

#[test]
fn texts_are_learned_from_a_file_and_judged_on_another() {
    let folder = tempfile::tempdir().unwrap();
    // Good texts say "good" somewhere, bad ones "evil": to be seen at any place and any length.
    let line = |i: usize| {
        let word = if i.is_multiple_of(2) { "good" } else { "evil" };
        let fill: String =
            (0..5 + i * 7 % 20).map(|j| char::from(b'a' + ((i * 31 + j * 17) % 5) as u8)).collect();
        format!("{}\t{fill} {word} {fill}\n", i % 2)
    };
    let file = |name: &str, range: std::ops::Range<usize>| {
        let path = folder.path().join(name);
        fs::write(&path, range.map(line).collect::<String>()).unwrap();
        Some(path)
    };
    let config = TrainConfig {
        task: "text".into(),
        data: file("train.tsv", 0..200),
        test: file("test.tsv", 200..300),
        seq_len: Some(64),
        d: Some(32),
        num_heads: Some(2),
        steps: Some(120),
        batch: Some(16),
        rate: List::new([3e-3]),
        folder: Some(folder.path().join("run")),
        ..TrainConfig::default()
    };
    for attention in ["luna:l=4", "linformer:l=8"] {
        let run = folder.path().join(format!("run {}", attention.len()));
        let report = trained(&TrainConfig {
            mechanism: Some(attention.into()),
            folder: Some(run.clone()),
            ..config.clone()
        });
        assert!(number(&report, 0, "test_accuracy") > 0.9, "{attention}: {:?}", report.rows.rows);
        // What was kept is what was judged.
        let again =
            luna::study::evaluate::EvaluateConfig { run, data: config.test.clone().unwrap(), batch: 7 };
        let context = Context { seed: 0, engine: Engine::default(), watch: &Unwatched };
        let report_again = luna::study::evaluate::run(&again, context).unwrap().report;
        let accuracy = report_again.rows.cells("accuracy").unwrap().next().unwrap().number().unwrap();
        assert_eq!(accuracy, number(&report, 0, "test_accuracy"));
    }
    let mut wrong = config.clone();
    fs::write(folder.path().join("wrong.tsv"), "0\tgood\n1 no tab here\n1\tevil\n").unwrap();
    wrong.data = Some(folder.path().join("wrong.tsv"));
    let error = refused(&wrong);
    assert!(error.contains("wrong.tsv") && error.contains("line 2"), "{error}");
}

#[test]
fn mistakes_get_one_line_before_the_first_step() {
    let recall = || TrainConfig { mechanism: Some("softmax".into()), ..recall() };
    let cases: Vec<(TrainConfig, &[&str])> = vec![
        (TrainConfig { task: "recal".into(), ..recall() }, &["recal", "recall"]),
        (TrainConfig { mechanism: Some("luna:l=4".into()), ..recall() }, &["luna", "luna-causal"]),
        (TrainConfig { mechanism: Some("luna-causal:l=99".into()), ..recall() }, &["99", "12"]),
        (TrainConfig { mechanism: Some("materialised".into()), ..recall() }, &["materialised"]),
        (TrainConfig { mechanism: Some("softmax,linear".into()), ..recall() }, &["--compare"]),
        (TrainConfig { num_heads: Some(5), ..recall() }, &["--num-heads", "32"]),
        (TrainConfig { dropout: Some(1.0), ..recall() }, &["--dropout"]),
        (TrainConfig { attention_dropout: Some(1.0), ..recall() }, &["--attention-dropout", "below 1"]),
        (
            TrainConfig { mechanism: Some("linear".into()), attention_dropout: Some(0.1), ..recall() },
            &["--attention-dropout", "linear", "softmax, local, luna and luna-causal"],
        ),
        (TrainConfig { p_spread: Some(2.0), ..recall() }, &["--p-spread", "softmax", "no P"]),
        (TrainConfig { rate_p: Some(0.5), ..recall() }, &["--rate-p", "softmax", "no P"]),
        (TrainConfig { rate_p: Some(0.0), ..recall() }, &["--rate-p", "a finite number above 0"]),
        (TrainConfig { rate_p: Some(f64::INFINITY), ..recall() }, &["--rate-p", "a finite number above 0"]),
        (
            TrainConfig { p_chain: Some("off".into()), ..recall() },
            &["--p-chain", "'off'", "on: this network has no P"],
        ),
        // That it has no causal form comes before its l, which is above the length.
        (TrainConfig { mechanism: Some("linformer".into()), ..recall() }, &["a causal encoder: 'linformer'"]),
        (
            TrainConfig { mechanism: Some("luna-causal:decay=2".into()), ..recall() },
            &["decay", "above 0 and below 1, or learned"],
        ),
        (TrainConfig { preset: Some("lra-text".into()), ..recall() }, &["lra-text", "small-recall"]),
        (TrainConfig { schedule: Some("cosin".into()), ..recall() }, &["cosine"]),
        (TrainConfig { steps: Some(0), ..recall() }, &["--steps"]),
        (TrainConfig { d: Some(1 << 40), ..recall() }, &["--d", "16777216"]),
        (TrainConfig { d: Some(1 << 22), ..recall() }, &["softmax", "would need", "--batch"]),
        (TrainConfig { p_chain: Some("maybe".into()), ..recall() }, &["--p-chain", "on, off"]),
        (TrainConfig { task: "text".into(), ..recall() }, &["--data"]),
        (TrainConfig { task: "recall:pairs=9".into(), ..recall() }, &["12"]),
        (TrainConfig { data: Some("x".into()), ..recall() }, &["--data", "generated"]),
    ];
    for (config, words) in cases {
        let error = refused(&config);
        assert!(words.iter().all(|word| error.contains(word)) && !error.contains('\n'), "{error}");
    }
}
