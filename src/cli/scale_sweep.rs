//! `luna scale-sweep`: the study with output options.

use std::io::Write;
use std::process::{Command, Stdio};

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::study::scale_sweep::{self, ScaleSweepConfig};

/// Flags of `luna scale-sweep`.
#[derive(Args, Clone, Debug)]
pub struct ScaleSweep {
    /// What is measured.
    #[command(flatten)]
    config: ScaleSweepConfig,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
}

impl ScaleSweep {
    /// Measures and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(form) = &self.config.alone {
            if let Some(bytes) = scale_sweep::resident_growth(&self.config, form, global.seed)? {
                writeln!(out, "{bytes}")?;
            }
            return Ok(());
        }
        let mut config = self.config.clone();
        config.folder = self.output.folder();
        config.spawn = Some(spawn);
        let columns = Some(scale_sweep::columns());
        study::run(global, &self.output, false, columns, out, |context| scale_sweep::run(&config, context))
    }
}

/// Runs this program with arguments; returns what it writes, if it can be started and succeeds.
fn spawn(args: &[String]) -> Option<String> {
    let mut child = Command::new(std::env::current_exe().ok()?);
    let ran = child.args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
}
