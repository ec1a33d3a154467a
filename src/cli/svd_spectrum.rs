//! `luna svd-spectrum`.

use std::io::Write;
use std::path::Path;

use clap::Args;

use super::cells::CellArgs;
use super::study::{self, OutputArgs};
use super::{Failure, Global};
use crate::error::Error;
use crate::linalg::engine::Engine;
use crate::study::Context;
use crate::study::svd_spectrum::{self, Config, Method};

/// What `luna svd-spectrum` takes.
#[derive(Args, Clone, Debug)]
pub struct SvdSpectrum {
    /// What is measured.
    #[command(flatten)]
    config: Config,
    /// Backend of the decompositions of --method exact: faer, or lapack where it is built in [default: faer]
    #[arg(long, value_name = "NAME")]
    engine: Option<Engine>,
    /// How it is written.
    #[command(flatten)]
    output: OutputArgs,
    /// Which cells are run.
    #[command(flatten)]
    cells: CellArgs,
}

impl SvdSpectrum {
    /// How its cells are run, and the folder of the result.
    pub(super) fn in_cells(&self) -> (&CellArgs, Option<&Path>) {
        (&self.cells, self.output.out.as_deref())
    }

    /// Measures and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.folder = self.cells.folder(&self.output, global);
        if config.method != Some(Method::Lanczos) {
            config.aggregate = self.output.aggregate(config.aggregate);
        }
        if let Some(engine) = self.engine {
            let method = *config.method.get_or_insert(Method::Exact);
            if method != Method::Exact {
                let what = format!("--engine with --method {}", method.name());
                let accepted = "none: its iterations decompose nothing by an engine; --method exact does";
                return Err(Error::value(what, engine.name(), accepted).into());
            }
        }
        let engine = self.engine.unwrap_or_default();
        let columns = svd_spectrum::columns(&config)?;
        let place = (&config.folder, config.unnamed().is_some());
        study::run(global, &self.output, place, columns, out, |context| {
            svd_spectrum::run(&config, Context { engine, ..context })
        })
    }
}
