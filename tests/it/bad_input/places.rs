//! Output folders and experiment files: unwritable folders, files with mistakes, closed pipes.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use super::{luna, refused, text, with};

#[test]
fn an_unwritable_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    fs::write(&file, "mine").unwrap();
    refused(with(&["--out", text(&file)]), &["notes.txt'", "a file; expected a folder"]);
    refused(with(&["--out", text(&file.join("sub"))]), &["sub'", "Not a directory"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn an_unwritable_folder_is_found_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    fs::write(&file, "mine").unwrap();
    // It would take minutes.
    let command =
        with(&["--synthetic", "gaussian", "--seq-len", "2048", "--windows", "4", "--out", text(&file)]);
    refused(command, &["expected a folder"]);
}

#[test]
fn mistakes_in_an_experiment_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.yaml");
    let refused = |yaml: &str, parts: &[&str]| {
        fs::write(&file, yaml).unwrap();
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
        command.arg("run").arg(&file);
        refused(command, parts);
    };
    let start = "command: svd-spectrum\nsynthetic: identity\n";
    refused(
        &format!("{start}nul-draws: 3\n"),
        &["run.yaml", "line 3", "'nul-draws'", "did you mean 'null-draws'?"],
    );
    refused(&format!("{start}seq-len: 0\n"), &["--seq-len: '0'", "1 or more"]);
    refused("command: svd-spektrum\n", &["run.yaml", "'svd-spektrum'", "svd-spectrum"]);
    refused("synthetic: identity\n", &["run.yaml", "command"]);
    refused("command: [", &["run.yaml"]);
    refused("", &["run.yaml", "command"]);
    refused(&format!("{start}at: {{16: 32}}\n"), &["run.yaml", "line 3", "at"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    for quiet in [true, false] {
        let mut command = luna();
        command.args(["--format", "csv", "--seq-len", "16", "--null", "none"]).stdout(Stdio::piped());
        if quiet {
            command.arg("--quiet");
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
        // The hint that no model was named, and nothing else.
        assert_eq!(said.is_empty(), quiet, "{said}");
        assert!(said.matches("luna: ").count() <= 1 && !said.contains("ipe"), "{said}");
    }
}

#[test]
#[cfg(unix)]
fn head_of_a_result() {
    let script = "{ \"$0\" svd-spectrum --quiet --format csv --seq-len 16 --null none; echo \"ended with $?\" >&2; } \
                  | head -1";
    let sh = Command::new("sh")
        .args(["-c", script, text(assert_cmd::cargo::cargo_bin!("luna"))])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&sh.stderr), "ended with 0\n");
    assert!(sh.stdout.starts_with(b"input,layer,head,"));
}
