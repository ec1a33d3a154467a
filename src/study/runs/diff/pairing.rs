//! Rows of two runs, matched by their keys.

use std::collections::BTreeMap;

use super::difference::Difference;
use crate::error::{Error, Result};
use crate::report::{Cell, Digits, Table, shorten};
use crate::stats;
use crate::study::runs::shape::{Shape, grouped, over_units};
use crate::study::runs::{Run, names};

/// Characters of a list of values in an error.
const WIDTH: usize = 40;

/// The rows of two runs that have the same keys.
pub(super) struct Pairing<'a> {
    pub(super) first: &'a Table,
    pub(super) other: &'a Run,
    /// Matched rows, in the order of their keys.
    pub(super) pairs: Vec<Pair<'a>>,
    /// Rows of the first and of the other run that have no match.
    pub(super) alone: (usize, usize),
}

/// A row of the first run, its place there, and the row of the other run with the same keys.
pub(super) struct Pair<'a> {
    place: usize,
    pub(super) first: &'a [Cell],
    pub(super) other: &'a [Cell],
}

impl<'a> Pairing<'a> {
    /// Refuses runs of other commands, of rows with other keys, and those that have no row in common.
    pub(super) fn new(first: &'a Run, other: &'a Run, shape: &Shape) -> Result<Self> {
        let names = [first, other].map(Run::name);
        let studies = [first, other].map(|run| names::study(&run.report.stamp));
        if studies[0] != studies[1] {
            let [a, b] = [0, 1].map(|at| format!("'{}' is of {}", names[at], studies[at]));
            return Err(Error::Refused(format!("diff: {a}, {b}; accepted: runs of one command")));
        }
        if shape.keys.is_empty() {
            let what = format!(
                "diff: '{}' is of {}, whose rows have no keys to match them by",
                names[0], studies[0]
            );
            return Err(Error::Refused(what));
        }
        let [a, b] = [first, other].map(|run| &run.report.rows);
        let keys = [first, other].map(keys);
        if keys[0] != keys[1] {
            let [a, b] =
                [0, 1].map(|at| format!("rows of '{}' have the keys {}", names[at], keys[at].join(", ")));
            return Err(Error::Refused(format!(
                "diff: {a}; {b}; accepted: runs of one shape (see --aggregate)"
            )));
        }
        let places = shape.keys.iter().map(|at| b.index(&a.columns[*at].name)).collect::<Result<Vec<_>>>()?;
        let [ours, theirs] = [by_key(first, &shape.keys)?, by_key(other, &places)?];
        let matched = ours.iter().filter_map(|(key, place)| Some((*place, *theirs.get(key)?)));
        let pairs: Vec<Pair<'_>> = matched
            .map(|(place, other)| Pair { place, first: &a.rows[place], other: &b.rows[other] })
            .collect();
        if pairs.is_empty() {
            return Err(Error::Refused(nothing_in_common(first, other, &shape.keys, &places)));
        }
        Ok(Self { first: a, other, alone: (ours.len() - pairs.len(), theirs.len() - pairs.len()), pairs })
    }

    /// The differences of all measured columns in all groups; `run` names the other run, where there are several.
    pub(super) fn differences(&self, shape: &Shape, run: Option<Cell>) -> Vec<Difference> {
        let columns = &self.other.report.rows.columns;
        let mut groups = grouped(self.pairs.iter(), |pair| {
            shape.groups.iter().map(|at| pair.first[*at].exact()).collect()
        });
        groups.sort_by_key(|group| group.iter().map(|pair| pair.place).min());
        let mut found = Vec::new();
        for group in &groups {
            let of_group = shape.groups.iter().map(|at| group[0].first[*at].clone());
            let keys: Vec<Cell> = run.iter().cloned().chain(of_group).collect();
            for at in &shape.measured {
                let name = &self.first.columns[*at].name;
                let other = columns.iter().position(|column| column.name == *name);
                let values = other.map(|other| numbers(group, *at, other)).unwrap_or_default();
                let size = |(_, first, other): &&(&Pair<'_>, f64, f64)| (other - first).abs();
                // Of equally large ones the first.
                let largest = values.iter().rev().max_by(|a, b| size(a).total_cmp(&size(b)));
                let Some((largest, first, other)) = largest else { continue };
                let over = |of: fn(f64, f64) -> f64| {
                    let of = |(pair, first, other): &(&Pair<'_>, f64, f64)| {
                        (shape.unit_of(pair.first), of(*first, *other))
                    };
                    over_units(values.iter().map(of).collect())
                };
                let differences = over(|first, other| other - first);
                found.push(Difference {
                    keys: keys.clone(),
                    column: name.clone(),
                    rows: values.len(),
                    units: differences.len(),
                    first: stats::mean(&over(|first, _| first)),
                    other: stats::mean(&over(|_, other| other)),
                    diff: stats::mean(&differences),
                    ends: shape.unit.and_then(|_| stats::student_mean(&differences)),
                    largest: (shape.place(self.first, largest.first), *first, *other),
                });
            }
        }
        found
    }
}

/// The pairs with a number in both rows, and the two numbers.
fn numbers<'a, 'b>(group: &[&'b Pair<'a>], at: usize, other: usize) -> Vec<(&'b Pair<'a>, f64, f64)> {
    let number = |cell: &Cell| cell.number().filter(|number| number.is_finite());
    let both = |pair: &&'b Pair<'a>| Some((*pair, number(&pair.first[at])?, number(&pair.other[other])?));
    group.iter().filter_map(both).collect()
}

/// The keys that a run has, in the order of their declaration.
fn keys(run: &Run) -> Vec<&'static str> {
    let has = |key: &&&str| run.report.rows.columns.iter().any(|column| column.name == **key);
    run.columns.keys.iter().filter(has).copied().collect()
}

/// Rows by their keys.
fn by_key(run: &Run, places: &[usize]) -> Result<BTreeMap<Vec<String>, usize>> {
    let mut found = BTreeMap::new();
    for (place, row) in run.report.rows.rows.iter().enumerate() {
        let key: Vec<String> = places.iter().map(|at| row[*at].exact()).collect();
        if let Some(earlier) = found.insert(key, place) {
            let [one, other] = [earlier + 1, place + 1];
            let what = format!("diff: rows {one} and {other} of '{}' have the same keys", run.name());
            return Err(Error::Refused(what));
        }
    }
    Ok(found)
}

/// Why two runs have no row in common: the first key of which they have no value in common.
fn nothing_in_common(first: &Run, other: &Run, ours: &[usize], theirs: &[usize]) -> String {
    let values = |run: &Run, at: usize| {
        let mut all: Vec<String> =
            run.report.rows.rows.iter().map(|row| row[at].show(Digits::Text)).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let differs = ours.iter().zip(theirs).find_map(|(ours, theirs)| {
        let name = &first.report.rows.columns[*ours].name;
        let [ours, theirs] = [values(first, *ours), values(other, *theirs)];
        let list = |all: &[String]| shorten(&all.join(", "), WIDTH);
        let is_apart = ours.iter().all(|one| !theirs.contains(one));
        is_apart.then(|| format!(": {name} is {} there, {} here", list(&theirs), list(&ours)))
    });
    format!("diff: no row of '{}' is in '{}'{}", first.name(), other.name(), differs.unwrap_or_default())
}
