//! `--task image` and `--task pathfinder`: pixels as tokens.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::path::{Path, PathBuf};

use luna::linalg::engine::Engine;
use luna::name::List;
use luna::report::Report;
use luna::study::train::{TrainConfig, run};
use luna::study::{Context, Unwatched, evaluate};
use ndarray::{Array1, Array3};

/// An array of images that are brighter on the left (label 3) or on the right (label 7), and its labels beside it.
fn sides(folder: &Path, name: &str, count: usize) -> PathBuf {
    let label = |i: usize| if i.is_multiple_of(2) { 3_i64 } else { 7 };
    let pixels = Array3::from_shape_fn((count, 4, 6), |(i, y, x)| {
        let bright = (x < 3) == (label(i) == 3);
        (if bright { 150 } else { 20 }) + ((i * 31 + y * 7 + x * 13) % 90) as u8
    });
    let path = folder.join(format!("{name}.npy"));
    ndarray_npy::write_npy(&path, &pixels).unwrap();
    ndarray_npy::write_npy(folder.join(format!("{name}_labels.npy")), &Array1::from_shape_fn(count, label))
        .unwrap();
    path
}

fn context() -> Context<'static> {
    Context { seed: 1, engine: Engine::default(), watch: &Unwatched }
}

fn number(report: &Report, column: &str) -> f64 {
    report.rows.cells(column).unwrap().next().unwrap().number().unwrap()
}

fn small(task: &str, n: usize) -> TrainConfig {
    TrainConfig {
        task: task.into(),
        mechanism: Some("luna:l=4".into()),
        seq_len: Some(n),
        d: Some(16),
        num_heads: Some(2),
        num_layers: Some(1),
        steps: Some(60),
        batch: Some(8),
        rate: List::new([5e-3]),
        ..TrainConfig::default()
    }
}

#[test]
fn classes_of_images_are_learned_and_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let test = sides(folder.path(), "test", 40);
    let config = TrainConfig {
        data: Some(sides(folder.path(), "train", 160)),
        test: Some(test.clone()),
        folder: Some(folder.path().join("run")),
        ..small("image", 24)
    };
    let report = run(&config, context()).unwrap().report;
    let accuracy = number(&report, "test_accuracy");
    assert!(accuracy > 0.9, "{accuracy}, where chance is 0.5");
    assert_eq!(number(&report, "constant_accuracy"), 0.5);
    assert!(report.notes.iter().any(|note| note.contains("144 training, 16 validation and 40 test")));
    let again = evaluate::EvaluateConfig { run: folder.path().join("run"), data: test, batch: 7 };
    let found = evaluate::run(&again, context()).unwrap().report;
    assert_eq!((number(&found, "accuracy"), number(&found, "answers")), (accuracy, 40.0));
    let refused = |config: &TrainConfig| {
        let message = run(config, context()).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    let narrow = TrainConfig { folder: None, ..small("pathfinder", 100) };
    assert!(
        refused(&narrow)
            .contains("--seq-len of task 'pathfinder': '100' is not accepted; accepted: 144 or more")
    );
    // Images of another size that would fit into a sequence.
    let wide = Array3::<u8>::zeros((2, 3, 8));
    let path = folder.path().join("wide.npy");
    ndarray_npy::write_npy(&path, &wide).unwrap();
    ndarray_npy::write_npy(folder.path().join("wide_labels.npy"), &ndarray::array![3_i64, 7]).unwrap();
    let other = TrainConfig { test: Some(path.clone()), folder: None, ..config.clone() };
    assert!(refused(&other).contains("an image of 3 x 8 pixels; expected 4 x 6"), "{}", refused(&other));
    let other = evaluate::EvaluateConfig { data: path, ..again };
    let message = evaluate::run(&other, context()).unwrap_err().to_string();
    assert!(message.contains("an image of 3 x 8 pixels; expected 4 x 6"), "{message}");
    // An image is not cut, and what is of generated shapes is not of files.
    let short = TrainConfig { seq_len: Some(23), folder: None, ..config.clone() };
    assert!(refused(&short).contains("4 x 6 pixels") && refused(&short).contains("--seq-len 24"));
    let sized = TrainConfig { task: "image:size=4".into(), folder: None, ..config };
    assert!(refused(&sized).contains("'size' is not accepted"), "{}", refused(&sized));
}

#[test]
fn generated_images_say_what_chance_is() {
    for (task, chance, classes) in [
        ("image:size=8,examples=64,held=32", 25.0, "disc"),
        ("pathfinder:size=12,examples=64,held=32", 50.0, "connected"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let run_folder = folder.path().join("run");
        let config = TrainConfig { steps: Some(4), folder: Some(run_folder.clone()), ..small(task, 144) };
        let report = run(&config, context()).unwrap().report;
        let note = format!("chance: the best constant answer is right for {chance:.1} %");
        assert!(report.notes.iter().any(|found| found.contains(&note)), "{:?}", report.notes);
        let config = std::fs::read_to_string(run_folder.join("best/config.json")).unwrap();
        assert!(config.contains("\"tokens\": \"pixels\"") && config.contains(classes), "{config}");
    }
    let refused = |task: &str| run(&small(task, 144), context()).unwrap_err().to_string();
    assert!(refused("image:size=13").contains("8 to 12, the root of --seq-len 144"));
    assert!(refused("pathfinder:size=8").contains("12 to 12"));
    assert!(refused("pathfinder:contour=40").contains("12 x 12 pixels"));
    assert!(refused("pathfinder:contour=1").contains("2 or more"));
    let data = TrainConfig { data: Some("x.npy".into()), ..small("pathfinder", 144) };
    assert!(run(&data, context()).unwrap_err().to_string().contains("the examples are generated"));
}
