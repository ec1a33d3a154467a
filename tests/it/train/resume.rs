//! A training that goes on is the same one, or is refused with what differs; and what is held out of a file.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use luna::Error;
use luna::linalg::engine::Engine;
use luna::report::{Cell, Report, Table};
use luna::study::train::{TrainConfig, run};
use luna::study::{Context, Unwatched, Watch};
use luna::task::bpe::Vocabulary;

fn trained(config: &TrainConfig) -> Result<Report, String> {
    let context = Context { seed: 1, engine: Engine::default(), watch: &Unwatched };
    run(config, context).map(|outcome| outcome.report).map_err(|error| error.to_string())
}

fn small(task: &str, data: PathBuf, run: PathBuf) -> TrainConfig {
    TrainConfig {
        task: task.into(),
        mechanism: Some("linear".into()),
        data: Some(data),
        seq_len: Some(16),
        d: Some(8),
        num_heads: Some(2),
        num_layers: Some(1),
        steps: Some(2),
        batch: Some(4),
        folder: Some(run),
        ..TrainConfig::default()
    }
}

/// Texts of two classes, sorted by class.
fn labelled(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, i| {
        writeln!(text, "{}\ttext {i}", i * 2 / count).unwrap();
        text
    })
}

/// Lists of two digits, sorted by value: ten of each.
fn lists() -> String {
    (0..100).fold(String::new(), |mut text, i| {
        writeln!(text, "{}\t[MIN {} 9 ]", i / 10, i / 10).unwrap();
        text
    })
}

fn lines(word: &str, count: usize) -> String {
    (0..count).fold(String::new(), |mut text, i| {
        writeln!(text, "{word} {i}").unwrap();
        text
    })
}

/// A file with another byte in it: as many bytes, under the same name.
fn changed(file: &Path, from: &str, to: &str) -> Vec<u8> {
    let before = fs::read(file).unwrap();
    let text = String::from_utf8(before.clone()).unwrap();
    let after = text.replacen(from, to, 1);
    assert!(after != text && after.len() == text.len(), "{}", file.display());
    fs::write(file, after).unwrap();
    before
}

#[test]
fn data_that_changed_under_its_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let run = |name: &str| folder.path().join(name);
    let tokenizer = run("words.json");
    let text = "to be or not to be\n".repeat(40);
    Vocabulary::train(text.lines(), 280).unwrap().save(&tokenizer).unwrap();
    let by_words = format!("language:tokens={}", tokenizer.display());
    let with_test = |config: TrainConfig, test: PathBuf| TrainConfig { test: Some(test), ..config };
    let [en, de] = ["en", "de"].map(|side| file(&format!("pairs.{side}"), &lines(side, 40)));
    let test = ["en", "de"].map(|side| file(&format!("more.{side}"), &lines(side, 4)));
    let pairs = with_test(small("translation:vocab=270", run("pairs"), run("t")), run("more"));
    let texts = with_test(small("text", file("a.tsv", &labelled(20)), run("a")), file("b.tsv", &labelled(4)));
    let cases = [
        (texts.clone(), run("a.tsv"), ("text 3", "text 4"), "--data: 'a.tsv"),
        (texts, run("b.tsv"), ("text 3", "text 4"), "--test: 'b.tsv"),
        (
            small("listops", file("l.tsv", &lists()), run("l")),
            run("l.tsv"),
            ("0 9 ]", "0 8 ]"),
            "--data: 'l.tsv",
        ),
        (small("language", file("c.txt", &text), run("c")), run("c.txt"), ("not", "NOT"), "--data: 'c.txt"),
        (small(&by_words, file("d.txt", &text), run("d")), run("d.txt"), ("not", "nut"), "--data: 'd.txt"),
        (pairs.clone(), en, ("en 7", "en 8"), "pairs, sha256"),
        (pairs.clone(), de, ("de 7", "de 8"), "pairs, sha256"),
        (pairs, test[1].clone(), ("de 2", "de 3"), "--test: 'more"),
    ];
    for (config, file, (from, to), named) in cases {
        let again = TrainConfig { resume: true, ..config.clone() };
        if !config.folder.as_ref().unwrap().exists() {
            trained(&config).unwrap();
        }
        let before = changed(&file, from, to);
        let refused = trained(&again).unwrap_err();
        assert!(
            refused.contains("last.safetensors': a training with other settings (contents of"),
            "{refused}"
        );
        assert!(refused.contains(named), "{named}: {refused}");
        fs::write(&file, before).unwrap();
        trained(&again).unwrap_or_else(|error| panic!("{error}"));
    }
    // Another file of words under the same name.
    let config = TrainConfig { resume: true, ..small(&by_words, run("d.txt"), run("d")) };
    Vocabulary::train("be not to or".split(' '), 270).unwrap().save(&tokenizer).unwrap();
    let refused = trained(&config).unwrap_err();
    assert!(refused.contains("(contents of the tokenizer: '"), "{refused}");
}

#[test]
fn a_checkpoint_without_its_facts_or_its_best_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tsv");
    fs::write(&file, labelled(20)).unwrap();
    let config = small("text", file, folder.path().join("run"));
    trained(&config).unwrap();
    let again = TrainConfig { resume: true, ..config };
    fs::remove_file(folder.path().join("run/best/model.safetensors")).unwrap();
    let refused = trained(&again).unwrap_err();
    assert!(refused.contains("best/model.safetensors"), "{refused}");
    let last = folder.path().join("run/last.safetensors");
    let bytes = fs::read(&last).unwrap();
    // The name under which the facts stand, as long as before.
    let at = bytes.windows(5).position(|five| five == b"\"run\"").unwrap();
    fs::write(&last, [&bytes[..at], b"\"old\"", &bytes[at + 5..]].concat()).unwrap();
    let refused = trained(&again).unwrap_err();
    assert!(refused.contains("earlier version"), "{refused}");
}

/// A cell that has ended is shown by what it wrote; a damaged record is not believed.
#[test]
fn a_cell_that_has_ended_is_not_evaluated_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tsv");
    fs::write(&file, labelled(40)).unwrap();
    let config = small("text", file, folder.path().join("run"));
    let rows = trained(&config).unwrap().rows;
    let again = TrainConfig { resume: true, ..config };
    assert_eq!(trained(&again).unwrap().rows, rows);
    let record = folder.path().join("run/cell.json");
    let whole = fs::read_to_string(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    let resumed = trained(&again).unwrap().rows;
    for column in ["validation_loss", "validation_accuracy", "train_loss", "best_step", "memory_bytes"] {
        let cells = |table: &Table| table.cells(column).unwrap().map(Cell::exact).collect::<Vec<_>>();
        assert_eq!(cells(&resumed), cells(&rows), "{column}");
    }
    assert_eq!(fs::read_to_string(&record).unwrap().lines().count(), whole.lines().count(), "written again");
}

/// In one folder, from which a run of all shows what a single run finds; a shard that is stopped goes on.
#[test]
fn shards_train_what_one_run_trains() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tsv");
    fs::write(&file, labelled(40)).unwrap();
    let to = |name: &str| TrainConfig {
        mechanism: None,
        compare: Some("softmax,luna:l=2,linear".into()),
        seeds: Some(2),
        ..small("text", file.clone(), folder.path().join(name))
    };
    let whole = trained(&to("whole")).unwrap().rows;
    let shard = |number: usize| TrainConfig {
        shard: Some(format!("{number}/4").parse().unwrap()),
        resume: number == 1,
        ..to("parts")
    };
    let stopped = Context { seed: 1, engine: Engine::default(), watch: &After(1.into()) };
    let ended = run(&shard(1), stopped).map(drop).unwrap_err();
    assert!(matches!(ended, Error::Interrupted), "{ended}");
    let trainings = || fs::read_dir(folder.path().join("parts")).unwrap().count();
    let mut before = 0;
    for number in 1..=4 {
        let ended = trained(&shard(number)).unwrap_err();
        assert_eq!(ended, Error::ShardDone.to_string());
        assert!((before + 1..=before + 2).contains(&trainings()), "shard {number}: {}", trainings());
        before = trainings();
    }
    assert_eq!(before, 6);
    // Nothing is left to do: the first step would stop it.
    let left = Context { seed: 1, engine: Engine::default(), watch: &After(2.into()) };
    let shown = run(&TrainConfig { resume: true, ..to("parts") }, left).unwrap();
    assert!(shown.complete);
    let times = ["step_s", "tokens_per_s", "memory_bytes"];
    for column in whole.columns.iter().filter(|column| !times.contains(&column.name.as_str())) {
        let cells = |table: &Table| table.cells(&column.name).unwrap().map(Cell::exact).collect::<Vec<_>>();
        assert_eq!(cells(&shown.report.rows), cells(&whole), "{}", column.name);
    }
}

#[test]
fn every_class_of_a_sorted_file_is_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sorted.tsv");
    fs::write(&file, lists()).unwrap();
    let share = |config: &TrainConfig| {
        let report = trained(config).unwrap();
        let share = report.rows.cells("constant_accuracy").unwrap().next().unwrap().number();
        (share.unwrap(), report.notes)
    };
    let config = small("listops", file.clone(), folder.path().join("lists"));
    let (constant, notes) = share(&config);
    assert!((constant - 0.1).abs() < 1e-12, "ten values, as many of each: {constant}");
    let says = |notes: &[String], words: &str| notes.iter().any(|note| note.contains(words));
    assert!(says(&notes, "data: 90 training, 10 validation"), "{notes:?}");
    let third = TrainConfig { validation: Some(0.3), folder: Some(folder.path().join("third")), ..config };
    assert!(says(&share(&third).1, "data: 70 training, 30 validation"));
    fs::write(&file, "0\t0\n1\t1\n2\t2\n").unwrap();
    let few = small("listops", file.clone(), folder.path().join("few"));
    let refused = trained(&few).unwrap_err();
    assert!(refused.contains("no value that two expressions have"), "{refused}");
    fs::write(&file, labelled(100)).unwrap();
    let (constant, _) = share(&small("text", file, folder.path().join("texts")));
    assert!((constant - 0.5).abs() < 1e-12, "{constant}");
}

#[test]
fn labels_that_look_alike_get_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("labels.tsv");
    let rows = ["0\ta", "0 \tb", "1\tc", "1 \td", "1.0\te", "1.0\tf"];
    fs::write(&file, rows.join("\n")).unwrap();
    let notes = trained(&small("text", file.clone(), folder.path().join("run"))).unwrap().notes;
    assert!(notes.iter().any(|note| note.starts_with("labels '1' and '1.0' look alike")), "{notes:?}");
    fs::write(&file, rows[..4].join("\n")).unwrap();
    let notes = trained(&small("text", file, folder.path().join("two"))).unwrap().notes;
    assert!(!notes.iter().any(|note| note.contains("alike")), "{notes:?}");
}

#[test]
fn times_of_other_threads_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.tsv");
    fs::write(&file, labelled(20)).unwrap();
    let begun =
        TrainConfig { steps: Some(6), eval_every: Some(3), ..small("text", file, folder.path().join("run")) };
    let on = |threads: usize, config: &TrainConfig, steps: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let context = Context { seed: 1, engine: Engine::default(), watch: &After(steps.into()) };
        let report = pool.install(|| run(config, context)).unwrap().report;
        let step = report.rows.cells("step_s").unwrap().next().unwrap().number();
        (step, report.notes.join("\n"))
    };
    let (step, notes) = on(1, &begun, 3);
    assert!(step.is_some() && notes.contains("interrupted"), "{notes}");
    assert!(!notes.contains("ran on another machine"), "{notes}");
    let again = TrainConfig { resume: true, ..begun };
    let (step, notes) = on(2, &again, 100);
    assert!(step.is_some() && notes.contains("steps 1 to 3 ran on another machine"), "{notes}");
    // The lines stay apart when nothing is left to do.
    let (_, notes) = on(2, &again, 100);
    assert!(notes.contains("steps 1 to 3 ran on another machine"), "{notes}");
}

/// Asks to stop after so many steps.
struct After(AtomicUsize);

impl Watch for After {
    fn step(&self, steps: usize, _: &str) {
        self.0.fetch_sub(steps.min(self.0.load(Relaxed)), Relaxed);
    }

    fn stopped(&self) -> bool {
        self.0.load(Relaxed) <= 1
    }
}

/// What was not measured gets neither a figure nor a word.
#[test]
fn a_stopped_training_speaks_of_what_it_measured_only() {
    let config = TrainConfig {
        task: "recall:pairs=2,vocab=17,held=64".into(),
        mechanism: Some("softmax".into()),
        seeds: Some(2),
        data: None,
        folder: None,
        ..small("recall", PathBuf::new(), PathBuf::new())
    };
    let context = Context { seed: 1, engine: Engine::default(), watch: &After(1.into()) };
    let outcome = run(&config, context).unwrap();
    assert!(!outcome.complete);
    assert_eq!(outcome.report.stamp.get("interrupted"), Some(&true.into()));
    let notes = outcome.report.notes.join("\n");
    for word in ["chance", "Wilson", "seed", "independent", "optimistic", "--resume continues"] {
        assert!(!notes.contains(word), "'{word}': {notes}");
    }
    assert!(notes.contains("interrupted: without --out"), "{notes}");
    for column in ["constant_accuracy", "validation_loss", "test_loss"] {
        assert!(outcome.report.rows.cells(column).unwrap().next().unwrap().number().is_none(), "{column}");
    }
}
