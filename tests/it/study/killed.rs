//! Runs that are killed or stopped at any moment, and resumed: the result is that of a run that was not.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use luna::rng::{below, stream};
use serde_json::Value;

/// Small runs of every kind of cell.
pub(super) const RUNS: [&str; 8] = [
    "svd-spectrum --synthetic gaussian:logit_sd=1,iid --seq-len 24,32 --windows 5 --at 4 --null-draws 2",
    "svd-spectrum --method lanczos --top 4 --synthetic gaussian:logit_sd=4,iid --seq-len 64 --windows 4",
    "approx-error --synthetic gaussian:logit_sd=1,gaussian:logit_sd=2 --seq-len 24 --windows 4 --l 4 --fit-steps 20 \
     --mechanism luna:p=fitted,luna,nystrom",
    "approx-error --substitute all --mechanism linear,luna-causal,local --l 4 --seq-len 16 --windows 3",
    "approx-error --substitute all --mechanism linformer:e=fitted,local --l 4,8 --seq-len 16 --windows 3 --fit-steps 5 \
     --model MODEL --text TEXT",
    "approx-error --check linformer-theorem-1 --seq-len 32 --windows 4 --draws 2",
    "scale-sweep --mechanism luna,linear --seq-len 32,64 --l 4 --num-heads 2 --measure flops,error --windows 2",
    "svd-spectrum --method quadrature --probes 4 --synthetic gaussian:logit_sd=4,iid --seq-len 64 --windows 4 --null-draws 1",
];

/// Starts one of them into a folder `run`, or continues it.
pub(super) fn start(run: &str, more: &[&str], folder: &Path) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |word: &str| match word {
        "MODEL" => root.join("data/byte-transformer").into_os_string(),
        "TEXT" => root.join("README.md").into_os_string(),
        _ => word.into(),
    };
    command.args(run.split_whitespace().map(file));
    command.args(["--quiet", "--threads", "2", "--format", "json", "--out", "run", "--resume"]);
    command.args(more).current_dir(folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What it writes to stdout, without its date.
pub(super) fn finished(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut result: Value = serde_json::from_slice(&output.stdout).unwrap();
    result["stamp"]["date"].take();
    result
}

/// Every file of the result but those that have the date, and what a kill left under a temporary name.
pub(super) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder.join("run")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_string();
    let mut files: Vec<_> = entries
        .filter(|path| !["journal.jsonl", "manifest.json", "result.json"].contains(&name(path).as_str()))
        .filter(|path| !name(path).starts_with('.'))
        .map(|path| (name(&path), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

pub(super) fn send(signal: &str, child: &Child) {
    // It may have ended by itself in the meantime.
    let _ = Command::new("kill").args(["-s", signal, &child.id().to_string()]).stderr(Stdio::null()).status();
}

#[test]
#[cfg(unix)]
fn a_run_that_is_killed_or_stopped_at_any_moment_is_resumed_to_the_same_bytes() {
    let mut moment = stream(11, "moments of a kill");
    for run in RUNS {
        let whole = tempfile::tempdir().unwrap();
        let watch = luna::profile::clock::Stopwatch::start();
        let expected = finished(start(run, &[], whole.path()));
        let took = watch.elapsed();
        let folder = tempfile::tempdir().unwrap();
        for signal in ["KILL", "TERM", "KILL", "TERM", "KILL"] {
            let share = below(&mut moment, 1000) as f64 / 1000.0;
            let mut child = start(run, &[], folder.path());
            std::thread::sleep(Duration::from_secs_f64(0.6 * share * took.as_secs_f64()));
            send(signal, &child);
            child.stdout.take();
            let _ = child.wait_with_output().unwrap();
        }
        let found = finished(start(run, &[], folder.path()));
        assert_eq!(found, expected, "{run}");
        assert_eq!(files(folder.path()), files(whole.path()), "{run}");
        let journal = |folder: &Path| std::fs::read_to_string(folder.join("run/journal.jsonl")).unwrap();
        let count = |folder: &Path| journal(folder).lines().count();
        assert_eq!(count(folder.path()), count(whole.path()), "no cell is run twice: {run}");
        // Once more: nothing is left to do, and nothing changes.
        assert_eq!(finished(start(run, &[], folder.path())), expected, "{run}");
    }
}
