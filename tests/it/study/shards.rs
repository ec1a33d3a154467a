//! Runs in parts, on several machines: merged, they are the run of one machine.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use luna::rng::{below, stream};
use serde_json::Value;

use super::killed::{RUNS, files, finished, send, start};

const SPECTRA: &str = "svd-spectrum --synthetic gaussian,iid --seq-len 24 --windows 3 --at 4 --null none";

fn luna(arguments: &str, folder: &Path) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(arguments.split_whitespace()).current_dir(folder).output().unwrap()
}

/// Runs every part into a folder `parts/I`.
fn parts(run: &str, of: usize, folder: &Path) {
    for part in 1..=of {
        let ran = luna(&format!("{run} --quiet --shard {part}/{of} --out parts/{part}"), folder);
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.starts_with(&format!("shard {part}/{of} is done")), "{ran:?}");
    }
}

fn refused(arguments: &str, folder: &Path) -> String {
    let ran = luna(arguments, folder);
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!((ran.status.code(), said.lines().count()), (Some(1), 1), "{arguments}: {said}");
    said
}

/// Each part is killed or stopped once and continued.
#[test]
#[cfg(unix)]
fn parts_of_every_study_are_merged_to_the_bytes_of_one_run() {
    let mut moment = stream(13, "moments of a kill");
    for (at, run) in RUNS.into_iter().enumerate() {
        let whole = tempfile::tempdir().unwrap();
        let watch = luna::profile::clock::Stopwatch::start();
        let expected = finished(start(run, &[], whole.path()));
        let took = watch.elapsed().as_secs_f64();
        let folder = tempfile::tempdir().unwrap();
        // More parts than cells of a kind, too.
        let of = [2, 3, 5, 4, 3, 2, 9, 3][at];
        for part in 1..=of {
            let parts = folder.path().join("parts").join(part.to_string());
            std::fs::create_dir_all(&parts).unwrap();
            let shard = format!("{part}/{of}");
            let mut child = start(run, &["--shard", &shard], &parts);
            let share = below(&mut moment, 1000) as f64 / 1000.0;
            std::thread::sleep(Duration::from_secs_f64(0.6 * share * took / of as f64));
            send(["KILL", "TERM"][part % 2], &child);
            child.stdout.take();
            let _ = child.wait_with_output().unwrap();
            let ended = start(run, &["--shard", &shard], &parts).wait_with_output().unwrap();
            assert!(ended.status.success(), "{run}: {}", String::from_utf8_lossy(&ended.stderr));
            std::fs::rename(parts.join("run/journal.jsonl"), parts.join("journal.jsonl")).unwrap();
        }
        let merged = luna("merge parts --out run --format json --quiet", folder.path());
        assert!(merged.status.success(), "{run}: {}", String::from_utf8_lossy(&merged.stderr));
        let mut found: Value = serde_json::from_slice(&merged.stdout).unwrap();
        found["stamp"]["date"].take();
        assert_eq!(found, expected, "{run}");
        assert_eq!(files(folder.path()), files(whole.path()), "{run}");
    }
}

#[test]
fn what_is_missing_is_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    parts(SPECTRA, 3, folder);
    let said = refused("merge parts/1 parts/3 --out merged", folder);
    let missing = "2 of 6 cells are missing: 'n 24 window 1 layer 0 head 0', 'n 24 window 1 layer 1 head 0';";
    assert!(said.contains(missing) && said.contains("--partial"), "{said}");
    let partial = luna("merge parts/1 parts/3 --partial --format json", folder);
    assert_eq!(partial.status.code(), Some(75));
    let result: Value = serde_json::from_slice(&partial.stdout).unwrap();
    assert_eq!(result["stamp"]["interrupted"], true);
    assert_eq!(result["rows"].as_array().map(Vec::len), Some(4));
    // An earlier merge is made again, whether cells were missing or it was killed before it wrote its result.
    let again = |runs: &str| luna(&format!("merge {runs} --out again"), folder).status.code();
    assert_eq!(again("parts/1 parts/3 --partial"), Some(75));
    assert_eq!(again("parts"), Some(0));
    for name in ["manifest.json", "result.json"] {
        std::fs::remove_file(folder.join("again").join(name)).unwrap();
    }
    assert_eq!(again("parts"), Some(0));
    assert!(refused("merge parts/1 --partial --out again", folder).contains("'again': holds an earlier run"));
    // What was merged is a run that can be continued; and a run that lost a part is one.
    std::fs::remove_dir_all(folder.join("merged")).ok();
    assert_eq!(luna("merge parts/1 parts/3 --partial --out merged", folder).status.code(), Some(75));
    assert!(luna(&format!("{SPECTRA} --out merged --resume"), folder).status.success());
    assert!(luna("merge merged", folder).status.success());
}

#[test]
fn runs_that_are_not_of_one_study_are_refused_by_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    parts(SPECTRA, 2, folder);
    let other = format!("{} --quiet --shard 2/2 --out other", SPECTRA.replace("--at 4", "--at 8"));
    assert!(luna(&other, folder).status.success());
    let said = refused("merge parts/1 other", folder);
    assert!(
        said.contains("'other/journal.jsonl': a journal of another study (at: '8' there, '4' in the first)"),
        "{said}"
    );
    std::fs::create_dir(folder.join("twice")).unwrap();
    std::fs::copy(folder.join("parts/1/journal.jsonl"), folder.join("twice/journal.jsonl")).unwrap();
    assert!(luna("merge parts twice", folder).status.success(), "the same figures twice are no conflict");
    // Times are never the same twice.
    for out in ["early", "late"] {
        let sweep = "scale-sweep --mechanism linear --seq-len 16 --num-heads 1 --measure time --rounds 3 --quiet --out";
        assert!(luna(&format!("{sweep} {out}"), folder).status.success());
    }
    let said = refused("merge early late", folder);
    assert!(said.contains("'late/journal.jsonl': 'n = 16' has other figures here than in 'early/"), "{said}");
    for (part, threads) in [(1, 1), (2, 2)] {
        let sweep =
            "scale-sweep --mechanism linear --seq-len 16,24 --num-heads 1 --measure time --rounds 3 --quiet";
        let part = format!("{sweep} --threads {threads} --shard {part}/2 --out unlike/{part}");
        assert!(luna(&part, folder).status.success());
    }
    let said = refused("merge unlike", folder);
    assert!(said.contains("of another machine") && said.contains("(threads: '1' there, '2' here)"), "{said}");
    assert!(luna("merge unlike --mixed-machines", folder).status.success());
    std::fs::create_dir(folder.join("empty")).unwrap();
    for (wrong, what) in [
        ("merge nothing", "'nothing': No such file"),
        ("merge empty", "no journal.jsonl there, nor in a folder in it"),
        ("merge parts --out parts/1", "'parts/1': holds an earlier run"),
    ] {
        let said = refused(wrong, folder);
        assert!(said.contains(what), "{said}");
    }
    for (flag, what) in [("--shard 3/2 --out x", "such as 3/8"), ("--shard 1/2", "--out <DIR>")] {
        let ran = luna(&format!("{SPECTRA} {flag}"), folder);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.code() == Some(2) && said.contains(what), "{said}");
    }
}

/// Two processes beside each other: one is killed and started again; all are stopped and continued.
#[test]
#[cfg(unix)]
fn jobs_find_what_one_process_finds() {
    let whole = tempfile::tempdir().unwrap();
    let run = RUNS[2];
    let expected = finished(start(run, &[], whole.path()));
    let folder = tempfile::tempdir().unwrap();
    let journal = |part: &str| folder.path().join("run/parts").join(part).join("journal.jsonl");
    let begun = |child: &mut std::process::Child| {
        while !["1-of-2", "2-of-2"].iter().all(|part| journal(part).exists()) {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let mut child = start(run, &["--jobs", "2"], folder.path());
    begun(&mut child);
    send("TERM", &child);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(75), "{}", String::from_utf8_lossy(&ended.stderr));
    let other = start(run, &["--jobs", "3"], folder.path()).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(1) && said.contains("--jobs: '3'"), "{said}");
    let child = start(run, &["--jobs", "2"], folder.path());
    let kill = format!("pkill -KILL -P {}", child.id());
    let _ = Command::new("sh").args(["-c", &kill]).status();
    assert_eq!(finished(child), expected);
    let but_parts = |folder: &Path| {
        std::fs::remove_dir_all(folder.join("run/parts")).ok();
        files(folder)
    };
    assert_eq!(but_parts(folder.path()), files(whole.path()));
    let said = refused("scale-sweep --seq-len 16 --jobs 2 --out times", folder.path());
    assert!(said.contains("would measure each other"), "{said}");
}

/// However the process that was asked ends, those that it started end too: a run that goes on finds no other at its journals.
#[test]
#[cfg(target_os = "linux")] // the flags of its `ps`
fn jobs_end_with_the_process_that_started_them() {
    let folder = tempfile::tempdir().unwrap();
    // Minutes of work, of which seconds are waited for.
    let run = "svd-spectrum --synthetic gaussian --seq-len 700 --windows 400 --at 4 --null-draws 9";
    let ps = |arguments: String| {
        let ran = Command::new("ps").args(arguments.split(' ')).output().unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    let mut child = start(run, &["--jobs", "2"], folder.path());
    let journal = |part: &str| folder.path().join("run/parts").join(part).join("journal.jsonl");
    while !["1-of-2", "2-of-2"].iter().all(|part| journal(part).exists()) {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    let jobs: Vec<String> = {
        let list = ps(format!("-o pid= --ppid {}", child.id()));
        list.split_whitespace().map(String::from).collect()
    };
    assert_eq!(jobs.len(), 2);
    // One that ended and that nobody waited for is still listed.
    let runs = |job: &String| ps(format!("-o stat= -p {job}")).trim().starts_with(['R', 'S', 'D']);
    assert!(jobs.iter().all(runs));
    send("KILL", &child);
    child.wait().unwrap();
    let watch = luna::profile::clock::Stopwatch::start();
    while jobs.iter().any(runs) {
        assert!(watch.seconds() < 20.0, "they go on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a batch system grants a job counts: threads, and memory, which a part needs and a merge does not.
#[test]
#[cfg(target_os = "linux")]
fn parts_need_what_the_job_was_granted_and_a_merge_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let granted = |arguments: &str, mebibytes: &str| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
        command.args(arguments.split_whitespace()).current_dir(folder);
        command.env("SLURM_JOB_ID", "7").env("SLURM_CPUS_PER_TASK", "1").env("SLURM_MEM_PER_NODE", mebibytes);
        command.output().unwrap()
    };
    let found: Value = serde_json::from_slice(&granted("doctor --format json", "300").stdout).unwrap();
    assert_eq!((&found["cores"], &found["threads"]), (&1.into(), &1.into()));
    assert_eq!(found["memory_total_bytes"], 300 << 20);
    let run = "svd-spectrum --synthetic gaussian --seq-len 300 --windows 1 --null none --quiet";
    let said = |ran: &Output| String::from_utf8(ran.stderr.clone()).unwrap();
    let small = granted(&format!("{run} --method exact --shard 1/1 --out small"), "1");
    assert!(
        small.status.code() == Some(1) && said(&small).contains("--method exact at n = 300"),
        "{small:?}"
    );
    let unnamed = granted(&format!("{run} --shard 1/1 --out unnamed"), "1");
    assert!(
        unnamed.status.code() == Some(1) && said(&unnamed).contains("name --method exact"),
        "{unnamed:?}"
    );
    assert!(granted(&format!("{run} --shard 1/1 --out large"), "4000").status.success());
    let merged = granted("merge large --format csv", "1");
    assert!(merged.status.success() && merged.stdout.len() > 100, "{merged:?}");
}
