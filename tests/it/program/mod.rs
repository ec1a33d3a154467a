//! The program: what it writes where, and its exit codes.

#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod signals;

use std::io::Read;
use std::process::{Command, Output, Stdio};

fn luna(args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    luna(args).output().expect("the program starts")
}

/// The exit code and the one line on stderr of a run that fails.
fn refusal(args: &[&str]) -> (i32, String) {
    let output = run(args);
    assert!(output.stdout.is_empty(), "a refusal writes no result");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    (output.status.code().expect("a code"), stderr.trim_end().to_string())
}

#[test]
fn without_arguments_it_shows_help() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: luna"));
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Usage: luna"));
}

#[test]
fn help_is_a_command_too() {
    let help = run(&["help", "svd-spectrum"]);
    assert_eq!(help.status.code(), Some(0));
    assert_eq!(help.stdout, run(&["svd-spectrum", "--help"]).stdout);
    assert_eq!(run(&["help", "svd-spectra"]).status.code(), Some(2));
}

#[test]
fn former_names_are_answered() {
    assert_eq!(run(&["list", "attention"]).stdout, run(&["list", "mechanism"]).stdout);
    let sweep = ["scale-sweep", "--measure", "flops", "--seq-len", "64", "--l", "8", "--format", "csv"];
    let [now, before] =
        [["--mechanism", "--num-heads"], ["--attention", "--heads"]].map(|[mechanism, heads]| {
            let output = run(&[&sweep[..], &[mechanism, "luna", heads, "2"]].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        });
    assert_eq!(now, before);
}

#[test]
fn misuse_ends_with_2_and_a_suggestion() {
    let output = run(&["list", "--fromat", "json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("'--format'"));
}

#[test]
fn an_unknown_name_is_one_line_with_the_nearest_one() {
    let (code, line) = refusal(&["list", "engin"]);
    assert_eq!(code, 1);
    assert!(
        line.starts_with("luna: unknown kind of name 'engin' (did you mean 'engine'?); known: "),
        "{line}"
    );
}

#[test]
fn doctor_writes_json() {
    let output = run(&["doctor", "--format", "json", "--threads", "1"]);
    assert!(output.status.success() && output.stderr.is_empty());
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found["threads"], 1);
    assert!(
        found["gemm"].as_array().expect("rates").iter().all(|rate| rate["best_gflops"].as_f64() > Some(0.0))
    );
}

#[test]
fn an_experiment_file_runs_and_flags_override_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.yaml");
    std::fs::write(&file, "command: list\nformat: json\n").expect("a file");
    let file = file.to_str().expect("a plain path");
    let json = run(&["run", file]);
    assert!(json.status.success());
    assert_eq!(json.stdout, run(&["list", "--format", "json"]).stdout);
    assert_eq!(json.stdout, run(&["list", "--config", file]).stdout);
    assert_eq!(run(&["run", file, "--format", "table"]).stdout, run(&["list"]).stdout);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.yaml");
    std::fs::write(&file, "command: list\n\nfromat: json\n").expect("a file");
    let (code, line) = refusal(&["run", file.to_str().expect("a plain path")]);
    assert_eq!(code, 1);
    assert!(line.contains("line 3: unknown key 'fromat' (did you mean 'format'?)"), "{line}");
    let (code, line) = refusal(&["run", "no/such/file.yaml"]);
    assert_eq!((code, line.contains("no/such/file.yaml")), (1, true));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = luna(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
    assert_eq!((child.wait().expect("an end").code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("doctor"), "{shell}");
    }
}

#[test]
fn a_plot_has_every_panel_of_curves() {
    let sweep = ["scale-sweep", "--seq-len", "32,64", "--l", "8", "--mechanism", "luna", "--rounds", "3"];
    let plotted = run(&[&sweep[..], &["--plot", "--quiet"]].concat());
    assert!(plotted.status.success());
    let text = String::from_utf8_lossy(&plotted.stdout).into_owned();
    for panel in ["time of one pass", "memory beyond inputs and outputs", "against fused exact attention"] {
        assert!(text.lines().any(|line| line.trim() == panel), "{panel}: {text}");
    }
    assert!(!String::from_utf8_lossy(&run(&sweep).stdout).contains("time of one pass"));
}

#[test]
fn a_plot_never_follows_what_a_program_reads() {
    let (code, line) = refusal(&["svd-spectrum", "--plot", "--format", "json"]);
    assert_eq!(code, 1);
    assert!(line.starts_with("luna: --plot: 'json' is not accepted; accepted: --format table"), "{line}");
}
