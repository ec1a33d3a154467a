//! Full disks, file size limits and closed pipes: one line, exit code 1, no partial files.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{luna, run};

/// The program under a file size limit, in blocks of 512 bytes.
fn limited(blocks: usize, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    command.arg(assert_cmd::cargo::cargo_bin!("luna")).args(args).output().expect("sh starts")
}

/// The one line of a run that failed.
fn failed(Output { status, stderr, .. }: Output) -> String {
    let said = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(1), "{status}: {said}");
    assert!(said.starts_with("luna: ") && said.lines().count() == 1, "{said}");
    said
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    entries.map(|name| name.to_string_lossy().into_owned()).collect()
}

const SPECTRUM: [&str; 9] =
    ["svd-spectrum", "--synthetic", "uniform", "--seq-len", "16", "--null", "none", "--quiet", "--out"];

#[test]
fn a_result_that_reaches_the_limit_is_one_line_and_leaves_no_part_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let args = [&SPECTRUM[..], &[out.to_str().expect("a plain path")]].concat();
    let said = failed(limited(1, &args));
    assert!(said.contains("journal.jsonl': File too large"), "{said}");
    assert_eq!(names(&out), ["journal.jsonl"]);
    // An older result stays as it was.
    assert!(run(&args).status.success());
    let before = names(&out);
    let old = fs::read(out.join("result.json")).expect("a result");
    failed(limited(1, &args));
    assert_eq!(names(&out).len(), before.len());
    assert_eq!(fs::read(out.join("result.json")).expect("a result"), old);
}

#[test]
fn a_training_that_reaches_the_limit_leaves_whole_files_only() {
    let folder = tempfile::tempdir().expect("a folder");
    // So low that no configuration fits, then that no weights do, then that no checkpoint does.
    for (blocks, file) in [(1, "config.json"), (4, "model.safetensors"), (20, "last.safetensors")] {
        let out = folder.path().join(file);
        let train = [
            "train",
            "--task",
            "recall:held=16",
            "--attention",
            "softmax",
            "--steps",
            "3",
            "--eval-every",
            "1",
        ];
        let small = ["--d", "8", "--heads", "1", "--layers", "1", "--batch", "4", "--quiet", "--out"];
        let output = limited(blocks, &[&train[..], &small, &[out.to_str().expect("a plain path")]].concat());
        let said = failed(output);
        assert!(said.contains(&format!("{file}': File too large")), "{said}");
        for name in names(&out).iter().chain(&names(&out.join("best"))) {
            assert!(!name.starts_with('.'), "{blocks}: {name} is left");
            assert_ne!(name, file);
        }
        let metrics = fs::read_to_string(out.join("metrics.jsonl")).expect("a log");
        assert!(metrics.is_empty() || metrics.ends_with('\n'), "{blocks}: {metrics}");
        for line in metrics.lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("a whole line");
        }
    }
}

#[test]
fn a_full_disk_under_standard_output_is_one_line() {
    let full = || File::options().write(true).open("/dev/full").expect("a device");
    for args in [&["list"][..], &["--help"], &["completions", "bash"], &SPECTRUM[..8]] {
        let output = luna(args).stdout(full()).stderr(Stdio::piped()).output().expect("the program starts");
        let said = failed(output);
        assert!(said.contains("stdout: No space left on device"), "{args:?}: {said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("list.txt");
    let script = "ulimit -f 1; exec \"$0\" list > \"$1\"";
    let mut sh = Command::new("sh");
    sh.args(["-c", script]).arg(assert_cmd::cargo::cargo_bin!("luna")).arg(&file);
    assert!(failed(sh.output().expect("sh starts")).contains("stdout: File too large"));
}

#[test]
fn a_standard_error_that_takes_nothing_loses_no_result() {
    let args = ["svd-spectrum", "--seq-len", "32", "--windows", "1", "--null", "none"];
    let whole = run(&args);
    assert!(whole.status.success() && !whole.stderr.is_empty(), "the hint that no model was named");
    let full = || File::options().write(true).open("/dev/full").expect("a device");
    let output = luna(&args).stderr(full()).stdout(Stdio::piped()).output().expect("the program starts");
    assert_eq!((output.status.code(), &output.stdout), (Some(0), &whole.stdout));
    for (args, code) in [(&args[..], 0), (&["svd-spectrum", "--at", "0"], 1), (&["list", "--fromat"], 2)] {
        let mut child = luna(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stderr.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(code != 0 || output.stdout == whole.stdout);
    }
}
