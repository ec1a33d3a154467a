//! `--jobs N`: a study as N processes beside each other, each a shard, and their merge.
//!
//! The processes share nothing: each writes the journal of its shard, and what they wrote decides what is left when the same
//! command is given again with --resume. One that is killed from outside is started again. All end with the one that
//! started them, however that ends: it holds the other end of their standard inputs.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::{Global, executable, interrupt, signal};
use crate::error::{Error, Result};
use crate::profile::machine;
use crate::report::printable;
use crate::sweep::Shard;

/// The folder of the shards' own folders, in that of --out.
const PARTS: &str = "parts";
/// How often a process is started again that was killed.
const STARTS: usize = 3;
/// Between two looks at the processes.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs all shards; returns the folder that holds their folders.
pub(super) fn run(jobs: usize, out: &Path, resume: bool, global: &Global) -> Result<PathBuf> {
    let parts = out.join(PARTS);
    refuse_others(&parts, jobs, resume)?;
    let threads = global.threads.map_or_else(|| (machine::cores() / jobs).max(1), usize::from);
    let stop = interrupt::watch();
    let mut running = Vec::new();
    for shard in Shard::all(jobs) {
        let mut command = Command::new(executable::path()?);
        let folder = parts.join(shard.to_string().replace('/', "-of-"));
        std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        command.args(&global.arguments).arg("--out").arg(folder);
        command.args(["--shard", &shard.to_string(), "--threads", &threads.to_string(), "--resume"]);
        command.arg("--while-stdin");
        running.push(Job::start(shard, command, global.quiet)?);
    }
    let mut asked = false;
    let mut ended = Vec::new();
    while !running.is_empty() {
        thread::sleep(PAUSE);
        let stopped = stop.load(std::sync::atomic::Ordering::Relaxed);
        if stopped && !asked {
            asked = true;
            for job in &running {
                signal::ask_to_stop(&job.child);
            }
        }
        let mut still = Vec::new();
        for mut job in running {
            match job.child.try_wait().map_err(Error::file("luna"))? {
                None => still.push(job),
                Some(status) if job.was_killed(status) && !stopped => still.push(job.again(global.quiet)?),
                Some(status) => ended.push((job, status)),
            }
        }
        running = still;
    }
    if asked {
        return Err(Error::Interrupted);
    }
    let failed: Vec<String> =
        ended.into_iter().filter(|(_, status)| !status.success()).map(failure).collect();
    match failed.first() {
        None => Ok(parts),
        Some(first) => Err(Error::Refused(format!(
            "{} of {jobs} jobs failed, the first: {first}; with --resume the same command goes on",
            failed.len()
        ))),
    }
}

/// Ends this process when its standard input ends: whoever started it is gone, and nothing would stop it any more.
#[allow(clippy::exit)] // at any moment, as a kill does: what is finished is in the journal
pub(super) fn end_with_stdin() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(i32::from(signal::TRY_AGAIN));
    });
}

/// One line on how a job failed.
fn failure((job, status): (Job, ExitStatus)) -> String {
    let said = job.said.join().unwrap_or_default();
    match status.code() {
        Some(_) => format!("shard {}: {}", job.shard, said.trim_start_matches("luna: ")),
        None => format!("shard {} was killed {STARTS} times ({status})", job.shard),
    }
}

/// Refuses shards of an earlier run, unless it is continued in as many parts.
fn refuse_others(parts: &Path, jobs: usize, resume: bool) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(parts) else { return Ok(()) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut begun = names.filter_map(|name| name.split_once("-of-")?.1.parse::<usize>().ok());
    match begun.next() {
        Some(_) if !resume => Err(Error::malformed(
            parts,
            "holds an earlier run",
            "another folder, or --resume to continue that run",
        )),
        Some(of) if of != jobs => {
            Err(Error::value("--jobs", jobs, format!("{of}, in as many parts as the run was begun in")))
        }
        _ => Ok(()),
    }
}

/// A process that runs a shard.
struct Job {
    shard: Shard,
    command: Command,
    child: Child,
    starts: usize,
    /// The last line that it says.
    said: thread::JoinHandle<String>,
}

impl Job {
    fn start(shard: Shard, mut command: Command, quiet: bool) -> Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(Error::file("luna"))?;
        let stderr = child.stderr.take();
        let said = thread::spawn(move || {
            let mut last = String::new();
            for line in
                stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()).map_while(Result::ok)
            {
                if !quiet {
                    let line = printable(line.trim_start_matches("luna: "));
                    // A closed stderr loses progress and nothing else.
                    let _ = writeln!(io::stderr(), "luna: [{shard}] {line}");
                }
                last = line;
            }
            last
        });
        Ok(Self { shard, command, child, starts: 1, said })
    }

    /// Whether it ended by a signal (the system was out of memory, for example) and may be started again.
    fn was_killed(&self, status: ExitStatus) -> bool {
        status.code().is_none() && self.starts < STARTS
    }

    fn again(self, quiet: bool) -> Result<Self> {
        let starts = self.starts + 1;
        Ok(Self { starts, ..Self::start(self.shard, self.command, quiet)? })
    }
}

/// The arguments of the merge of shards in their folder.
pub(super) fn merge(parts: PathBuf, out: &Path) -> Vec<OsString> {
    let flags: [OsString; 5] =
        ["--merge-from".into(), parts.into(), "--out".into(), out.into(), "--resume".into()];
    flags.into()
}
