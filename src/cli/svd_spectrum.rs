//! `luna svd-spectrum`.

use std::io::Write;

use clap::Args;

use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::study::svd_spectrum::{self, Aggregate, Config};

/// What `luna svd-spectrum` takes.
#[derive(Args, Clone, Debug)]
pub struct SvdSpectrum {
    /// What is measured.
    #[command(flatten)]
    config: Config,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
}

impl SvdSpectrum {
    /// Measures and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let mut config = self.config.clone();
        // Chosen columns are shown as tables are: means over windows, unless every window was asked for.
        if self.output.columns.is_some() && config.aggregate == Aggregate::Auto {
            let for_people = matches!(self.output.format.name, "table" | "markdown");
            config.aggregate = if for_people { Aggregate::Yes } else { Aggregate::No };
        }
        let columns = svd_spectrum::columns(&config)?;
        study::run(global, &self.output, config.unnamed().is_some(), columns, out, |context| {
            svd_spectrum::run(&config, context)
        })
    }
}
