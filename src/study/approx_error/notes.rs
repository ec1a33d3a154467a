//! What a reader must know beside the numbers of a comparison.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::Candidate;
use super::group::by_head;
use super::measure::{Job, Measured};
use crate::stats;
use crate::study::input::Source;

/// The notes, the most important first.
pub(super) fn all(source: &dyn Source, job: &Job<'_>, measured: &[Measured]) -> Vec<String> {
    let mut notes = amount(job, measured);
    let unbounded = names(job.candidates, |at, one| {
        let mut cells = measured.iter().flat_map(|head| &head.mechanisms);
        one.kind.name != "softmax" && cells.any(|cell| cell.candidate == at && !cell.bounded)
    });
    if !unbounded.is_empty() {
        notes.push(format!(
            "no rank bound: {}; the best of rank l is no floor under their errors, and there is no gap",
            unbounded.join(", ")
        ));
    }
    if !job.streamed.is_empty() {
        let n = job.streamed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        notes.push(format!(
            "compared row by row, without n x n arrays, at n = {n}: no best of rank l, no spectral norm of a matrix"
        ));
    }
    notes.extend(Candidate::leaks(job.candidates, source.mask()));
    let loose = names(job.candidates, |_, one| !one.kind.is_stochastic(&one.spec));
    if !loose.is_empty() {
        notes.push(format!(
            "rows of the matrices of {} do not sum to 1 in general: row_kl and row_tv compare them with distributions all \
             the same, and row_kl can be below 0",
            loose.join(", ")
        ));
    }
    notes.extend(Candidate::notes(job.candidates, job.lengths, source.lengths()));
    notes
}

/// The names of the compared mechanisms of which something holds.
fn names(candidates: &[Candidate], holds: impl Fn(usize, &Candidate) -> bool) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (at, one) in candidates.iter().enumerate() {
        if !names.contains(&one.name.as_str()) && holds(at, one) {
            names.push(&one.name);
        }
    }
    names
}

/// What the means and intervals are over: only what was measured.
fn amount(job: &Job<'_>, measured: &[Measured]) -> Vec<String> {
    let mut notes = Vec::new();
    let fitted_on = job.fits.trained_on();
    let judged = measured.iter().filter(|one| job.fits.is_judged(one.at.window));
    let windows: BTreeSet<usize> = judged.clone().map(|one| one.at.window).collect();
    if fitted_on > 0 {
        notes.push(format!(
            "fitted on windows 0 to {} (median of {:.0} steps); all means but those marked train are over the other {} windows",
            fitted_on - 1,
            stats::median(&job.fits.steps()),
            windows.len()
        ));
    }
    for all in measured.chunk_by(|a, b| a.at.n == b.at.n) {
        let counts = by_head(all)
            .map(|head| head.iter().filter(|one| job.fits.is_judged(one.at.window)).count())
            .filter(|count| *count > 0);
        let mut heads_by_count: BTreeMap<usize, usize> = BTreeMap::new();
        counts.for_each(|count| *heads_by_count.entry(count).or_default() += 1);
        if heads_by_count.len() > 1 {
            let each =
                heads_by_count.iter().rev().map(|(count, heads)| format!("{heads} heads over {count}"));
            notes.push(format!(
                "interrupted: at n = {} means are not over the same windows: {}",
                all[0].at.n,
                each.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    let heads = judged.map(|one| &one.at.place).collect::<BTreeSet<_>>().len();
    notes.push(if heads < 2 {
        "one head: no interval; means are over its windows".into()
    } else {
        format!(
            "intervals: Student's over {heads} heads, each the mean of its windows: about these heads on this text, not those of \
             other models"
        )
    });
    notes
}
