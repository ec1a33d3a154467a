//! Dumped matrices through the program: the files that people have, and what the result says of them.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fs;
use std::path::Path;
use std::process::Command;

use luna::attention::{Visible, softmax};
use luna::rng::{normal, stream};
use ndarray::{Array2, Array4, ArrayD, Axis};
use ndarray_npy::WriteNpyExt;
use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::Value;

/// A mask, `--mask`, and the words for it.
type Case<'a> = (Box<dyn Fn(usize, usize) -> bool>, Option<&'a str>, &'a str);

/// Untrained heads (layers, h, n, m) under a mask.
fn heads(shape: (usize, usize, usize, usize), sees: impl Fn(usize, usize) -> bool) -> Array4<f64> {
    let mut all = Array4::zeros(shape);
    let visible = Visible::where_seen(shape.2, shape.3, sees);
    for layer in 0..shape.0 {
        for head in 0..shape.1 {
            let logits = normal(&mut stream(7, &format!("{layer} {head}")), shape.2, shape.3).mapv(f64::from);
            let mut a = Array2::zeros((shape.2, shape.3));
            softmax::within(&mut a, logits.view(), &visible);
            all.index_axis_mut(Axis(0), layer).index_axis_mut(Axis(0), head).assign(&a);
        }
    }
    all
}

fn write(path: &Path, a: &ArrayD<f64>) {
    a.mapv(|x| x as f32).write_npy(fs::File::create(path).unwrap()).unwrap();
}

/// As tensor 'a' of a type.
fn write_as(path: &Path, a: &Array4<f64>, dtype: Dtype) {
    let bytes = |x: &f64| match dtype {
        Dtype::F16 => half::f16::from_f64(*x).to_le_bytes().to_vec(),
        _ => half::bf16::from_f64(*x).to_le_bytes().to_vec(),
    };
    let data: Vec<u8> = a.iter().flat_map(bytes).collect();
    let view = TensorView::new(dtype, a.shape().to_vec(), &data).unwrap();
    fs::write(path, serialize([("a", view)], None).unwrap()).unwrap();
}

fn luna(path: &Path, args: &[&str]) -> std::process::Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(["svd-spectrum", "--quiet", "--at", "2,4", "--attention"]).arg(path);
    if !args.contains(&"lanczos") {
        command.args(["--null-draws", "2"]);
    }
    let output = command.args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn json(path: &Path, args: &[&str]) -> Value {
    serde_json::from_slice(&luna(path, &[&["--format", "json"], args].concat()).stdout).unwrap()
}

fn notes(result: &Value) -> Vec<&str> {
    result["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn the_result_says_which_mask_the_matrices_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let cases: Vec<Case<'_>> = vec![
        (Box::new(|_, j| j < 10), None, "full, without keys 10 to 15 (inferred"),
        (Box::new(|i, j| j <= i), None, "causal (inferred"),
        (Box::new(|_, _| true), None, "full (inferred"),
        (Box::new(|i, j| i / 4 == j / 4), None, "4 blocks of 4, 4, 4, 4 (inferred"),
        (Box::new(|_, j| j < 10), Some("padding:keys=6"), "padding:keys=6 (as --mask says"),
        (
            Box::new(|i, j| !(i + j).is_multiple_of(3)),
            Some("zeros"),
            "exactly the zeros of each matrix (as --mask",
        ),
    ];
    for (sees, asked, words) in cases {
        write(&path, &heads((1, 2, 16, 16), sees).into_dyn());
        let args: Vec<&str> = asked.into_iter().flat_map(|mask| ["--mask", mask]).collect();
        let result = json(&path, &args);
        let note = notes(&result).into_iter().find(|note| note.starts_with("mask of the matrices")).unwrap();
        assert!(note.contains(words), "{note}");
    }
    // Without null models the mask decides nothing.
    assert!(!notes(&json(&path, &["--null", "none"])).iter().any(|note| note.starts_with("mask of")));
}

/// Rows of a softmax in bfloat16 sum to 1 within 2^-8: that is no fault, and nor is an array that was widened.
#[test]
fn rounded_probabilities_are_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    // As a framework computes softmax in bfloat16: exponentials, their sum and the quotient are rounded.
    let round = |x: f64| half::bf16::from_f64(x).to_f64();
    let mut a = heads((1, 2, 48, 200), |_, _| true);
    for mut row in a.lanes_mut(Axis(3)) {
        let max = row.fold(0.0_f64, |max, x| max.max(*x));
        row.mapv_inplace(|x| round(x / max));
        let sum = round(row.sum());
        row.mapv_inplace(|x| round(x / sum));
    }
    assert!(a.sum_axis(Axis(3)).iter().any(|sum| (sum - 1.0).abs() > 1e-3), "or this tests nothing");
    let path = folder.path().join("a.safetensors");
    for dtype in [Dtype::BF16, Dtype::F16] {
        let exact = heads((1, 2, 48, 200), |_, _| true);
        write_as(&path, if dtype == Dtype::F16 { &exact } else { &a }, dtype);
        let result = json(&path, &[]);
        let notes = notes(&result);
        assert!(!notes.iter().any(|note| note.contains("sum to 1")), "{notes:?}");
        assert!(
            notes.iter().any(|note| note.contains("small singular values are its rounding")),
            "{notes:?}"
        );
    }
    let path = folder.path().join("a.npy");
    write(&path, &a.clone().into_dyn());
    let result = json(&path, &[]);
    assert_eq!(result["stamp"]["precision"], "bfloat16");
    assert!(!notes(&result).iter().any(|note| note.contains("sum to 1")));
    // The same drift in single precision is said, first.
    write(&path, &(heads((1, 2, 48, 200), |_, _| true) * 1.002).into_dyn());
    assert!(notes(&json(&path, &[]))[0].contains("96 of 96 rows do not sum to 1"));
}

#[test]
fn what_is_no_probability_is_said_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    write(&path, &(heads((1, 1, 8, 8), |_, _| true) - 0.2).into_dyn());
    for args in [&["--null", "none"][..], &["--method", "lanczos", "--top", "2"]] {
        let result = json(&path, args);
        let first = notes(&result)[0];
        assert!(first.starts_with("these matrices are no attention probabilities"), "{first}");
        assert!(first.contains("a negative entry"), "{first}");
    }
}

#[test]
fn samples_of_a_batch_are_windows_with_masks_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let samples = [6, 12].map(|real| heads((2, 3, 12, 12), |_, j| j < real));
    let views: Vec<_> = samples.iter().map(|a| a.view().insert_axis(Axis(1))).collect();
    let a = ndarray::concatenate(Axis(1), &views).unwrap();
    write(&path, &a.into_dyn());
    let result = json(&path, &["--aggregate=no"]);
    assert_eq!(result["rows"].as_array().unwrap().len(), 12);
    assert_eq!(result["stamp"]["shape"], serde_json::json!([2, 2, 3, 12, 12]));
    let notes = notes(&result);
    assert!(notes.iter().any(|note| note.contains("2 samples of the file's batch")), "{notes:?}");
    let words = "full in 6 of 12 heads; full, without keys 6 to 11 in 6 of 12 heads";
    assert!(notes.iter().any(|note| note.contains(words)), "{notes:?}");
}

#[test]
fn matrices_of_one_row_one_column_and_of_other_lengths() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    for shape in [(1, 1, 1, 1), (1, 2, 1, 9), (2, 1, 9, 1), (1, 2, 5, 20), (1, 2, 20, 5)] {
        write(&path, &heads(shape, |_, _| true).into_dyn());
        let result = json(&path, &[]);
        assert_eq!(result["rows"].as_array().unwrap().len(), shape.0 * shape.1, "{shape:?}");
    }
}

/// A head that attends to nothing has no spectrum, and is no reason to stop.
#[test]
fn a_head_of_zeros_is_measured_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let mut a = heads((1, 3, 8, 8), |_, j| j < 5);
    a.index_axis_mut(Axis(1), 1).fill(0.0);
    write(&path, &a.into_dyn());
    assert_eq!(json(&path, &[])["rows"].as_array().unwrap().len(), 3);
}

/// Names of files reach the terminal, tables and figures without what controls a terminal.
#[test]
fn control_characters_of_a_name_are_written_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a\u{1b}[31mb\u{7}.npy");
    write(&path, &heads((1, 2, 8, 8), |_, _| true).into_dyn());
    let clean = |what: &str, bytes: &[u8]| {
        assert!(!bytes.iter().any(|byte| *byte != b'\n' && byte.is_ascii_control()), "{what}");
    };
    for format in ["table", "json", "csv", "markdown"] {
        let out = folder.path().join(format);
        let written = luna(&path, &["--format", format, "--out", out.to_str().unwrap()]);
        clean(format, &written.stdout);
        clean(format, &written.stderr);
        for file in fs::read_dir(out).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_none_or(|end| end != "npy") {
                clean(&file.display().to_string(), &fs::read(&file).unwrap());
            }
        }
    }
    clean("plot", &luna(&path, &["--plot"]).stdout);
    let luna = || Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    for args in [
        ["--attention", "no\u{1b}[31m.npy"],
        ["--model", "no\u{1b}[31mwhere"],
        ["--synthetic", "uni\u{1b}[31mform"],
        ["--windows", "\u{1b}[31m"],
    ] {
        let refused = luna().arg("svd-spectrum").args(args).output().unwrap();
        assert!(!refused.status.success());
        clean(args[0], &refused.stderr);
    }
}
