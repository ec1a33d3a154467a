//! Several rates at once: each attention is compared at the one that suits it best.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use luna::linalg::engine::Engine;
use luna::name::List;
use luna::report::{Cell, Report, Table};
use luna::study::train::{TrainConfig, run};
use luna::study::{Context, Unwatched, Watch};

fn config() -> TrainConfig {
    TrainConfig {
        task: "recall:pairs=2,vocab=9,held=64".into(),
        compare: Some("softmax,linear".into()),
        seq_len: Some(8),
        d: Some(32),
        num_heads: Some(2),
        steps: Some(40),
        batch: Some(16),
        eval_every: Some(20),
        ..TrainConfig::default()
    }
}

fn trained(config: &TrainConfig) -> Report {
    let outcome = run(config, Context { seed: 1, engine: Engine::default(), watch: &Unwatched }).unwrap();
    assert!(outcome.complete);
    outcome.report
}

/// Counts steps.
struct Counting(AtomicUsize);

impl Watch for Counting {
    fn step(&self, steps: usize, _: &str) {
        self.0.fetch_add(steps, Relaxed);
    }
}

/// Stops behind so many steps.
struct Stopping(AtomicUsize);

impl Watch for Stopping {
    fn step(&self, steps: usize, _: &str) {
        self.0.fetch_sub(steps, Relaxed);
    }

    fn stopped(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
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
    let config = TrainConfig {
        rate: List::new([1e-7, 3e-3, 1e30]),
        seeds: Some(2),
        clip: Some(0.0),
        folder: Some(place.clone()),
        ..config()
    };
    let report = trained(&config);
    assert_eq!(report.rows.rows.len(), 12);
    let compared = view(&report, "compare");
    assert_eq!(texts(compared, "attention"), ["softmax", "linear"]);
    assert_eq!(texts(compared, "rate"), ["0.003", "0.003"]);
    assert_eq!(numbers(compared, "seeds"), [Some(2.0), Some(2.0)]);
    let rates = view(&report, "rates");
    assert_eq!(texts(rates, "attention"), [["softmax"; 3], ["linear"; 3]].concat());
    assert_eq!(texts(rates, "rate"), ["1e-7", "0.003", "1e30", "1e-7", "0.003", "1e30"]);
    assert_eq!(numbers(rates, "diverged"), [0.0, 0.0, 2.0, 0.0, 0.0, 2.0].map(Some));
    assert_eq!(texts(rates, "chosen"), ["", "yes", "", "", "yes", ""]);
    // Selected on the validation set, and compared on the test set.
    let scores = numbers(rates, "accuracy");
    assert!(scores[1] > scores[0] && scores[2].is_none(), "{scores:?}");
    let tests = numbers(&report.rows, "test_accuracy");
    let mean = 50.0 * (tests[1].unwrap() + tests[7].unwrap());
    assert!((numbers(compared, "accuracy")[0].unwrap() - mean).abs() < 1e-9, "{tests:?}");
    let told = |word: &str| report.notes.iter().any(|note| note.contains(word));
    assert!(told("softmax diverged at rate 1e30: seed 1 at step"), "{:?}", report.notes);
    assert!(told("the test set was not used") && !told("a higher one may be"), "{:?}", report.notes);
    let state = texts(&report.rows, "state");
    assert_eq!(state.iter().filter(|state| *state == "diverged").count(), 4);
    // The same command goes on with what is there, takes no step again but of those that diverged, and finds the same.
    let counting = Counting(0.into());
    let context = Context { seed: 1, engine: Engine::default(), watch: &counting };
    let again = run(&TrainConfig { resume: true, ..config.clone() }, context).unwrap().report;
    assert_eq!(counting.0.load(Relaxed), 4, "the first step of each of these lives");
    assert_eq!(numbers(view(&again, "rates"), "accuracy"), scores);
    assert!(place.join("softmax-rate0.003-seed2/best/model.safetensors").is_file());
    // A rate among others learns what it learns alone.
    let alone = TrainConfig {
        rate: List::new([3e-3]),
        compare: None,
        mechanism: Some("softmax".into()),
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
    let told = |rate: Vec<f64>| trained(&TrainConfig { rate: List::new(rate), ..config() }).notes.join("\n");
    let high = told(vec![1e-7, 3e-3]);
    assert!(high.contains("softmax is best at 0.003, the highest learning rate: a higher one"), "{high}");
    let one = told(vec![]);
    assert!(one.contains("--rate 0.0005,0.001,0.002"), "{one}");
    let refused = |rate: Vec<f64>| {
        let config = TrainConfig { rate: List::new(rate), folder: Some(PathBuf::from("never")), ..config() };
        let context = Context { seed: 1, engine: Engine::default(), watch: &Unwatched };
        run(&config, context).unwrap_err().to_string()
    };
    for (rate, words) in [(vec![1e-3, 0.0], "numbers above 0"), (vec![-1.0], "numbers above 0")] {
        let error = refused(rate);
        assert!(error.contains("--rate") && error.contains(words), "{error}");
    }
    assert!(!std::path::Path::new("never").exists());
}

#[test]
fn a_sweep_that_was_stopped_is_provisional_and_one_without_a_survivor_fails() {
    let config = TrainConfig { rate: List::new([1e-7, 3e-3]), seeds: Some(2), ..config() };
    // Behind the first seed of all and the first rate of the second.
    let stopping = Stopping((5 * 40).into());
    let context = Context { seed: 1, engine: Engine::default(), watch: &stopping };
    let outcome = run(&config, context).unwrap();
    assert!(!outcome.complete);
    let notes = outcome.report.notes.join("\n");
    for words in ["provisional", "--resume"] {
        assert!(notes.contains(words), "{notes}");
    }
    assert!(!notes.contains("a higher one") && !notes.contains("selected by validation"), "{notes}");
    let lost = TrainConfig { rate: List::new([1e29, 1e30]), clip: Some(0.0), ..config };
    let context = Context { seed: 1, engine: Engine::default(), watch: &Unwatched };
    let error = run(&lost, context).unwrap_err().to_string();
    assert!(error.contains("at step") && error.contains("smaller --rate"), "{error}");
}

#[test]
fn what_is_typed_takes_the_place_of_the_rates_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.yaml");
    let text = "command: train\ntask: recall:pairs=2,vocab=9,held=64\nattention: linear\nseq-len: 8\nd: 32\nheads: 2\nsteps: 2\nrate: [0.001, 0.002]\n";
    std::fs::write(&file, text).unwrap();
    let rates = |more: &[&str]| {
        let args =
            [&["run", file.to_str().unwrap(), "--format", "csv", "--columns", "rate", "--quiet"], more]
                .concat();
        let done = assert_cmd::Command::cargo_bin("luna").unwrap().args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().lines().skip(1).map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(rates(&[]), ["0.001", "0.002"]);
    assert_eq!(rates(&["--rate", "0.004"]), ["0.004"]);
    assert_eq!(rates(&["--rate", "0.002"]), ["0.002"]);
}
