//! Several rates at once: each attention is compared at the one that suits it best.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::path::PathBuf;

use luna::linalg::engine::Engine;
use luna::report::{Cell, Report, Table};
use luna::study::train::{Config, run};
use luna::study::{Context, Unwatched};

fn config() -> Config {
    Config {
        task: "recall:pairs=2,vocab=9,held=64".into(),
        compare: Some("softmax,linear".into()),
        seq_len: Some(8),
        d: Some(32),
        heads: Some(2),
        steps: Some(40),
        batch: Some(16),
        eval_every: Some(20),
        ..Config::default()
    }
}

fn trained(config: &Config) -> Report {
    let outcome = run(config, Context { seed: 1, engine: Engine::default(), watch: &Unwatched }).unwrap();
    assert!(outcome.complete);
    outcome.report
}

fn view<'a>(report: &'a Report, name: &str) -> &'a Table {
    &report.views.iter().find(|(view, _)| view == name).unwrap().1
}

fn texts(table: &Table, column: &str) -> Vec<String> {
    table.cells(column).unwrap().map(Cell::exact).collect()
}

fn numbers(table: &Table, column: &str) -> Vec<Option<f64>> {
    table.cells(column).unwrap().map(Cell::number).collect()
}

#[test]
fn each_attention_is_compared_at_its_best_rate_and_one_that_diverges_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run");
    let config = Config {
        rate: vec![1e-7, 3e-3, 1e30],
        seeds: Some(2),
        clip: Some(0.0),
        folder: Some(place.clone()),
        ..config()
    };
    let report = trained(&config);
    assert_eq!(report.rows.rows.len(), 12);
    let compared = view(&report, "compare");
    assert_eq!(texts(compared, "attention"), ["softmax", "linear"]);
    assert_eq!(numbers(compared, "rate"), [Some(3e-3), Some(3e-3)]);
    assert_eq!(numbers(compared, "seeds"), [Some(2.0), Some(2.0)]);
    let rates = view(&report, "rates");
    assert_eq!(texts(rates, "attention"), [["softmax"; 3], ["linear"; 3]].concat());
    assert_eq!(numbers(rates, "rate"), [1e-7, 3e-3, 1e30, 1e-7, 3e-3, 1e30].map(Some));
    assert_eq!(numbers(rates, "diverged"), [0.0, 0.0, 2.0, 0.0, 0.0, 2.0].map(Some));
    assert_eq!(texts(rates, "chosen"), ["", "yes", "", "", "yes", ""]);
    // The choice is by what is held out for choosing, and the chosen one is judged on the test part.
    let scores = numbers(rates, "accuracy");
    assert!(scores[1] > scores[0] && scores[2].is_none(), "{scores:?}");
    let told = |word: &str| report.notes.iter().any(|note| note.contains(word));
    assert!(told("softmax diverged at rate 1e30: seed 1 at step"), "{:?}", report.notes);
    assert!(told("the test part had no say in it") && !told("that was tried"), "{:?}", report.notes);
    let state = texts(&report.rows, "state");
    assert_eq!(state.iter().filter(|state| *state == "diverged").count(), 4);
    // The same command goes on with what is there, and finds the same.
    let again = trained(&Config { resume: true, ..config.clone() });
    assert_eq!(numbers(view(&again, "rates"), "accuracy"), scores);
    assert!(place.join("softmax-rate0.003-seed2/best/model.safetensors").is_file());
    // A rate among others learns what it learns alone.
    let alone = Config {
        rate: vec![3e-3],
        compare: None,
        attention: Some("softmax".into()),
        seeds: None,
        folder: None,
        ..config
    };
    let alone = trained(&alone);
    assert!(alone.views.iter().all(|(name, _)| name != "rates"));
    let best = |report: &Report, row: usize| {
        let columns = ["train_loss", "validation_loss", "test_loss"];
        columns.map(|column| numbers(&report.rows, column)[row].unwrap())
    };
    assert_eq!(best(&alone, 0), best(&report, 1));
}

#[test]
fn a_best_rate_at_an_end_is_said_and_mistakes_are_refused() {
    let told = |rate: Vec<f64>| trained(&Config { rate, ..config() }).notes.join("\n");
    let high = told(vec![1e-7, 3e-3]);
    assert!(high.contains("softmax is best at 0.003, the highest that was tried: a higher one"), "{high}");
    let one = told(vec![]);
    assert!(one.contains("--rate 0.0005,0.001,0.002"), "{one}");
    let refused = |rate: Vec<f64>| {
        let config = Config { rate, folder: Some(PathBuf::from("never")), ..config() };
        let context = Context { seed: 1, engine: Engine::default(), watch: &Unwatched };
        run(&config, context).unwrap_err().to_string()
    };
    for (rate, words) in [
        (vec![1e-3, 1e-3], "each rate once"),
        (vec![1e-3, 0.0], "a number above 0"),
        (vec![f64::INFINITY], "a number above 0"),
    ] {
        let error = refused(rate);
        assert!(error.contains("--rate") && error.contains(words), "{error}");
    }
    assert!(!std::path::Path::new("never").exists());
}
