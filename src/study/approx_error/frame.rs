//! What comparison, substitution and check have in common: the journal, the memory, the stamp.

use super::Config;
use super::candidate::Candidate;
use crate::error::Result;
use crate::profile::ram;
use crate::report::Report;
use crate::study::Context;
use crate::study::input::Source;
use crate::sweep::{Fingerprint, Journal};

/// What decides the figures of a cell, and which cells there are; `kind` is the question.
pub(super) fn facts(config: &Config, kind: &str, source: &dyn Source, context: Context<'_>) -> Fingerprint {
    let mut facts = Fingerprint::of_study("approx-error");
    facts.push("question", kind);
    facts.push("seed", context.seed);
    facts.push("seq_len", source.lengths().to_vec());
    facts.push("windows", source.windows());
    facts.push("heads", source.places().iter().map(|place| place.label.clone()).collect::<Vec<_>>());
    facts.extend(source.facts());
    if config.check.is_some() {
        facts.push("eps", config.eps.to_vec());
        facts.push("draws", config.draws);
    }
    facts
}

/// The journal of a run that measures these mechanisms, some of them fitted on so many windows.
pub(super) fn journal(
    config: &Config,
    mut facts: Fingerprint,
    candidates: &[Candidate],
    fit_windows: usize,
) -> Result<Journal> {
    let specs: Vec<String> = candidates.iter().map(|one| one.spec.to_string()).collect();
    facts.push("mechanism", specs);
    facts.push("l", config.l.to_vec());
    facts.push("fit_windows", fit_windows);
    if fit_windows > 0 {
        facts.push("fit_steps", config.fit_steps);
    }
    Journal::open(&config.folder, &facts)
}

/// What a result says about the input that it came from.
pub(super) fn stamp(report: &mut Report, source: &dyn Source) {
    let stamp = &mut report.stamp;
    stamp.push("study", "approx-error");
    stamp.push("input", source.name());
    for (key, value) in source.facts() {
        stamp.push(key, value);
    }
    stamp.push("seq_len", source.lengths().to_vec());
    stamp.push("windows", source.windows());
    report.notes.extend(source.notes());
}

/// Refuses lengths whose matrices would not fit in memory, of those that have any, and fits whose windows would not.
pub(super) fn check_memory<'a>(
    config: &Config,
    source: &dyn Source,
    dense: impl IntoIterator<Item = &'a usize>,
    fit_windows: usize,
) -> Result<()> {
    if !config.folder.runs_cells() {
        return Ok(());
    }
    let threads = rayon::current_num_threads() as u64;
    for n in dense {
        // For each thread the matrix, a stand-in and their difference in f32, and in f64 the matrix, its Gram matrix,
        // the vectors, and what the decomposition works in.
        let square = (*n as u64).saturating_mul(*n as u64);
        let needed = square.saturating_mul(64 * threads);
        let instead = if config.substitute.is_some() || config.check.is_some() {
            "a shorter --seq-len or fewer --threads need less"
        } else {
            "a shorter --seq-len, fewer --threads, or --stream with mechanisms that read some of the keys need less"
        };
        ram::require(format!("n x n matrices at n = {n} on {threads} threads"), needed, instead)?;
        // Queries, keys and values of every head, at a width of 64 or so.
        let samples = (fit_windows * source.heads()) as u64 * 12 * 64 * *n as u64;
        let instead = "fewer --fit-windows, or some --layers at a time, need less";
        ram::require(
            format!("{fit_windows} windows of {} heads to fit on", source.heads()),
            samples,
            instead,
        )?;
    }
    Ok(())
}
