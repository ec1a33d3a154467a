//! `luna check` as a program.

use std::fs;

use assert_cmd::Command;
use serde_json::Value;

fn luna(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    let output = command.args(args).env("COLUMNS", "80").output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

const DRAWN: [&str; 4] = ["luna-rank", "luna-causal", "linear-exact", "nystrom-exact"];

#[test]
fn an_assertion_is_an_exit_code() {
    let (code, out, _) = luna(&[&["check", "--assert", "--quiet"], &DRAWN[..]].concat());
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.matches(" PASS ").count(), 4, "{out}");
    let failing = ["check", "linformer-log-rank", "--windows", "3", "--seq-len", "64", "--quiet"];
    let (code, out, _) = luna(&failing);
    assert_eq!(code, 0, "a verdict is a result: {out}");
    let (code, out, error) = luna(&[&failing[..], &["--assert"]].concat());
    assert_eq!((code, out.contains(" FAIL ")), (3, true), "{out}");
    assert_eq!(error, "luna: does not hold: linformer-log-rank\n");
}

#[test]
fn the_evidence_is_written_and_its_command_measures_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let args = [
        "check",
        "linformer-log-rank",
        "linformer-constant-l",
        "--windows",
        "3",
        "--seq-len",
        "64",
        "--quiet",
    ];
    let (code, _, error) = luna(&[&args[..], &["--out", out.to_str().unwrap()]].concat());
    assert_eq!((code, error.as_str()), (0, ""));
    let result: Value = serde_json::from_str(&fs::read_to_string(out.join("result.json")).unwrap()).unwrap();
    let row = &result["rows"][0];
    let evidence = format!("{}.csv", row["evidence"].as_str().unwrap());
    let kept = fs::read_to_string(out.join(evidence)).unwrap();
    let command = row["command"].as_str().unwrap().strip_prefix("luna ").unwrap();
    let words = command.split(' ').chain(["--quiet", "--format", "csv", "--aggregate=no"]);
    let columns = ["--columns", kept.lines().next().unwrap()];
    let (code, again, error) = luna(&words.chain(columns).collect::<Vec<_>>());
    assert_eq!(code, 0, "{error}");
    assert_eq!(again, kept, "{command}");
}

#[test]
fn an_interrupted_check_is_continued() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| dir.path().join(name).to_str().unwrap().to_string());
    let args =
        ["check", "linformer-spectrum", "linformer-log-rank", "--windows", "3", "--seq-len", "64", "--quiet"];
    let with = |more: &[&str]| luna(&[&args[..], more].concat());
    let (_, first, _) = with(&["--out", &whole]);
    // As if it had been killed: cells are there, and no result.
    assert_eq!(with(&["--out", &parts]).0, 0);
    let dir = std::path::Path::new(&parts);
    fs::remove_file(dir.join("manifest.json")).unwrap();
    for cells in fs::read_dir(dir.join("cells")).unwrap() {
        let journal = cells.unwrap().path().join("journal.jsonl");
        let text = fs::read_to_string(&journal).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        fs::write(&journal, lines[..lines.len() / 2].join("\n") + "\n").unwrap();
    }
    let (code, again, error) = with(&["--out", &parts, "--resume"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(again, first);
    let (code, _, error) = with(&["--out", &parts]);
    assert_eq!(code, 1, "a used folder is refused");
    assert!(error.contains("--resume"), "{error}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    for (args, said) in [
        (&["check", "linformer-spectra"][..], "did you mean 'linformer-spectrum'"),
        (&["check", "linformer-log-rank", "--seq-len", "16,32"], "one length"),
        (&["check", "luna-text", "--runs", "/nowhere"], "/nowhere"),
        (&["check", "linformer-spectrum", "--model", "/nowhere"], "/nowhere"),
        (&["check", "luna-rank", "--windows", "3"], "not measured on an input"),
    ] {
        let (code, out, error) = luna(args);
        assert_eq!(
            (code, out.as_str(), error.lines().filter(|line| line.starts_with("luna: ")).count() > 0),
            (1, "", true),
            "{args:?}: {error}"
        );
        assert!(error.contains(said), "{args:?}: {error}");
    }
    let (code, out, _) = luna(&["check", "linformer-log-rank", "--seq-len", "16", "--quiet"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("INCONCLUSIVE") && out.contains("'16' is not accepted; accepted: 32 or more"),
        "{out}"
    );
}
