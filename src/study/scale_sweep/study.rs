//! The study: plan, run, view.

use super::config::ScaleSweepConfig;
use super::options::Measure;
use super::plan::Plan;
use super::run::{self, Journal};
use super::settings::Settings;
use super::view;
use crate::error::{Error, Result};
use crate::profile::clock::Stopwatch;
use crate::study::{Context, Outcome};

/// Runs the sweep.
pub fn run(config: &ScaleSweepConfig, context: Context<'_>) -> Result<Outcome> {
    let settings = Settings::of(config)?;
    let plan = Plan::of(&settings)?;
    let named = config.input.model.is_some() || config.input.synthetic.is_some();
    if named && !settings.measures(Measure::Error) {
        let flag = if config.input.model.is_some() { "--model" } else { "--synthetic" };
        return Err(Error::Refused(format!(
            "{flag} is the input of --measure error; add error to --measure"
        )));
    }
    let fingerprint = settings.fingerprint(context.seed);
    let mut journal = Journal::open(config.folder.as_deref(), &fingerprint, config.resume)?;
    let watch = Stopwatch::start();
    let errors = run::measure_errors(&config.input, &plan.cells, &settings, (watch, context))?;
    let records = run::measure(&plan, &settings, config.spawn, &mut journal, (watch, context))?;
    let records = super::record::Records { errors, ..records };
    let mut report = view::report(&plan, &settings, &records, context.seed)?;
    report.stamp.push("sweep", fingerprint.word());
    Ok(Outcome { report, complete: records.complete })
}
