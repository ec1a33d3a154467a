//! `luna approx-error`.

use std::io::Write;

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::study::approx_error::{self, Config};

/// What `luna approx-error` takes.
#[derive(Args, Clone, Debug)]
pub struct ApproxError {
    /// What is measured.
    #[command(flatten)]
    config: Config,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
}

impl ApproxError {
    /// Measures and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.folder = self.output.folder();
        config.aggregate = self.output.aggregate(config.aggregate);
        let columns = approx_error::columns(&config);
        study::run(global, &self.output, config.unnamed().is_some(), columns, out, |context| {
            approx_error::run(&config, context)
        })
    }
}
