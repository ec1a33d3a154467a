//! `luna train`.

use std::io::Write;

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::profile::memory;
use crate::study::train::{self, TrainConfig};
use crate::sweep::{RunFolder, Shard};

/// What `luna train` takes.
#[derive(Args, Clone, Debug)]
pub struct Train {
    /// What is trained.
    #[command(flatten)]
    config: TrainConfig,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
    /// Continue the interrupted run in the folder of --out
    #[arg(long, requires = "out", help_heading = "Output")]
    resume: bool,
    /// Run part I of N of the trainings only; parts share --out, and --resume without --shard shows all of them
    #[arg(long, requires = "out", value_name = "I/N", help_heading = "Output")]
    shard: Option<Shard>,
}

impl Train {
    /// Trains and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.folder.clone_from(&self.output.out);
        config.resume = self.resume;
        config.shard = self.shard;
        let folder = RunFolder { resume: self.resume, shard: self.shard, ..self.output.folder() };
        memory::keep_freed();
        let columns = train::columns();
        study::run(global, &self.output, (&folder, false), columns, out, |context| {
            train::run(&config, context)
        })
    }
}
