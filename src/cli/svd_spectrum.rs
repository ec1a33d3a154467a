//! `luna svd-spectrum`.

use std::io::Write;

use clap::Args;

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
}

impl SvdSpectrum {
    /// Measures and writes.
    pub fn run(&self, global: &Global, out: &mut dyn Write) -> Result<(), Failure> {
        let mut config = self.config.clone();
        config.folder = self.output.folder();
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
        study::run(global, &self.output, config.unnamed().is_some(), columns, out, |context| {
            svd_spectrum::run(&config, Context { engine, ..context })
        })
    }
}
