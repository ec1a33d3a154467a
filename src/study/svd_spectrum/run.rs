//! Runs the study on the input that the configuration names.

use super::asked::Asked;
use super::config::{Effort, Method};
use super::subject::Subject;
use super::{Config, aggregated, estimated, every, leading, null, rows, summary};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::linalg::krylov::KrylovOptions;
use crate::linalg::quadrature;
use crate::report::Column;
use crate::study::input::{KEYS, Source, Unnamed, needs_softmax};
use crate::study::{Aggregate, Columns, Context, Outcome};
use crate::sweep::{Fingerprint, Journal};

/// The columns of the result, where the configuration decides them: leading values decide their own.
pub fn columns(config: &Config) -> Result<Columns> {
    let (figures, nulls) = (config.figures(), null::find(config.null())?);
    let known: Option<Vec<Column>> = match (config.method, config.aggregate) {
        (Some(Method::Lanczos), _) => None,
        (_, Aggregate::Yes) => Some(aggregated::columns(&figures, &nulls)),
        (method, Aggregate::Auto | Aggregate::No) => {
            Some(rows::columns(&figures, &nulls, method == Some(Method::Quadrature)))
        }
    };
    Ok(Columns { known, ..names() })
}

/// The keys of its rows and their short names.
pub(in crate::study) fn names() -> Columns {
    Columns { known: None, keys: &KEYS, short: summary::SHORT }
}

/// Runs the study on the input that the configuration names.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    config.check()?;
    // Mistakes in names cost nothing if they are found before a model is opened.
    let nulls = null::find(config.null())?;
    let compared = config.method != Some(Method::Lanczos) && !nulls.is_empty();
    if let Some(mask) = config.dump.mask.as_ref().filter(|_| !compared) {
        return Err(Error::value("--mask", mask, "only beside null models, which draw under it"));
    }
    let source = match config.dump.open(&config.input)? {
        Some(dumped) => dumped,
        None => config.input.open(context.seed, Unnamed::Model)?,
    };
    let source = source.as_ref();
    if config.of != Subject::Attention {
        needs_softmax(source)?;
    }
    if compared {
        source.comparable()?;
    }
    let method = config.method.map_or_else(|| fitting(config, source, context), Ok)?;
    let figures = config.figures();
    let asked = Asked { config, source, figures: &figures, nulls: &nulls };
    let journal = Journal::open(&config.folder, &facts(asked, method, context))?;
    let mut outcome = match method {
        Method::Exact | Method::Quadrature => every::run(asked, method, &journal, context)?,
        Method::Lanczos => leading::run(asked, &journal, context)?,
    };
    stamp(&mut outcome, asked, method, context);
    let report = &mut outcome.report;
    // After the word on an interruption, which stands first.
    let first = usize::from(!outcome.complete).min(report.notes.len());
    report.notes.splice(first..first, source.warnings());
    report.notes.extend(source.notes());
    if compared {
        report.notes.extend(source.null_notes());
    }
    Ok(outcome)
}

/// The method where none is named: exact if every length fits in memory. Parts of a study on several machines must not choose
/// each for itself, and a merge measures nothing.
fn fitting(config: &Config, source: &dyn Source, context: Context<'_>) -> Result<Method> {
    let folder = &config.folder;
    let too_long = || source.lengths().iter().find(|n| every::check_memory(**n).is_err());
    let asks = config.of == Subject::Attention && folder.merged.is_none();
    Ok(match asks.then(too_long).flatten() {
        Some(n) if folder.shard.is_some() || folder.listed => {
            return Err(Error::Refused(format!(
                "matrices of {n} x {n} do not fit in the memory of this machine, and another one may decide otherwise; name \
                 --method exact or --method quadrature"
            )));
        }
        Some(n) => {
            // Where that does not fit either, its refusal says so.
            if estimated::check_memory(config, source).is_ok() {
                context.watch.say(&format!(
                    "matrices of {n} x {n} do not fit in memory: figures are estimated by --method quadrature"
                ));
            }
            Method::Quadrature
        }
        None => Method::Exact,
    })
}

/// What decides the figures of a cell, and which cells there are.
fn facts(asked: Asked<'_>, method: Method, context: Context<'_>) -> Fingerprint {
    let Asked { config, source, nulls, .. } = asked;
    let mut facts = Fingerprint::of_study("svd-spectrum");
    facts.push("seed", context.seed);
    facts.push("method", method.name());
    facts.push("of", config.of.name());
    facts.push("at", config.at.to_string());
    if method != Method::Lanczos {
        facts.push("null", nulls.iter().map(|null| null.spec.to_string()).collect::<Vec<_>>());
        facts.push("null_draws", config.draws());
    }
    for (key, value) in effort(config, method, context) {
        facts.push(key, value);
    }
    facts.push("seq_len", source.lengths().to_vec());
    facts.push("windows", source.windows());
    facts.push("heads", source.places().iter().map(|place| place.label.clone()).collect::<Vec<_>>());
    facts.extend(source.facts());
    facts
}

/// What the values of a method depend on.
fn effort(config: &Config, method: Method, context: Context<'_>) -> Vec<(&'static str, Value)> {
    match method {
        Method::Exact => vec![("engine", context.engine.name().into())],
        Method::Quadrature => {
            let Effort { options: quadrature::Options { probes, rounds }, tolerance } = config.effort();
            vec![("probes", probes.into()), ("rounds", rounds.into()), ("tolerance", tolerance.into())]
        }
        Method::Lanczos => {
            let KrylovOptions { top, rounds, tolerance, .. } = config.leading();
            vec![("top", top.into()), ("rounds", rounds.into()), ("tolerance", tolerance.into())]
        }
    }
}

fn stamp(outcome: &mut Outcome, asked: Asked<'_>, method: Method, context: Context<'_>) {
    let Asked { config, source, .. } = asked;
    let Outcome { report, complete } = outcome;
    let stamp = &mut report.stamp;
    stamp.push("study", "svd-spectrum");
    stamp.push("input", source.name());
    for (key, value) in source.facts() {
        stamp.push(key, value);
    }
    stamp.push("seq_len", source.lengths().to_vec());
    stamp.push("windows", source.windows());
    stamp.push("of", config.of.name());
    stamp.push("method", method.name());
    if method != Method::Lanczos {
        stamp.push("null", config.null());
        stamp.push("null_draws", config.draws());
    }
    for (key, value) in effort(config, method, context) {
        stamp.push(key, value);
    }
    stamp.push("interrupted", !*complete);
}
