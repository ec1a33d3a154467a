//! What a batch system grants a job, where it says so in the environment and enforces nothing.

use std::env::var;

/// Cores of one task, and a variable that only a job has: of Slurm, Grid Engine, LSF, PBS.
const CORES: [(&str, &str); 4] = [
    ("SLURM_CPUS_PER_TASK", "SLURM_JOB_ID"),
    ("NSLOTS", "JOB_ID"),
    ("LSB_DJOB_NUMPROC", "LSB_JOBID"),
    ("NCPUS", "PBS_JOBID"),
];

/// Cores; none if nothing is said.
pub(super) fn cores() -> Option<usize> {
    let granted = |(name, job): &(&str, &str)| var(job).ok().and_then(|_| number(name));
    CORES.iter().find_map(granted).filter(|cores| *cores > 0)
}

/// Bytes of memory on this node, of Slurm; none if nothing is said.
pub(super) fn memory() -> Option<u64> {
    var("SLURM_JOB_ID").ok()?;
    let mebibytes = number("SLURM_MEM_PER_NODE").or_else(|| {
        let cores = number("SLURM_CPUS_ON_NODE")?;
        number("SLURM_MEM_PER_CPU")?.checked_mul(cores)
    })?;
    // 0 stands for all of the node's.
    u64::try_from(mebibytes).ok()?.checked_mul(1 << 20).filter(|bytes| *bytes > 0)
}

fn number(name: &str) -> Option<usize> {
    var(name).ok()?.trim().parse().ok()
}
