//! Signals: what asks for an end keeps what there is, and what was ignored at the start stays ignored.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A training that takes a while, started by `env` with these options, once it has written its first checkpoint.
fn training(env: &str, out: &Path) -> Child {
    let mut command = Command::new("env");
    command.arg(env).arg(assert_cmd::cargo::cargo_bin!("luna"));
    command.args([
        "train",
        "--task",
        "recall",
        "--attention",
        "softmax",
        "--steps",
        "400",
        "--eval-every",
        "20",
    ]);
    command.args(["--quiet", "--threads", "1", "--out"]).arg(out);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("env starts");
    while !out.join("last.safetensors").exists() {
        assert!(child.try_wait().expect("a state").is_none(), "it ends before it is asked to");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn send(signal: &str, child: &mut Child) {
    assert!(child.try_wait().expect("a state").is_none(), "it still runs");
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
}

fn result(out: &Path) -> Value {
    let text = std::fs::read_to_string(out.join("result.json")).expect("a result");
    serde_json::from_str(&text).expect("json")
}

fn cell<'a>(result: &'a Value, column: &str) -> &'a Value {
    let columns = result["columns"].as_array().expect("columns");
    let at = columns.iter().position(|known| known["name"] == column).expect("a column");
    &result["rows"][0][at]
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    for signal in ["HUP", "INT", "TERM"] {
        let out = folder.path().join(signal);
        // As `nohup` does it, and a shell without job control for what runs in its background.
        let mut child = training(&format!("--ignore-signal={signal}"), &out);
        send(&format!("-{signal}"), &mut child);
        let Output { status, stderr, .. } = child.wait_with_output().expect("an end");
        assert_eq!(
            (status.code(), stderr.len()),
            (Some(0), 0),
            "{signal}: {}",
            String::from_utf8_lossy(&stderr)
        );
        let result = result(&out);
        assert_eq!(*cell(&result, "state"), "trained", "{signal}");
        assert!(result["stamp"].get("interrupted").is_none(), "{signal}");
    }
}

#[test]
fn a_training_that_is_stopped_says_so_and_speaks_of_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    for signal in ["HUP", "INT", "TERM"] {
        let out = folder.path().join(signal);
        let mut child = training(&format!("--default-signal={signal}"), &out);
        send(&format!("-{signal}"), &mut child);
        let Output { status, stdout, stderr } = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(130), "{signal}: {said}");
        assert!(said.ends_with("luna: interrupted\n") && said.lines().count() == 2, "{said}");
        let result = result(&out);
        assert_eq!(result["stamp"]["interrupted"], true);
        assert_eq!(*cell(&result, "state"), "interrupted");
        for column in ["validation_loss", "test_accuracy", "constant_accuracy", "best_step"] {
            assert!(cell(&result, column).is_null(), "{column}");
        }
        assert!(cell(&result, "train_loss").is_number());
        let told = String::from_utf8_lossy(&stdout);
        assert!(told.contains("interrupted: the same command with --resume goes on"), "{told}");
        for unmeasured in ["chance", "Wilson", "one seed", "independent", "flatter"] {
            assert!(!told.contains(unmeasured), "'{unmeasured}': {told}");
        }
    }
}
