//! The number of a task, as the system that started it says.

use std::env::var;

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

/// The node, for the record.
pub(super) fn node() -> String {
    let named = ["SLURMD_NODENAME", "HOSTNAME"].iter().find_map(|name| var(name).ok());
    let kernel =
        || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_string());
    named.or_else(kernel).unwrap_or_default()
}
