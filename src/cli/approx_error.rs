//! `luna approx-error`.

use std::io::Write;
use std::path::Path;

use clap::Args;

use super::cells::CellArgs;
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
    /// Which cells are run.
    #[command(flatten)]
    cells: CellArgs,
}

impl ApproxError {
    /// How its cells are run, and the folder of the result.
    pub(super) fn in_cells(&self) -> (&CellArgs, Option<&Path>) {
        (&self.cells, self.output.out.as_deref())
    }

    /// Measures and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.folder = self.cells.folder(&self.output, global);
        config.aggregate = self.output.aggregate(config.aggregate);
        let columns = approx_error::columns(&config);
        let place = (&config.folder, config.unnamed().is_some());
        study::run(global, &self.output, place, columns, out, |context| approx_error::run(&config, context))
    }
}
