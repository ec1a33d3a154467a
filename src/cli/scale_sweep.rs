//! `luna scale-sweep`.

use std::io::Write;
use std::process::{Command, Stdio};

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::study::scale_sweep::{self, Config};

/// What `luna scale-sweep` takes.
#[derive(Args, Clone, Debug)]
pub struct ScaleSweep {
    /// What is measured.
    #[command(flatten)]
    config: Config,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
}

impl ScaleSweep {
    /// Measures and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(form) = &self.config.alone {
            if let Some(bytes) = scale_sweep::growth(&self.config, form, global.seed)? {
                writeln!(out, "{bytes}")?;
            }
            return Ok(());
        }
        let mut config = self.config.clone();
        config.folder.clone_from(&self.output.out);
        config.resume = self.output.resume;
        config.again = Some(again);
        let columns = Some(scale_sweep::columns());
        study::run(global, &self.output, false, columns, out, |context| scale_sweep::run(&config, context))
    }
}

/// Runs this program with arguments; what it writes, if it can be started and succeeds.
fn again(args: &[String]) -> Option<String> {
    let mut child = Command::new(std::env::current_exe().ok()?);
    let ran = child.args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).into_owned())
}
