//! `luna scale-sweep`: the study with output options.

use std::io::Write;
use std::path::Path;

use clap::Args;

use super::cells::{CellArgs, spawn};
use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::error::{Error, Result};
use crate::study::scale_sweep::{self, Measure, ScaleSweepConfig};

/// Flags of `luna scale-sweep`.
#[derive(Args, Clone, Debug)]
pub struct ScaleSweep {
    /// What is measured.
    #[command(flatten)]
    config: ScaleSweepConfig,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
    /// Which cells are run.
    #[command(flatten)]
    cells: CellArgs,
}

impl ScaleSweep {
    /// How its cells are run, and the folder of the result.
    pub(super) fn in_cells(&self) -> Result<(&CellArgs, Option<&Path>)> {
        let timed = self.config.measure.as_ref().is_none_or(|all| all.contains(&Measure::Time));
        if self.cells.jobs.is_some() && timed {
            let accepted = "--measure without time: processes beside each other would measure each other";
            return Err(Error::value("--jobs", "time", accepted));
        }
        Ok((&self.cells, self.output.out.as_deref()))
    }

    /// Measures and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(form) = &self.config.alone {
            if let Some(bytes) = scale_sweep::resident_growth(&self.config, form, global.seed)? {
                writeln!(out, "{bytes}")?;
            }
            return Ok(());
        }
        let mut config = self.config.clone();
        config.folder = self.cells.folder(&self.output, global);
        config.spawn = Some(spawn);
        let columns = scale_sweep::columns();
        study::run(global, &self.output, (&config.folder, false), columns, out, |context| {
            scale_sweep::run(&config, context)
        })
    }
}
