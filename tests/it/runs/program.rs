//! `luna show` and `luna diff` as programs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{ranks, result};

pub(super) fn luna(args: &[&str]) -> Output {
    Command::new(assert_cmd::cargo::cargo_bin!("luna")).args(args).output().expect("the program starts")
}

/// The code and the one line on standard error of a command that prints no result.
pub(super) fn refusal(args: &[&str]) -> (i32, String) {
    let output = luna(args);
    let line = String::from_utf8(output.stderr).expect("text");
    assert!(output.stdout.is_empty() && line.lines().count() == 1, "{line}");
    (output.status.code().expect("a code"), line)
}

/// A path as an argument.
pub(super) fn arg(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// The run of a command into a folder, and what it printed.
fn measured(dir: &Path, seed: &str) -> Vec<u8> {
    let options =
        ["--mechanism", "performer,linear", "--l", "8", "--layers", "0", "--heads", "0,1", "--seq-len", "32"];
    let options =
        [&["approx-error"], &options[..], &["--windows", "3", "--quiet", "--seed", seed, "--out", arg(dir)]]
            .concat();
    let output = luna(&options);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_run_is_shown_as_it_was_printed_in_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("a");
    let printed = measured(&dir, "1");
    assert_eq!(luna(&["show", arg(&dir)]).stdout, printed);
    for (format, file) in [("json", "result.json"), ("csv", "result.csv")] {
        let shown = luna(&["show", arg(&dir), "--format", format]).stdout;
        assert_eq!(shown, fs::read(dir.join(file)).expect("a file"), "{format}");
    }
    assert!(luna::study::runs::Run::open(&dir).expect("a run").beside().expect("files").len() > 2);
    let by = luna(&[
        "show",
        arg(&dir),
        "--by",
        "head",
        "--where",
        "l = 8",
        "--sort",
        "out_err:desc",
        "--format",
        "csv",
    ]);
    let text = String::from_utf8(by.stdout).expect("text");
    assert!(text.starts_with("mechanism,l,head,rows,windows,") && text.lines().count() == 3, "{text}");
    // The same through the study itself.
    let typed = "approx-error --mechanism performer,linear --l 8 --layers 0 --heads 0,1 --seq-len 32 --windows 3 --quiet \
                 --seed 1 --by head --sort out_err";
    let own = luna(&typed.split_whitespace().collect::<Vec<_>>()).stdout;
    assert_eq!(own, luna(&["show", arg(&dir), "--by", "head", "--sort", "out_err"]).stdout);
    let (code, line) = refusal(&["svd-spectrum", "--by", "layre"]);
    assert!(code == 1 && line.contains("did you mean 'layer'"), "{line}");
}

#[test]
fn a_condition_that_holds_ends_with_3_after_the_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let dirs = ["a", "b", "diff"].map(|name| folder.path().join(name));
    let [a, b, out] = [arg(&dirs[0]), arg(&dirs[1]), arg(&dirs[2])];
    measured(&dirs[0], "1");
    measured(&dirs[1], "2");
    let done = luna(&["diff", a, b, "--quiet", "--fail-if", "out_err > 100", "--out", out]);
    assert_eq!((done.status.code(), done.stderr.len()), (Some(0), 0));
    assert_eq!(luna(&["show", out]).stdout, done.stdout);
    let text = String::from_utf8(done.stdout).expect("text");
    assert!(text.starts_with("What differs from ") && text.contains("\nseed           1"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let fails =
        luna(&["diff", a, b, "--quiet", "--fail-if", "out_err > 100", "--fail-if", "|out_err| < 100"]);
    assert_eq!(fails.status.code(), Some(3));
    assert!(!fails.stdout.is_empty());
    let line = String::from_utf8(fails.stderr).expect("text");
    assert!(
        line.starts_with("luna: --fail-if holds: '|out_err| < 100' of ") && line.lines().count() == 1,
        "{line}"
    );
}

#[test]
fn what_is_no_finished_run_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let text = result(ranks).to_string();
    let newer = text.replace(env!("CARGO_PKG_VERSION"), "99.0.0");
    let unversioned = text.replace("\"version\"", "\"wersion\"");
    for (name, text, said) in [
        ("cut.json", &text[..text.len() / 2], "EOF while parsing"),
        ("foreign.json", "{\"a\": 1}", "'columns' of a result"),
        ("list.json", "[1, 2]", "expected a result of luna"),
        ("newer.json", &newer, "is of version 99.0.0, which is newer"),
        ("unversioned.json", &unversioned, "its stamp names the version ''"),
        ("deep.json", &"[".repeat(100_000), "recursion limit"),
    ] {
        fs::write(at(name), text).expect("a file");
        for args in [&["show", arg(&at(name))][..], &["diff", arg(&at(name)), arg(&at(name))]] {
            let (code, line) = refusal(args);
            assert!(code == 1 && line.contains(name) && line.contains(said), "{line}");
        }
    }
    fs::write(at("latin.json"), b"\xe9").expect("a file");
    assert!(refusal(&["show", arg(&at("latin.json"))]).1.contains("is not UTF-8"));
    assert!(refusal(&["show", arg(&at("none"))]).1.contains("No such file"));
    let dir = at("dir");
    fs::create_dir(&dir).expect("a folder");
    assert!(refusal(&["show", arg(&dir)]).1.contains("holds no result.json"));
    fs::write(dir.join("journal.jsonl"), "").expect("a file");
    assert!(refusal(&["show", arg(&dir)]).1.contains("--partial"));
    fs::write(dir.join("result.json"), &text).expect("a file");
    assert!(luna(&["show", arg(&dir)]).status.success(), "a result without a manifest");
    let manifest = |bytes: usize, seed: usize| {
        let stamp = result(ranks)["stamp"].to_string().replace("\"seed\":0", &format!("\"seed\":{seed}"));
        let files =
            format!("[{{\"name\":\"result.json\",\"bytes\":{bytes}}},{{\"name\":\"a.svg\",\"bytes\":3}}]");
        fs::write(dir.join("manifest.json"), format!("{{\"stamp\":{stamp},\"files\":{files}}}"))
            .expect("a file");
    };
    manifest(text.len() - 1, 0);
    assert!(refusal(&["show", arg(&dir)]).1.contains("was cut or edited after the run"));
    manifest(text.len(), 1);
    assert!(refusal(&["show", arg(&dir)]).1.contains("is of another run"));
    manifest(text.len(), 0);
    let run = luna::study::runs::Run::open(&dir).expect("a run");
    assert!(run.beside().unwrap_err().to_string().contains("a.svg"), "a file that was removed");
    fs::write(dir.join("a.svg"), "abc").expect("a file");
    assert_eq!(run.beside().expect("files"), [dir.join("a.svg")]);
}

#[test]
fn a_reader_who_wants_no_more_is_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.json");
    fs::write(&file, result(ranks).to_string()).expect("a file");
    for args in [&["show", arg(&file), "--format", "json"][..], &["diff", arg(&file), arg(&file)]] {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
        let mut child =
            command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{args:?}");
    }
}
