//! The commands of Slurm.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::plan::count;
use super::run::{Facts, Run};
use crate::cli::Failure;
use crate::error::{Error, Result};

/// Beginnings of variables that a job inherits from the job that submits it, and that then contradict its own.
const INHERITED: [&str; 5] = ["SLURM_", "SBATCH_", "SRUN_", "PMI_", "PMIX_"];

/// A command of Slurm, without what an enclosing job left in the environment.
fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if INHERITED.iter().any(|start| name.starts_with(start)) {
            command.env_remove(&variable);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// What a command prints; an error with its last line.
fn output(mut command: Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ran = command.output().map_err(|error| {
        Error::Refused(format!(
            "cluster: {name} cannot be started ({error}); is this a node of a Slurm cluster?"
        ))
    })?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed and said nothing");
    Err(Error::Refused(format!("cluster: {name}: {last}")))
}

/// What the cluster says of itself.
pub(super) fn facts() -> Result<Facts> {
    let mut show = command("scontrol");
    show.args(["show", "config"]);
    let text = output(show)?;
    let value = |name: &str| {
        let line = text.lines().find(|line| line.split('=').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once('=')).map(|(_, value)| value.trim().to_string())
    };
    let max_array_size = value("MaxArraySize").and_then(|size| size.parse().ok()).unwrap_or(1001);
    Ok(Facts { version: value("SLURM_VERSION").unwrap_or_default(), max_array_size })
}

/// Submits a script; returns the job's id.
pub(super) fn submit(script: &Path, options: &[String]) -> Result<String> {
    let mut sbatch = command("sbatch");
    sbatch.arg("--parsable").args(options).arg(script);
    let id = output(sbatch)?;
    // With several clusters it is `id;cluster`.
    Ok(id.trim().split(';').next().unwrap_or_default().to_string())
}

/// The state of every task of these array jobs that is in the queue, by job and index; none if the queue does not tell.
pub(super) fn queued(jobs: &[String]) -> Option<BTreeMap<(String, usize), String>> {
    let mut states = BTreeMap::new();
    for job in jobs {
        let mut squeue = command("squeue");
        squeue.args(["--noheader", "--array", "--format=%F %K %T", "--jobs", job]);
        let text = match output(squeue) {
            Ok(text) => text,
            // A job that has left the queue long ago is not known any more.
            Err(error) if error.to_string().contains("Invalid job id") => continue,
            Err(_) => return None,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(job), Some(task), Some(state)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if let Ok(task) = task.parse() {
                states.insert((job.to_string(), task), state.to_lowercase());
            }
        }
    }
    Some(states)
}

/// Seconds until the time limit of a running job; none if it has none, or the queue does not tell.
pub(super) fn seconds_left(job: &str) -> Option<f64> {
    let mut squeue = command("squeue");
    squeue.args(["--noheader", "--format=%L", "--jobs", job]);
    seconds(output(squeue).ok()?.trim())
}

/// The seconds of `[D-][[HH:]MM:]SS`; none of words, such as UNLIMITED.
fn seconds(time: &str) -> Option<f64> {
    let (days, clock) = time.split_once('-').unwrap_or(("0", time));
    let digits = |part: &str| part.parse::<u32>().ok().map(f64::from);
    let clock = clock.split(':').try_fold(0.0, |sum, part| Some(60.0 * sum + digits(part)?));
    Some(86_400.0 * digits(days)? + clock?)
}

/// Puts a running task back into the queue.
pub(super) fn requeue(task: &str) -> Result<()> {
    let mut scontrol = command("scontrol");
    scontrol.args(["requeue", task]);
    output(scontrol).map(drop)
}

/// Cancels every job of a run.
pub(super) fn cancel(dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let run = Run::read(dir)?;
    let jobs: Vec<&String> = run.arrays.iter().map(|array| &array.job).chain(&run.merges).collect();
    let mut scancel = command("scancel");
    scancel.args(&jobs);
    output(scancel)?;
    let jobs = count(jobs.len(), "job");
    writeln!(out, "cancelled {jobs}; what is recorded stays, and luna cluster resubmit goes on")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_slurm_writes_them() {
        for (time, found) in [("0:09", 9.0), ("59:01", 3541.0), ("2:00:00", 7200.0), ("1-02:03:04", 93_784.0)]
        {
            assert_eq!(seconds(time), Some(found), "{time}");
        }
        for time in ["UNLIMITED", "INVALID", "NOT_SET", ""] {
            assert_eq!(seconds(time), None, "{time}");
        }
    }
}
