//! Runs the study on the input that the configuration names.

use super::config::Check;
use super::{Config, aggregated, compare, own, rows, substitute, summary, theorem};
use crate::error::Result;
use crate::study::{Aggregate, Columns, Context, Outcome};

/// The columns of the result.
pub fn columns(config: &Config) -> Columns {
    let known = match (&config.substitute, config.check, config.aggregate) {
        (Some(_), ..) => substitute::columns(),
        (None, Some(Check::LinformerTheorem1), _) => theorem::columns(),
        (None, None, Aggregate::Yes) => aggregated::columns(),
        (None, None, _) => rows::columns(),
    };
    Columns { known: Some(known), ..names(config.substitute.is_some(), config.check.is_some()) }
}

/// The keys of its rows and their short names: with layers substituted, of the check, or of heads.
pub(in crate::study) fn names(substituted: bool, checked: bool) -> Columns {
    let (keys, short) = match (substituted, checked) {
        (true, _) => (substitute::KEYS, substitute::SHORT),
        (false, true) => (theorem::KEYS, &[][..]),
        (false, false) => (rows::KEYS, summary::SHORT),
    };
    Columns { known: None, keys, short }
}

/// Runs the study on the input that the configuration names.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    config.check()?;
    // Mistakes in names cost nothing if they are found before a model is opened.
    if let Some(specs) = &config.mechanism {
        for spec in crate::name::specs(specs)? {
            if !own::check(&spec, &config.input)? {
                crate::attention::find(&spec)?;
            }
        }
    }
    let mut outcome = match (&config.substitute, config.check) {
        (Some(layers), _) => substitute::run(config, layers, context)?,
        (None, Some(Check::LinformerTheorem1)) => theorem::run(config, context)?,
        (None, None) => compare::run(config, context)?,
    };
    if !outcome.complete {
        let note = "interrupted: not everything that was asked for is in this result";
        outcome.report.notes.insert(0, note.into());
        outcome.report.stamp.push("interrupted", true);
    }
    Ok(outcome)
}
