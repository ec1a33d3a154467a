//! The studies of heads without a named input: the built-in model and its text.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest, Sha256};

const STUDIES: [&str; 2] = ["svd-spectrum", "approx-error"];

fn luna(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(args).env("COLUMNS", "80").current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What the program prints.
fn written(args: &[&str], folder: &Path) -> String {
    let Output { status, stdout, stderr } = luna(&[args, &["--quiet"]].concat(), folder);
    assert!(status.success() && stderr.is_empty(), "{args:?}: {}", text(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn json(args: &[&str], folder: &Path) -> Value {
    serde_json::from_str(&written(&[args, &["--format", "json"]].concat(), folder)).unwrap()
}

/// Asserts that the program refuses in one line.
fn refused(args: &[&str], parts: &[&str]) {
    let Output { status, stdout, stderr } = luna(args, Path::new("."));
    let said = text(&stderr);
    assert_eq!((status.code(), stdout.len(), said.lines().count()), (Some(1), 0, 1), "{args:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{args:?} lacks '{part}': {said}");
    }
}

#[test]
fn it_is_the_built_in_model_on_its_text() {
    // A folder of the same name is not meant.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("byte-transformer")).unwrap();
    for (study, more) in STUDIES.into_iter().zip([&[][..], &["--l", "16"]]) {
        let args = [&[study][..], more].concat();
        let unnamed = written(&args, folder.path());
        let named = written(&[&args[..], &["--model", "byte-transformer"]].concat(), Path::new("."));
        assert_eq!(unnamed, named);
        assert!(unnamed.lines().all(|line| line.chars().count() <= 80), "{unnamed}");
        assert!(unnamed.lines().next().unwrap().ends_with(": byte-transformer, n = 256"), "{unnamed}");
        let result = json(&[&args[..], &["--seq-len", "32", "--windows", "1"]].concat(), folder.path());
        let stamp = &result["stamp"];
        assert_eq!(stamp["model"], "byte-transformer");
        assert_eq!(stamp["text"], "the model's own");
        assert_eq!(stamp["text_sha256"].as_str().unwrap().len(), 64);
        let notes = result["notes"].as_array().unwrap();
        let said = |note: &Value| {
            let note = note.as_str().unwrap();
            note.starts_with("input: byte-transformer, a small built-in model, ")
                && note.contains("on 1 window of its own text")
        };
        assert!(notes.iter().any(said), "{notes:?}");
    }
}

#[test]
fn a_hint_says_how_to_name_a_model() {
    for study in STUDIES {
        let args = [study, "--seq-len", "16", "--windows", "1", "--layers", "0"];
        let told = |more: &[&str]| {
            let output = luna(&[&args[..], more].concat(), Path::new("."));
            assert!(output.status.success());
            text(&output.stderr).matches("no model named").count()
        };
        assert_eq!(told(&[]), 1);
        assert_eq!(told(&["--quiet"]), 0);
        assert_eq!(told(&["--model", "byte-transformer"]), 0);
        assert_eq!(told(&["--synthetic", "gaussian"]), 0);
    }
}

#[test]
fn a_text_alone_is_read_by_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("own.txt"), "Now is the winter of our discontent. ".repeat(3)).unwrap();
    let args = ["svd-spectrum", "--text", "own.txt", "--seq-len", "32", "--null", "none"];
    let result = json(&args, folder.path());
    assert_eq!(result["stamp"]["model"], "byte-transformer");
    assert_eq!(result["stamp"]["text"], "own.txt");
    assert!(result["notes"].to_string().contains("3 windows of own.txt"), "{}", result["notes"]);
}

#[test]
fn its_attention_can_be_replaced() {
    let args = ["approx-error", "--substitute", "all", "--mechanism", "linear", "--seq-len", "16"];
    let result = json(&[&args[..], &["--windows", "1"]].concat(), Path::new("."));
    assert_eq!(result["stamp"]["model"], "byte-transformer");
    assert_eq!(result["rows"][0]["layers"], 4);
}

#[test]
fn the_theorem_check_uses_untrained_heads() {
    let args = ["approx-error", "--check", "linformer-theorem-1", "--seq-len", "16", "--windows", "1"];
    let result = json(&[&args[..], &["--eps", "0.5", "--draws", "1"]].concat(), Path::new("."));
    assert_eq!(result["stamp"]["synthetic"].as_array().unwrap().len(), 3);
}

#[test]
fn texts_that_do_not_fit_are_refused_with_what_fits() {
    for study in STUDIES {
        refused(
            &[study, "--seq-len", "64,512"],
            &["--seq-len 512", "at most 256", "byte-transformer", "--synthetic SPECS", "another --model"],
        );
        refused(
            &[study, "--windows", "17"],
            &["17 windows of 256", "16 windows of this length would fit; --text FILE"],
        );
        refused(&[study, "--causal"], &["--causal: 'alone'", "--synthetic SPECS", "its own mask"]);
        refused(&[study, "--layers", "4"], &["--layers: '4'", "0 to 3"]);
        refused(&[study, "--text", "no-such-file"], &["'no-such-file'"]);
    }
    refused(
        &["approx-error", "--mechanism", "trained"],
        &["'byte-transformer' attends by softmax", "byte-luna"],
    );
    // The hint about the built-in model is not shown for a named model.
    let named = ["svd-spectrum", "--model", "byte-luna", "--seq-len", "512"];
    refused(&named, &["--seq-len 512: 512 tokens; at most 256, the model's positions\n"]);
}

#[test]
fn the_built_in_files_are_those_of_their_page() {
    for model in ["byte-transformer", "byte-luna"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(model);
        let hash = Sha256::digest(fs::read(folder.join("model.safetensors")).unwrap());
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        let (_, said) = page.split_once("sha256 of `model.safetensors` `").unwrap();
        let said: Vec<u8> =
            (0..32).map(|i| u8::from_str_radix(&said[2 * i..2 * i + 2], 16).unwrap()).collect();
        assert_eq!(said, hash.to_vec(), "{model}");
    }
}
