//! `luna generate`.

use std::io::Write;

use clap::Args;

use super::text_output::{self, TextOutputArgs};
use super::{Failure, Global};
use crate::study::generate::{self, GenerateConfig};

/// What `luna generate` takes.
#[derive(Args, Clone, Debug)]
pub struct Generate {
    /// What writes.
    #[command(flatten)]
    config: GenerateConfig,
    /// How it is written.
    #[command(flatten)]
    output: TextOutputArgs,
}

impl Generate {
    /// Writes the prompt and what follows, as it is sampled.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        text_output::run(global, &self.output, generate::columns(), out, |context, write| {
            generate::run(&self.config, context, write)
        })
    }
}
