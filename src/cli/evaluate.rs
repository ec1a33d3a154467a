//! `luna evaluate`.

use std::io::Write;

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::study::evaluate::{self, EvaluateConfig};

/// What `luna evaluate` takes.
#[derive(Args, Clone, Debug)]
pub struct Evaluate {
    /// What is evaluated.
    #[command(flatten)]
    config: EvaluateConfig,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
}

impl Evaluate {
    /// Evaluates and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let columns = evaluate::columns();
        let place = (&self.output.folder(), false);
        study::run(global, &self.output, place, columns, out, |context| evaluate::run(&self.config, context))
    }
}
