//! The program: training, judging, writing and looking at what was trained.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use luna::task::bpe::Vocabulary;

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
        "--num-heads",
        "2",
        "--num-layers",
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
        let done = train(&file, &run, &["--mechanism", attention]);
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
        // As a result: a row for every line, and nothing else on stdout.
        let args =
            ["generate", run, "--prompt", "To be", "--length", "70", "--seed", "3", "--format", "json"];
        let result: serde_json::Value = serde_json::from_slice(&luna(&args).stdout).unwrap();
        let lines = result["rows"].as_array().unwrap().iter().map(|row| row["text"].as_str().unwrap());
        let plain = text(&written.stdout);
        let plain = plain.lines().map(|line| line.replace(char::is_control, " "));
        assert!(lines.eq(plain), "{result:#}");
        let stamp = &result["stamp"];
        assert_eq!((&stamp["study"], &stamp["tokens"]), (&"generate".into(), &70.into()));
        assert!(stamp["mean_log_p"].as_f64().unwrap() < 0.0);
        let seen = luna(&["svd-spectrum", "--model", run, "--text", file_name, "--seq-len", "32", "--quiet"]);
        assert!(seen.status.success(), "{}", text(&seen.stderr));
    }
    // The same command again would lose what was trained.
    let again = train(&file, &run.join("softmax"), &["--mechanism", "softmax"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--resume"), "{}", text(&again.stderr));
    let resumed = train(&file, &run.join("softmax"), &["--mechanism", "softmax", "--resume"]);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
}

#[test]
fn a_checkpoint_that_cannot_be_written_or_read_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.txt");
    fs::write(&file, "abcdefgh".repeat(200)).unwrap();
    let run = folder.path().join("run");
    assert!(train(&file, &run, &["--mechanism", "linear"]).status.success());
    let last = run.join("last.safetensors");
    let whole = fs::read(&last).unwrap();
    fs::write(&last, &whole[..whole.len() / 2]).unwrap();
    let cut = train(&file, &run, &["--mechanism", "linear", "--resume"]);
    assert_eq!(cut.status.code(), Some(1));
    let said = text(&cut.stderr);
    assert!(said.contains("last.safetensors") && said.trim().lines().count() == 1, "{said}");
    // A checkpoint of another network.
    let other = train(&file, &folder.path().join("other"), &["--mechanism", "linear", "--d", "16"]);
    assert!(other.status.success());
    fs::copy(folder.path().join("other/last.safetensors"), &last).unwrap();
    let shaped = train(&file, &run, &["--mechanism", "linear", "--resume"]);
    let said = text(&shaped.stderr);
    assert!(
        said.contains("other settings (d: '16' then, '32' now)") && said.trim().lines().count() == 1,
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
    assert!(train(&file, &run, &["--mechanism", "linear"]).status.success());
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

#[test]
fn a_language_model_of_somebodys_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let [file, tokenizer, run, lossy] =
        ["text.txt", "words.json", "run", "lossy.json"].map(|name| folder.path().join(name));
    let words = "To be, or not to be: that is the question, \u{e4}.\n".repeat(90);
    fs::write(&file, &words).unwrap();
    Vocabulary::train(words.lines(), 300).unwrap().save(&tokenizer).unwrap();
    let file_name = file.to_str().unwrap();
    let learn = |tokens: &str, run: &Path| {
        let task = format!("language:tokens={tokens}");
        let args = ["train", "--task", &task, "--data", file_name, "--out", run.to_str().unwrap()];
        let sizes = ["--seq-len", "16", "--d", "32", "--num-heads", "2", "--num-layers", "1", "--batch", "8"];
        let steps =
            ["--steps", "60", "--eval-every", "20", "--rate", "0.01", "--quiet", "--mechanism", "softmax"];
        luna(&[&args[..], &sizes, &steps].concat())
    };
    let done = learn(tokenizer.to_str().unwrap(), &run);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(run.join("best/tokenizer.json").exists());
    let run_name = run.to_str().unwrap();
    // A token is several bytes here: bits a byte are less than bits a token, on what is held out and on a file.
    let column = |table: &str, name: &str| {
        let mut table = csv::Reader::from_reader(table.as_bytes());
        let at = table.headers().unwrap().iter().position(|found| found == name).expect("a column");
        table.records().next().unwrap().unwrap()[at].parse::<f64>().ok()
    };
    let learned = fs::read_to_string(run.join("result.csv")).unwrap();
    let bits = |nats: f64| nats / std::f64::consts::LN_2;
    let validation = column(&learned, "validation_bits_per_byte").unwrap();
    assert!(validation < 0.6 * bits(column(&learned, "validation_loss").unwrap()), "{learned}");
    let judged = luna(&["evaluate", run_name, "--data", file_name, "--format", "csv", "--quiet"]);
    assert!(judged.status.success(), "{}", text(&judged.stderr));
    let table = text(&judged.stdout);
    let bytes = words.len() as f64 - 2.0; // the first token, "To", is no target
    let expected = bits(column(&table, "loss").unwrap()) * column(&table, "answers").unwrap() / bytes;
    assert!((column(&table, "bits_per_byte").unwrap() - expected).abs() < 1e-9, "{table}");
    let written = luna(&["generate", run_name, "--prompt", "To be", "--length", "40", "--temperature", "0"]);
    let said = text(&written.stdout);
    assert!(written.status.success() && said.starts_with("To be, or not to be: that is"), "{said}");
    let spectra =
        luna(&["svd-spectrum", "--model", run_name, "--text", file_name, "--null", "none", "--quiet"]);
    assert!(spectra.status.success(), "{}", text(&spectra.stderr));
    // One that forgets what it does not know has no bits a byte.
    let model = r#"{"type": "WordLevel", "vocab": {"?": 0, "be": 1, "the": 2, "to": 3}, "unk_token": "?"}"#;
    let pieces = r#""added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}"#;
    fs::write(&lossy, format!(r#"{{"version": "1.0", {pieces}, "model": {model}}}"#)).unwrap();
    let done = learn(lossy.to_str().unwrap(), &folder.path().join("forgets"));
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("does not give the text back"), "{}", text(&done.stdout));
    let missing = learn("none.json", &folder.path().join("none"));
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("none.json"), "{}", text(&missing.stderr));
}
