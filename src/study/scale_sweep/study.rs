//! The study: plan, run, view.

use super::allocation::Allocated;
use super::config::ScaleSweepConfig;
use super::options::Measure;
use super::plan::Plan;
use super::record::Records;
use super::run::{measure, measure_errors, open};
use super::settings::Settings;
use super::view;
use crate::error::{Error, Result};
use crate::profile::clock::Stopwatch;
use crate::study::{Context, Outcome};
use crate::sweep::Journal;

/// Runs the sweep.
pub fn run(config: &ScaleSweepConfig, context: Context<'_>) -> Result<Outcome> {
    let allocated = config.allocation.as_deref().map(Allocated::read).transpose()?;
    let mut config = config.clone();
    if let Some(allocated) = &allocated {
        allocated.fill(&mut config);
    }
    let config = &config;
    let settings = Settings::of(config)?;
    let plan = Plan::of(&settings)?;
    let named = config.input.model.is_some() || config.input.synthetic.is_some();
    if named && !settings.measures(Measure::Error) {
        let flag = if config.input.model.is_some() { "--model" } else { "--synthetic" };
        return Err(Error::Refused(format!(
            "{flag} is the input of --measure error; add error to --measure"
        )));
    }
    let watch = Stopwatch::start();
    let mut facts = settings.fingerprint(context.seed);
    let source = open(&config.input, &settings, context)?;
    if let Some(source) = &source {
        facts.push("windows", source.windows());
        facts.extend(source.facts());
    }
    let journal = Journal::open(&config.folder, &facts)?;
    let mut records = Records { complete: true, ..Records::default() };
    if let Some(source) = source {
        let (input, cells) = (&config.input, &plan.cells);
        (records.errors, records.complete) =
            measure_errors(source, input, cells, &settings, &journal, (watch, context))?;
    }
    if settings.measures_costs() && records.complete {
        match measure(&plan, &settings, config.spawn, &journal, (watch, context)) {
            Ok(found) => records = Records { errors: records.errors, ..found },
            Err(Error::Interrupted) => records.complete = false,
            Err(error) => return Err(error),
        }
    }
    if records.complete {
        journal.end_without_view()?;
    }
    if !records.complete && records.cells.is_empty() && records.errors.heads.is_empty() {
        return Err(Error::Interrupted);
    }
    let mut report = view::report(&plan, &settings, &records, allocated.as_ref(), context.seed)?;
    if journal.merged().is_some_and(|merged| merged.mixed) {
        let note = "merged with --mixed-machines: times are to be compared within one n, not over n";
        report.notes.insert(0, note.into());
    }
    report.stamp.push("sweep", facts.anywhere().word());
    Ok(Outcome { report, complete: records.complete })
}
