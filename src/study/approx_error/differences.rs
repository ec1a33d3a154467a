//! Which mechanism is nearer: output errors head by head, at equal l.

use std::collections::BTreeMap;

use super::candidate::Candidate;
use super::fits::Role;
use super::group::Group;
use super::measure::Job;
use super::rows::{mechanism, place, projected_length};
use crate::error::{Error, Result};
use crate::report::{Column, Digits, Table};
use crate::study::difference::{Compared, Competitor};
use crate::study::input::Source;

/// Refuses a baseline that is not among those that are compared.
pub(super) fn check(baseline: Option<&str>, candidates: &[Candidate]) -> Result<()> {
    let Some(name) = baseline.filter(|name| !candidates.iter().any(|one| is(one, name))) else {
        return Ok(());
    };
    let mut names: Vec<&str> = candidates.iter().map(|one| one.name.as_str()).collect();
    names.dedup();
    Err(Error::value("--baseline", name, format!("one of those that are compared: {}", names.join(", "))))
}

/// Whether this is what was named: with its l, or without.
fn is(candidate: &Candidate, name: &str) -> bool {
    candidate.name == name || candidate.spec.to_string() == name
}

/// The columns that name a mechanism.
pub(super) fn keys() -> Vec<Column> {
    vec![projected_length(), mechanism()]
}

/// Mechanisms with what was measured of them, in sets of equal l; a baseline that takes no l, or has one of its own,
/// stands in every set.
pub(super) fn sets(
    measured: Vec<(&Candidate, BTreeMap<usize, f64>)>,
    baseline: Option<&str>,
) -> Vec<Vec<Competitor>> {
    let named: Vec<usize> =
        (0..measured.len()).filter(|at| baseline.is_some_and(|name| is(measured[*at].0, name))).collect();
    let competitor = |at: usize, l: Option<usize>| {
        let (candidate, values) = &measured[at];
        let keys = vec![l.into(), candidate.name.as_str().into()];
        Competitor { keys, values: values.clone(), baseline: named.contains(&at) }
    };
    let mut sets: BTreeMap<(bool, usize), Vec<Competitor>> = BTreeMap::new();
    for (at, (candidate, _)) in measured.iter().enumerate() {
        let set = sets.entry((candidate.l.is_none(), candidate.l.unwrap_or(0))).or_default();
        set.push(competitor(at, candidate.l));
    }
    if let [only] = named[..] {
        for set in sets.values_mut().filter(|set| !set.iter().any(|one| one.baseline)) {
            set.push(competitor(only, measured[only].0.l));
        }
    }
    sets.into_values().collect()
}

/// How far every mechanism of one length is from the best of the same l (or from the baseline), and what to know of it;
/// none where no l has two.
///
/// The truncated decomposition that stands beside them is a floor and no mechanism; errors on the windows of a fit are
/// no errors of the mechanism elsewhere.
pub(super) fn view(
    source: &dyn Source,
    job: &Job<'_>,
    groups: &[Group],
    n: usize,
    baseline: Option<&str>,
) -> Option<(Table, String)> {
    let compared = Compared {
        name: "out_err",
        unit: "",
        digits: Digits::Fixed(3),
        lowest: true,
        pairs: "heads",
        baseline,
    };
    let metric = place("output_rel_fro");
    let judged = groups.iter().filter(|group| group.n == n && group.role != Role::Train);
    let measured = judged.filter_map(|group| {
        let values = group.places.iter().copied().zip(group.values(metric)?).collect();
        Some((&job.candidates[group.candidate?], values))
    });
    let title = format!("Which is nearer, head by head: {}, n = {n}", source.name());
    let (table, tally) = compared.table(title, keys(), sets(measured.collect(), baseline))?;
    let note = tally.note(compared);
    Some((table, if source.lengths().len() > 1 { format!("n = {n}: {note}") } else { note }))
}
