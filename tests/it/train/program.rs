//! The program: training, judging, writing and looking at what was trained.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn luna(args: &[&str]) -> std::process::Output {
    Command::cargo_bin("luna").unwrap().args(args).env("COLUMNS", "80").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn train(file: &Path, run: &Path, more: &[&str]) -> std::process::Output {
    let (file, run) = (file.to_str().unwrap(), run.to_str().unwrap());
    let base = [
        "train",
        "--task",
        "language",
        "--data",
        file,
        "--out",
        run,
        "--seq-len",
        "32",
        "--d",
        "32",
        "--heads",
        "2",
        "--layers",
        "1",
        "--batch",
        "8",
        "--steps",
        "30",
        "--eval-every",
        "10",
        "--quiet",
    ];
    luna(&[&base[..], more].concat())
}

#[test]
fn a_language_model_is_trained_judged_sampled_and_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.txt");
    fs::write(&file, "To be, or not to be: that is the question.\n".repeat(60)).unwrap();
    let (file_name, run) = (file.to_str().unwrap(), folder.path().join("run"));
    for attention in ["softmax", "luna-causal:l=4"] {
        let run = run.join(attention.replace(':', "-"));
        let done = train(&file, &run, &["--attention", attention]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let table = text(&done.stdout);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.contains("bits"), "{table}");
        for made in [
            "metrics.jsonl",
            "last.safetensors",
            "best/config.json",
            "result.json",
            "loss.svg",
            "manifest.json",
        ] {
            assert!(run.join(made).exists(), "{made}");
        }
        let run = run.to_str().unwrap();
        let judged = luna(&["evaluate", run, "--data", file_name, "--format", "csv", "--quiet"]);
        assert!(
            judged.status.success() && text(&judged.stdout).contains("text.txt"),
            "{}",
            text(&judged.stderr)
        );
        let written = luna(&["generate", run, "--prompt", "To be", "--length", "70", "--seed", "3"]);
        assert!(written.status.success(), "{}", text(&written.stderr));
        assert!(
            written.stdout.starts_with(b"To be") && written.stdout.len() == 76,
            "longer than its positions"
        );
        let again = luna(&["generate", run, "--prompt", "To be", "--length", "70", "--seed", "3"]);
        assert_eq!(written.stdout, again.stdout);
        let seen = luna(&["svd-spectrum", "--model", run, "--text", file_name, "--seq-len", "32", "--quiet"]);
        assert!(seen.status.success(), "{}", text(&seen.stderr));
    }
    // The same command again would lose what was trained.
    let again = train(&file, &run.join("softmax"), &["--attention", "softmax"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--resume"), "{}", text(&again.stderr));
    let resumed = train(&file, &run.join("softmax"), &["--attention", "softmax", "--resume"]);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
}

#[test]
fn a_checkpoint_that_cannot_be_written_or_read_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.txt");
    fs::write(&file, "abcdefgh".repeat(200)).unwrap();
    let run = folder.path().join("run");
    assert!(train(&file, &run, &["--attention", "linear"]).status.success());
    let last = run.join("last.safetensors");
    let whole = fs::read(&last).unwrap();
    fs::write(&last, &whole[..whole.len() / 2]).unwrap();
    let cut = train(&file, &run, &["--attention", "linear", "--resume"]);
    assert_eq!(cut.status.code(), Some(1));
    let said = text(&cut.stderr);
    assert!(said.contains("last.safetensors") && said.trim().lines().count() == 1, "{said}");
    // A checkpoint of another shape.
    let other = train(&file, &folder.path().join("other"), &["--attention", "linear", "--d", "16"]);
    assert!(other.status.success());
    fs::copy(folder.path().join("other/last.safetensors"), &last).unwrap();
    let shaped = train(&file, &run, &["--attention", "linear", "--resume"]);
    let said = text(&shaped.stderr);
    assert!(
        said.contains("embed_tokens") && said.contains("shape") && said.trim().lines().count() == 1,
        "{said}"
    );
}

/// Sizes in a file are what somebody wrote: no memory is taken for them before the weights are seen to have them.
#[test]
fn a_configuration_of_absurd_sizes_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.txt");
    fs::write(&file, "abcdefgh".repeat(200)).unwrap();
    let run = folder.path().join("run");
    assert!(train(&file, &run, &["--attention", "linear"]).status.success());
    let config = run.join("best/config.json");
    let mut map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    for key in ["hidden_size", "ffn", "positions", "vocab"] {
        map.insert(key.into(), (1_u32 << 24).into());
    }
    map.insert("layers".into(), 500.into());
    fs::write(&config, serde_json::to_string(&map).unwrap()).unwrap();
    let (run, file) = (run.to_str().unwrap(), file.to_str().unwrap());
    for args in [&["evaluate", run, "--data", file][..], &["generate", run]] {
        let output = luna(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("expected [16777216") || said.contains("language model of bytes"), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
}

/// A full disk cannot be had without rights; a folder in the way of the temporary file fails as late.
#[test]
fn a_write_that_fails_leaves_the_checkpoint_that_was_there() {
    use luna::model::save;
    use std::collections::BTreeMap;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    let tensor = |x: f32| BTreeMap::from([("a".to_string(), ndarray::arr1(&[x]).into_dyn())]);
    save::save(&path, &tensor(1.0), &BTreeMap::new()).unwrap();
    let before = fs::read(&path).unwrap();
    let blocked = folder.path().join(format!(".last.safetensors.{}.partial", std::process::id()));
    fs::create_dir(&blocked).unwrap();
    let error = save::save(&path, &tensor(2.0), &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("last.safetensors"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn the_embedded_model_is_looked_at_and_writes() {
    let spectrum = luna(&[
        "svd-spectrum",
        "--model",
        "byte-transformer",
        "--seq-len",
        "64",
        "--windows",
        "1",
        "--quiet",
    ]);
    assert!(spectrum.status.success(), "{}", text(&spectrum.stderr));
    assert!(text(&spectrum.stdout).contains("byte-transformer"));
    let error = luna(&[
        "approx-error",
        "--model",
        "byte-transformer",
        "--seq-len",
        "64",
        "--windows",
        "1",
        "--attention",
        "luna-causal,local",
        "--l",
        "8",
        "--quiet",
    ]);
    assert!(error.status.success(), "{}", text(&error.stderr));
    let trained = luna(&[
        "approx-error",
        "--model",
        "byte-luna",
        "--seq-len",
        "64",
        "--windows",
        "1",
        "--attention",
        "trained,svd",
        "--l",
        "16",
        "--quiet",
    ]);
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    assert!(text(&trained.stdout).contains("slots"), "{}", text(&trained.stdout));
    let written =
        luna(&["generate", "byte-transformer", "--prompt", "KING", "--length", "20", "--temperature", "0.5"]);
    assert!(written.status.success() && written.stdout.starts_with(b"KING"));
    let unknown = luna(&["svd-spectrum", "--model", "byte-transformr", "--quiet"]);
    assert!(text(&unknown.stderr).contains("byte-transformer"), "{}", text(&unknown.stderr));
}
