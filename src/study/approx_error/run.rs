//! Runs the study on the input that the configuration names.

use super::config::Check;
use super::{Config, aggregated, compare, own, rows, substitute, summary, theorem};
use crate::error::Result;
use crate::study::{Aggregate, Columns, Context, Outcome};

/// The columns of the result.
pub fn columns(config: &Config) -> Columns {
    let of = |known, keys, short| Columns { known: Some(known), keys, short };
    match (&config.substitute, config.check, config.aggregate) {
        (Some(_), ..) => of(substitute::columns(), substitute::KEYS, substitute::SHORT),
        (None, Some(Check::LinformerTheorem1), _) => of(theorem::columns(), theorem::KEYS, &[]),
        (None, None, Aggregate::Yes) => of(aggregated::columns(), rows::KEYS, summary::SHORT),
        (None, None, _) => of(rows::columns(), rows::KEYS, summary::SHORT),
    }
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
