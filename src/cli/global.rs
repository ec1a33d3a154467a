//! Flags of every command.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, Result};
use crate::profile::machine;

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Seed of all random numbers
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Threads to use [default: all cores of this process or batch job]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Show no progress and no hints
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Read flags from an experiment file; command-line flags override the file
    // Replaced before clap parses the arguments (`experiment`); declared for help and completions.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The arguments as they were typed, of those that say what is measured.
    #[arg(skip)]
    pub command: Vec<String>,
    /// The same with those of an experiment file in its place.
    #[arg(skip)]
    pub arguments: Vec<String>,
}

impl Global {
    /// Sets the size of the pool that all parallel work shares.
    pub(super) fn start_threads(&self) -> Result<()> {
        let threads = self.threads.map_or_else(machine::cores, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(|error| Error::Refused(format!("--threads: '{threads}' cannot be started: {error}")))
    }
}
