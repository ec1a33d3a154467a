//! `luna translate`.

use std::io::Write;

use clap::Args;

use super::text_output::{self, TextOutputArgs};
use super::{Failure, Global};
use crate::study::translate::{self, TranslateConfig};

/// What `luna translate` takes.
#[derive(Args, Clone, Debug)]
pub struct Translate {
    /// What translates.
    #[command(flatten)]
    config: TranslateConfig,
    /// How it is written.
    #[command(flatten)]
    output: TextOutputArgs,
}

impl Translate {
    /// Writes a line for every line, as they come.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        text_output::run(global, &self.output, translate::columns(), out, |context, write| {
            let mut write_line = |line: &str| write(format!("{line}\n").as_bytes());
            translate::run(&self.config, context, std::io::stdin(), &mut write_line)
        })
    }
}
