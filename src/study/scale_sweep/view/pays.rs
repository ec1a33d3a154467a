//! Break-even lengths: from which length on each mechanism is cheaper than exact attention.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::super::build;
use super::super::cell::{Cell, Form};
use super::super::settings::Settings;
use super::super::subject::Facts;
use super::columns::{S3, TEXT, WHOLE};
use super::crossing::{self, How, REACH};
use super::sweep::{Measured, Sweep};
use crate::report::Table;
use crate::study::columns::described;

/// Closed forms are computed up to this length.
const LONGEST: usize = 1 << 22;
/// The ratio of neighbouring lengths at which closed forms are computed.
const STEP: f64 = 1.05;

/// The closed forms of a curve at any length.
struct Curve<'a> {
    cell: &'a Cell,
    settings: &'a Settings,
    known: RefCell<BTreeMap<usize, Option<Facts>>>,
}

impl<'a> Curve<'a> {
    fn new(cell: &'a Cell, settings: &'a Settings) -> Self {
        Self { cell, settings, known: RefCell::default() }
    }

    fn facts(&self, n: usize) -> Option<Facts> {
        *self
            .known
            .borrow_mut()
            .entry(n)
            .or_insert_with(|| build::facts(&Cell { n, ..self.cell.clone() }, self.settings).ok())
    }
}

/// The shortest length, at least `shortest`, from which on `cheaper` holds at every length computed: lengths 5 % apart up to
/// [`LONGEST`], the measured ones, and all around the crossover. None if there is no such length, or if `cheaper` does not
/// know.
fn break_even(shortest: usize, measured: &[usize], cheaper: &dyn Fn(usize) -> Option<bool>) -> Option<usize> {
    let longest = LONGEST.max(measured.last().copied().unwrap_or(0)).max(shortest);
    let mut lengths: Vec<usize> = measured.iter().copied().filter(|n| *n >= shortest).collect();
    let mut n = shortest;
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

/// The break-even lengths of each mechanism in FLOPs, time and memory.
pub(super) fn table(sweep: &Sweep, settings: &Settings, seed: u64) -> Option<Table> {
    let columns = [
        ("mechanism", "", "the mechanism", TEXT),
        ("l", "", "projected length", WHOLE),
        ("against", "", "exact attention in which form", TEXT),
        ("n_flops", "", "fewer FLOPs from this length on (closed forms up to 2^22)", WHOLE),
        ("n_time", "", "faster from this length on: where the median ratio is 1 for the last time", S3),
        ("low", "", "lower end of its 95 % interval over rounds: timing noise only, not curvature", S3),
        ("high", "", "upper end of it; none where some resamples do not cross", S3),
        ("how", "", "measured, extrapolated (to 4 times the longest n), below, beyond or undecided", TEXT),
        ("from", "", "shortest n from which on every measured length is faster, tested at 95 %", WHOLE),
        ("beyond", "", "no crossover up to this length", WHOLE),
        ("n_memory", "", "less extra memory from this length on (measured, else closed forms)", WHOLE),
    ];
    let mut table = Table::new("Break-even length n", described(&columns));
    let (exact, others): (Vec<&Measured>, Vec<&Measured>) =
        sweep.curves().into_iter().partition(|one| one.cell.is_softmax());
    let exact: Vec<(Form, Curve<'_>)> =
        exact.into_iter().map(|one| (one.cell.form, Curve::new(&one.cell, settings))).collect();
    for first in others {
        let cell = &first.cell;
        let own = Curve::new(cell, settings);
        let shortest = cell.l.unwrap_or(1).max(1);
        for (form, exact) in &exact {
            let pairs: Vec<(&Measured, &Measured)> =
                sweep.curve(cell).filter_map(|own| Some((own, sweep.exact(*form, own.cell.n)?))).collect();
            let measured: Vec<usize> = pairs.iter().map(|(own, _)| own.cell.n).collect();
            let fewer = |n: usize| Some(own.facts(n)?.cost.flops() < exact.facts(n)?.cost.flops());
            let less = |n: usize| match pairs.iter().find(|(own, _)| own.cell.n == n) {
                Some((own, exact)) => Some(own.extra_bytes()? < exact.extra_bytes()?),
                None => Some(own.facts(n)?.extra_bytes? < exact.facts(n)?.extra_bytes?),
            };
            let time = crossing::in_time(sweep, cell, *form, seed);
            table.push(vec![
                cell.name.as_str().into(),
                cell.l.into(),
                form.name().into(),
                break_even(shortest, &measured, &fewer).into(),
                time.n.into(),
                time.low.into(),
                time.high.into(),
                time.how.name().into(),
                time.from.into(),
                time.beyond.into(),
                break_even(shortest, &measured, &less).into(),
            ]);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// How the break-even lengths in time are to be read; none where nothing was timed.
pub(super) fn note(sweep: &Sweep, seed: u64) -> Option<String> {
    let others = sweep.curves().into_iter().filter(|one| !one.cell.is_softmax());
    let timed = |one: &Measured| crossing::in_time(sweep, &one.cell, Form::Fused, seed).how != How::NotTimed;
    let longest = sweep.cells.iter().filter(|one| !one.times.is_empty()).map(|one| one.cell.n).max()?;
    others.into_iter().any(timed).then(|| {
        format!(
            "break-even: n_time is extrapolated up to n = {} at most; its interval covers timing noise only, not curvature. \
             From 'from' on, every measured length is faster (95 % each)",
            REACH * longest
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn break_even_is_where_it_stays_cheaper() {
        let of = |cheaper: &dyn Fn(usize) -> bool| break_even(2, &[100, 1000], &|n| Some(cheaper(n)));
        assert_eq!(of(&|n| n >= 777), Some(777));
        // Cheaper from 9 to 99, and from 1,000,001 on.
        assert_eq!(of(&|n| (9..100).contains(&n) || n > 1_000_000), Some(1_000_001));
        assert_eq!(of(&|n| n < 100), None);
        assert_eq!(of(&|n| n != 100), Some(101), "a measured length that is more expensive");
        assert_eq!(of(&|_| true), Some(2));
        assert_eq!(of(&|_| false), None);
        assert_eq!(break_even(2, &[100], &|_| None), None);
    }
}
