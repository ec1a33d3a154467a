//! `luna check`.

use std::cell::RefCell;
use std::io::Write;

use clap::Args;

use super::cells::spawn;
use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::study::claim::{self, Config};
use crate::sweep::RunFolder;

/// What `luna check` takes.
#[derive(Args, Clone, Debug)]
pub struct Check {
    /// What is checked.
    #[command(flatten)]
    config: Config,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
    /// Continue the interrupted check in the folder of --out
    #[arg(long, requires = "out", help_heading = "Output")]
    resume: bool,
    /// Exit with code 3 if a claim fails
    #[arg(long, help_heading = "Output")]
    assert: bool,
}

impl Check {
    /// Measures, judges and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.folder = RunFolder { resume: self.resume, ..self.output.folder() };
        config.spawn = Some(spawn);
        let embedded = claim::reads_built_in(&config);
        let failed = RefCell::new(Vec::new());
        let columns = Some(claim::columns());
        study::run(global, &self.output, (&config.folder, embedded), columns, out, |context| {
            let outcome = claim::run(&config, context)?;
            failed.replace(claim::failed(&outcome.report));
            Ok(outcome)
        })?;
        match failed.into_inner() {
            failed if self.assert && !failed.is_empty() => {
                Err(Failure::Condition(format!("does not hold: {}", failed.join(", "))))
            }
            _ => Ok(()),
        }
    }
}
