//! `luna allocate`.

use std::io::Write;

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::study::allocate::{self, AllocateConfig};
use crate::sweep::RunFolder;

/// What `luna allocate` takes.
#[derive(Args, Clone, Debug)]
pub struct Allocate {
    /// What is allocated, and on what.
    #[command(flatten)]
    config: AllocateConfig,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
    /// Continue the run in the folder of --out, also with other budgets: their result replaces the one that is there
    #[arg(long, requires = "out", help_heading = "Output")]
    resume: bool,
}

impl Allocate {
    /// Allocates, judges and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.folder = RunFolder { resume: self.resume, ..self.output.folder() };
        let place = (&config.folder, config.unnamed().is_some());
        study::run(global, &self.output, place, allocate::columns(), out, |context| {
            allocate::run(&config, context)
        })
    }
}
