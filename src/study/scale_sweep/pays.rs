//! The table of crossovers: from which length on each mechanism is cheaper than exact attention.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::cell::{Cell, Form};
use super::crossing::{self, How, REACH};
use super::fit::{line_of, lines};
use super::measure::{Measured, Sweep};
use super::row;
use super::settings::Settings;
use super::subject::{self, Facts};
use crate::report::{Column, Digits, Table};

/// The longest length that closed forms are computed at.
const LONGEST: usize = 1 << 22;
/// How much longer each length is than the one before it, where closed forms are computed.
const STEP: f64 = 1.05;

/// The closed forms of a line at any length.
struct Line<'a> {
    cell: &'a Cell,
    settings: &'a Settings,
    known: RefCell<BTreeMap<usize, Option<Facts>>>,
}

impl<'a> Line<'a> {
    fn new(cell: &'a Cell, settings: &'a Settings) -> Self {
        Self { cell, settings, known: RefCell::default() }
    }

    fn facts(&self, n: usize) -> Option<Facts> {
        *self
            .known
            .borrow_mut()
            .entry(n)
            .or_insert_with(|| subject::facts(&Cell { n, ..self.cell.clone() }, self.settings).ok())
    }
}

/// The least length from `least` on such that it, and every longer one that is computed, is cheaper: lengths 5 % apart up to
/// [`LONGEST`], the measured ones, and every one around the crossover. None if there is no such length, or if `cheaper` does
/// not know.
fn stays(least: usize, measured: &[usize], cheaper: &dyn Fn(usize) -> Option<bool>) -> Option<usize> {
    let longest = LONGEST.max(measured.last().copied().unwrap_or(0)).max(least);
    let mut lengths: Vec<usize> = measured.iter().copied().filter(|n| *n >= least).collect();
    let mut n = least;
    while n < longest {
        lengths.push(n);
        n = (n + 1).max((n as f64 * STEP) as usize);
    }
    lengths.push(longest);
    lengths.sort_unstable();
    lengths.dedup();
    let mut high = None;
    for n in lengths.into_iter().rev() {
        if cheaper(n)? {
            high = Some(n);
            continue;
        }
        let (mut low, mut high) = (n, high?);
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            if cheaper(middle)? { high = middle } else { low = middle }
        }
        return Some(high);
    }
    high
}

/// From which length on each mechanism is cheaper than exact attention, in FLOPs, time and memory.
pub(super) fn table(sweep: &Sweep, settings: &Settings, seed: u64) -> Option<Table> {
    let columns = [
        ("mechanism", "the mechanism", Digits::Text),
        ("l", "projected length", Digits::Integer),
        ("against", "exact attention in which form", Digits::Text),
        (
            "n_flops",
            "fewer FLOPs from this length on (closed forms; none: from no length up to 2^22)",
            Digits::Integer,
        ),
        (
            "n_time",
            "quicker from this length on: where the median ratio is 1 for the last time",
            Digits::Significant(3),
        ),
        (
            "low",
            "lower end of its 95 % interval over rounds: timing noise only, not how the line bends",
            Digits::Significant(3),
        ),
        ("high", "upper end of it; none where some resamples do not cross", Digits::Significant(3)),
        (
            "how",
            "measured: between two lengths; extrapolated: up to 4 times the longest; below: quicker at all lengths; \
             beyond: slower at the longest; undecided: neither at the longest",
            Digits::Text,
        ),
        (
            "from",
            "least measured length from which on it is quicker at every measured length, each decided at 95 %",
            Digits::Integer,
        ),
        ("beyond", "no crossover up to this length", Digits::Integer),
        (
            "n_memory",
            "less memory beyond inputs and outputs from this length on (as n_flops; what was counted where it was measured)",
            Digits::Integer,
        ),
    ];
    let columns = columns.map(|(name, about, digits)| Column::new(name, "", about, digits));
    let mut table = Table::new("From which length n on it pays", columns.into());
    let exact: Vec<(Form, Line<'_>)> = lines(sweep)
        .into_iter()
        .filter(|one| one.cell.kind.name == "softmax")
        .map(|one| (one.cell.form, Line::new(&one.cell, settings)))
        .collect();
    for first in lines(sweep).into_iter().filter(|one| one.cell.kind.name != "softmax") {
        let cell = &first.cell;
        let own = Line::new(cell, settings);
        let least = cell.l.unwrap_or(1).max(1);
        for (form, exact) in &exact {
            let pairs: Vec<(&Measured, &Measured)> = line_of(sweep, cell)
                .filter_map(|own| {
                    Some((own, sweep.cells.iter().find(|one| one.cell.is_exact(*form, own.cell.n))?))
                })
                .collect();
            let measured: Vec<usize> = pairs.iter().map(|(own, _)| own.cell.n).collect();
            let fewer = |n: usize| Some(own.facts(n)?.cost.flops() < exact.facts(n)?.cost.flops());
            let less = |n: usize| match pairs.iter().find(|(own, _)| own.cell.n == n) {
                Some((own, exact)) => Some(row::extra(own)? < row::extra(exact)?),
                None => Some(own.facts(n)?.extra_bytes? < exact.facts(n)?.extra_bytes?),
            };
            let time = crossing::in_time(sweep, cell, *form, seed);
            table.push(vec![
                cell.name.as_str().into(),
                cell.l.into(),
                form.name().into(),
                stays(least, &measured, &fewer).into(),
                time.n.into(),
                time.low.into(),
                time.high.into(),
                time.how.name().into(),
                time.from.into(),
                time.beyond.into(),
                stays(least, &measured, &less).into(),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// What a reader must know beside that table.
pub(super) fn note(sweep: &Sweep, seed: u64) -> Option<String> {
    let timed: Vec<How> = lines(sweep)
        .into_iter()
        .filter(|one| one.cell.kind.name != "softmax")
        .map(|one| crossing::in_time(sweep, &one.cell, Form::Fused, seed).how)
        .collect();
    let longest = sweep.cells.iter().filter(|one| !one.times.is_empty()).map(|one| one.cell.n).max()?;
    if timed.iter().all(|how| *how == How::NotTimed) {
        return None;
    }
    let reach = REACH * longest;
    Some(format!(
        "it pays: n_time is sought between the measured lengths and, by the line through the longest three, up to {reach} \
         ({REACH} times the longest); its interval is over the rounds that all lengths share and covers timing noise only, \
         not how the line bends. 'from' is decided: quicker at that and at every longer measured length, 95 % each. n_flops \
         and n_memory are closed forms, computed at lengths 5 % apart up to {LONGEST}; - means from none of them on, or not \
         known"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_a_length_on_it_stays_cheaper() {
        let of = |cheaper: &dyn Fn(usize) -> bool| stays(2, &[100, 1000], &|n| Some(cheaper(n)));
        assert_eq!(of(&|n| n >= 777), Some(777));
        // Cheaper from 9 to 99, and from 1,000,001 on.
        assert_eq!(of(&|n| (9..100).contains(&n) || n > 1_000_000), Some(1_000_001));
        assert_eq!(of(&|n| n < 100), None);
        assert_eq!(of(&|n| n != 100), Some(101), "a measured length that is dearer");
        assert_eq!(of(&|_| true), Some(2));
        assert_eq!(of(&|_| false), None);
        assert_eq!(stays(2, &[100], &|_| None), None);
    }
}
