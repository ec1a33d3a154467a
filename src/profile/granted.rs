//! What a batch system grants a job, where it says so in the environment and enforces nothing.

use std::env::var;

/// Cores of one task: of Slurm, Grid Engine, LSF, PBS.
const CORES: [&str; 4] = ["SLURM_CPUS_PER_TASK", "NSLOTS", "LSB_DJOB_NUMPROC", "NCPUS"];

/// Cores; none if nothing is said.
pub(super) fn cores() -> Option<usize> {
    CORES.iter().find_map(|name| number(name)).filter(|cores| *cores > 0)
}

/// Bytes of memory on this node, of Slurm; none if nothing is said.
pub(super) fn memory() -> Option<u64> {
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
