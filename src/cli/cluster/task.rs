//! The number of a task, as the system that started it says.

use std::env::var;

use super::slurm;
use crate::profile::clock;

/// Where systems say the number of a task of an array, and the number of the first: Slurm, Kubernetes (indexed jobs), GNU
/// parallel, `HyperQueue`, PBS, LSF, Grid Engine.
const NUMBERS: [(&str, usize); 7] = [
    ("SLURM_ARRAY_TASK_ID", 0),
    ("JOB_COMPLETION_INDEX", 0),
    ("PARALLEL_SEQ", 1),
    ("HQ_TASK_ID", 1),
    ("PBS_ARRAY_INDEX", 1),
    ("LSB_JOBINDEX", 1),
    ("SGE_TASK_ID", 1),
];

/// The variables, for a message.
pub(super) fn variables() -> String {
    NUMBERS.map(|(name, _)| name).join(", ")
}

/// The task's number, counted from 0; none outside an array.
pub(super) fn number() -> Option<usize> {
    NUMBERS.iter().find_map(|(name, first)| var(name).ok()?.trim().parse::<usize>().ok()?.checked_sub(*first))
}

/// The task's name for `scontrol`, and how often it was started again; none outside Slurm.
pub(super) fn of_slurm() -> Option<(String, usize)> {
    let (job, task) = (var("SLURM_ARRAY_JOB_ID").ok()?, var("SLURM_ARRAY_TASK_ID").ok()?);
    let restarts = var("SLURM_RESTART_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    Some((format!("{job}_{task}"), restarts))
}

/// Seconds until the task's time limit; none outside Slurm, and if nothing says it.
pub(super) fn seconds_left() -> Option<f64> {
    let job = var("SLURM_JOB_ID").ok()?;
    let end = var("SLURM_JOB_END_TIME").ok().and_then(|end| end.parse::<f64>().ok());
    // Older versions of Slurm do not tell the task.
    end.map(|end| end - clock::since_epoch() as f64).or_else(|| slurm::seconds_left(&job))
}

/// The node, for the record.
pub(super) fn node() -> String {
    let named = ["SLURMD_NODENAME", "HOSTNAME"].iter().find_map(|name| var(name).ok());
    let kernel =
        || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_string());
    named.or_else(kernel).unwrap_or_default()
}
