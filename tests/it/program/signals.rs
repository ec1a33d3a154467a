//! Signals: a request to stop leaves what was done, and signals that were ignored at the start stay ignored.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// An endless training, started by `env` with these options, after its first checkpoint.
fn training(env: &str, out: &Path) -> Child {
    let mut command = Command::new("env");
    command.arg(env).arg(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(["train", "--task", "recall:held=16", "--attention", "softmax", "--steps", "1000000"]);
    command.args([
        "--d",
        "8",
        "--heads",
        "1",
        "--layers",
        "1",
        "--batch",
        "4",
        "--eval-every",
        "5",
        "--threads",
        "1",
    ]);
    command.args(["--quiet", "--out"]).arg(out);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("env starts");
    next_checkpoint(out, &mut child);
    child
}

/// Waits for another checkpoint than the present one.
fn next_checkpoint(out: &Path, child: &mut Child) {
    let written = || std::fs::metadata(out.join("last.safetensors")).and_then(|file| file.modified()).ok();
    let before = written();
    while written() == before {
        assert!(child.try_wait().expect("a state").is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(signal: &str, child: &mut Child) {
    assert!(child.try_wait().expect("a state").is_none(), "it still runs");
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
}

/// The exit code after this signal: SIGTERM is a batch system's, after which another start can continue.
fn code(signal: &str) -> i32 {
    if signal == "TERM" { 75 } else { 130 }
}

fn result(out: &Path) -> Value {
    let text = std::fs::read_to_string(out.join("result.json")).expect("a result");
    serde_json::from_str(&text).expect("json")
}

fn cell<'a>(result: &'a Value, column: &str) -> &'a Value {
    result["rows"][0].get(column).expect("a column")
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    for (ignored, other) in [("HUP", "TERM"), ("INT", "TERM"), ("TERM", "HUP")] {
        let out = folder.path().join(ignored);
        // As `nohup` does, and a shell without job control for background jobs.
        let mut child = training(&format!("--ignore-signal={ignored}"), &out);
        send(ignored, &mut child);
        next_checkpoint(&out, &mut child);
        next_checkpoint(&out, &mut child);
        // Other signals still ask for an end, and this one is no second request.
        send(ignored, &mut child);
        send(other, &mut child);
        let Output { status, stderr, .. } = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(
            (status.code(), said.matches("stopping").count()),
            (Some(code(other)), 1),
            "{ignored}: {said}"
        );
        assert_eq!(result(&out)["stamp"]["interrupted"], true, "{ignored}");
    }
}

#[test]
fn a_stopped_training_reports_nothing_unmeasured() {
    let folder = tempfile::tempdir().expect("a folder");
    for signal in ["HUP", "INT", "TERM"] {
        let out = folder.path().join(signal);
        let mut child = training(&format!("--default-signal={signal}"), &out);
        send(signal, &mut child);
        let Output { status, stdout, stderr } = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(code(signal)), "{signal}: {said}");
        assert!(said.ends_with("luna: interrupted\n") && said.lines().count() == 2, "{said}");
        let result = result(&out);
        assert_eq!(result["stamp"]["interrupted"], true);
        assert_eq!(*cell(&result, "state"), "interrupted");
        for column in
            ["validation_loss", "test_accuracy", "constant_accuracy", "best_step", "test_accuracy_low"]
        {
            assert!(cell(&result, column).is_null(), "{column}");
        }
        assert!(cell(&result, "train_loss").is_number());
        let told = String::from_utf8_lossy(&stdout);
        assert!(told.contains("interrupted: the same command with --resume continues"), "{told}");
        for unmeasured in ["chance", "Wilson", "one seed", "independent", "flatter"] {
            assert!(!told.contains(unmeasured), "'{unmeasured}': {told}");
        }
    }
}
