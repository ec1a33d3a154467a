//! The studies of the command line, on arrays in memory.

use luna::cli;
use luna::linalg::engine::Engine;
use luna::study::{Context, Outcome, Watch, approx_error, scale_sweep, svd_spectrum};
use luna::task::dump::{Dump, Stored};
use pyo3::prelude::*;

use crate::arrays::{Named, borrowed};
use crate::{answer, refused, work};

/// A study with its configuration.
enum Study {
    SvdSpectrum(Box<svd_spectrum::Config>),
    ApproxError(Box<approx_error::Config>),
    ScaleSweep(Box<scale_sweep::ScaleSweepConfig>),
}

impl Study {
    /// The study of this name with these flags, among which `--attention` or `--qkv` stands for `arrays`, if there are some.
    fn of(name: &str, flags: &[String], arrays: Vec<(String, Dump)>) -> luna::Result<Self> {
        let stored = (!arrays.is_empty()).then_some(Stored::Held(arrays));
        Ok(match name {
            "svd-spectrum" => {
                let mut config: svd_spectrum::Config = cli::parse(flags)?;
                let named = [&mut config.dump.attention, &mut config.input.qkv];
                for place in named {
                    held(place, stored.as_ref());
                }
                Self::SvdSpectrum(Box::new(config))
            }
            "approx-error" => {
                let mut config: approx_error::Config = cli::parse(flags)?;
                held(&mut config.input.qkv, stored.as_ref());
                Self::ApproxError(Box::new(config))
            }
            "scale-sweep" => Self::ScaleSweep(Box::new(cli::parse(flags)?)),
            _ => return Err(luna::Error::value("study", name, "svd-spectrum, approx-error or scale-sweep")),
        })
    }

    fn run(&self, seed: u64, watch: &dyn Watch) -> luna::Result<Outcome> {
        let context = Context { seed, engine: Engine::default(), watch };
        match self {
            Self::SvdSpectrum(config) => svd_spectrum::run(config, context),
            Self::ApproxError(config) => approx_error::run(config, context),
            Self::ScaleSweep(config) => scale_sweep::run(config, context),
        }
    }
}

/// Puts arrays in the place of the file that a flag names.
fn held(place: &mut Option<Stored>, arrays: Option<&Stored>) {
    if let (Some(place), Some(arrays)) = (place, arrays) {
        *place = arrays.clone();
    }
}

/// Runs a study with the command's flags; its answer, with the arrays whose names begin with one of `wanted`, and what was said.
#[pyfunction]
#[pyo3(signature = (name, flags, arrays, seed, threads, progress, wanted))]
#[allow(clippy::too_many_arguments)] // each is one of Python's
pub(crate) fn study<'py>(
    py: Python<'py>,
    name: &str,
    flags: Vec<String>,
    arrays: Vec<Named<'py>>,
    seed: u64,
    threads: Option<usize>,
    progress: Option<Bound<'py, PyAny>>,
    wanted: Vec<String>,
) -> PyResult<(answer::Answer<'py>, Vec<String>)> {
    let dumps = arrays.iter().map(|named| {
        // SAFETY: `arrays` holds a reference to each until the work has ended, at the end of this function.
        Ok((named.0.clone(), unsafe { borrowed(named) }?))
    });
    let dumps = dumps.collect::<PyResult<Vec<_>>>()?;
    let study = Study::of(name, &flags, dumps).map_err(|error| refused(&error))?;
    let (outcome, said) = work::done(py, threads, progress.as_ref(), |watch| study.run(seed, watch))?;
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let answer = answer::of_report(py, &outcome.report, &wanted)?;
    drop((study, arrays));
    Ok((answer, said))
}
