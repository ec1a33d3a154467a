//! Bad input to the program: one clear line with the fix, exit code 1 or 2, nothing on stdout, no panic.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

mod dumps;
mod marks;
mod models;
mod options;
mod places;

use std::path::Path;
use std::process::{Command, Output};

fn luna() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.arg("svd-spectrum");
    command
}

/// The program's refusal; asserts its form and that these parts are in it.
fn refusal(mut command: Command, code: i32, parts: &[&str]) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{command:?}: {said}");
    assert!(stdout.is_empty(), "{command:?}: a refusal writes no result");
    assert!(!said.contains("panicked"), "{command:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{command:?} lacks '{part}': {said}");
    }
    said
}

/// Refused by luna itself: exit code 1, one short line.
fn refused(command: Command, parts: &[&str]) {
    let said = refusal(command, 1, parts);
    assert!(said.starts_with("luna: ") && said.ends_with('\n'), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.len() < 1000, "{said}");
}

/// Refused by the parser of arguments: exit code 2, and clap's own lines.
fn misused(args: &[&str], parts: &[&str]) {
    let mut command = luna();
    command.args(args);
    let said = refusal(command, 2, parts);
    assert!(said.starts_with("error: ") && said.contains("--help"), "{said}");
}

/// `luna svd-spectrum` with these arguments, on the smallest synthetic head unless they name an input.
fn with(args: &[&str]) -> Command {
    let mut command = luna();
    if !args.iter().any(|arg| ["--synthetic", "--model", "--attention"].contains(arg)) {
        command.args(["--synthetic", "identity"]);
    }
    if !args.iter().any(|arg| ["--seq-len", "--attention"].contains(arg)) {
        command.args(["--seq-len", "8"]);
    }
    command.args(["--at", "2,4"]).args(args);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
