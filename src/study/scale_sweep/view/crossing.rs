//! At which length a mechanism becomes faster than exact attention.
//!
//! "Faster from n on" is a statement about every measured length of n or more. It is made where the 95 % interval of the
//! median ratio lies below 1 at each of them, tested from the longest length downwards and stopping at the first that
//! fails: the probability that any length is falsely called faster is that of the first such test, 2.5 % (fixed-sequence
//! testing; Maurer, Hothorn and Lehmacher 1995). Where the longest length is neither faster nor slower, nothing is stated.

use super::super::cell::{Cell, Form};
use super::fit::{shared_rounds, through};
use super::sweep::{Measured, Sweep};
use crate::rng::{Rng, stream};
use crate::stats::{self, Interval};

/// Crossovers are extrapolated up to this multiple of the longest measured length.
pub(super) const REACH: usize = 4;
/// An extrapolation uses the longest so many lengths: any two points lie on a line.
const LONGEST: usize = 3;

/// What the times show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The crossover lies between measured lengths.
    Measured,
    /// It lies beyond them, within [`REACH`], on the line through the longest three.
    Extrapolated,
    /// Faster at every measured length.
    Below,
    /// Slower at the longest measured length, and the line has no certain crossover within [`REACH`].
    Beyond,
    /// Neither faster nor slower at the longest measured length.
    Undecided,
    /// Not timed in the same rounds.
    NotTimed,
}

impl How {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Extrapolated => "extrapolated",
            Self::Below => "below",
            Self::Beyond => "beyond",
            Self::Undecided => "undecided",
            Self::NotTimed => "not timed",
        }
    }
}

/// Where a mechanism becomes faster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Crossing {
    pub(super) how: How,
    /// Where the median ratio is 1 for the last time.
    pub(super) n: Option<f64>,
    /// Lower end of its 95 % interval over rounds; none outside the measured lengths (or beyond [`REACH`]).
    pub(super) low: Option<f64>,
    /// Upper end of it.
    pub(super) high: Option<f64>,
    /// The shortest measured length from which on it is faster at every measured length.
    pub(super) from: Option<usize>,
    /// A length up to which no crossover was found.
    pub(super) beyond: Option<usize>,
}

impl Crossing {
    const NOTHING: Self =
        Self { how: How::NotTimed, n: None, low: None, high: None, from: None, beyond: None };

    /// Of logarithms of ratios (own time over that of exact attention), by ascending length and by round: the same rounds
    /// at every length.
    pub(super) fn of(lengths: &[usize], ratios: &[Vec<f64>], rng: &mut Rng) -> Self {
        let Some((longest, rounds)) = lengths.last().zip(ratios.first().map(Vec::len)) else {
            return Self::NOTHING;
        };
        if rounds == 0 {
            return Self::NOTHING;
        }
        let intervals: Option<Vec<Interval>> = ratios.iter().map(|all| stats::median_interval(all)).collect();
        let undecided = Self { how: How::Undecided, ..Self::NOTHING };
        let Some(intervals) = intervals else { return undecided };
        let last = intervals[intervals.len() - 1];
        let medians = |places: &[usize]| -> Vec<(f64, f64)> {
            let median =
                |all: &Vec<f64>| stats::median(&places.iter().map(|at| all[*at]).collect::<Vec<_>>());
            lengths.iter().zip(ratios).map(|(n, all)| ((*n as f64).ln(), median(all))).collect()
        };
        let every: Vec<usize> = (0..rounds).collect();
        if last.high < 0.0 {
            let decided = intervals.iter().rposition(|one| one.high >= 0.0).map_or(0, |at| at + 1);
            let from = Some(lengths[decided]);
            let Some(n) = inside(&medians(&every)) else {
                return Self { how: How::Below, from, ..undecided };
            };
            let ends = stats::bootstrap_of_medians(rounds, rng, |places| {
                let points = medians(places);
                let faster = points.last().is_some_and(|(_, ratio)| *ratio < 0.0);
                if faster { inside(&points).unwrap_or(0.0) } else { f64::INFINITY }
            });
            let low = ends.map(|ends| ends.0).filter(|low| *low > 0.0);
            let high = ends.map(|ends| ends.1).filter(|high| high.is_finite());
            return Self { how: How::Measured, n: Some(n), low, high, from, beyond: None };
        }
        if last.low <= 0.0 {
            return undecided;
        }
        let limit = REACH * longest;
        let beyond = Self { how: How::Beyond, beyond: Some(*longest), ..undecided };
        if lengths.len() < LONGEST {
            return beyond;
        }
        let zero = |places: &[usize]| ahead(&medians(places), *longest as f64);
        let ends = stats::bootstrap_of_medians(rounds, rng, zero);
        let (n, Some((low, high))) = (zero(&every), ends) else { return beyond };
        if high <= limit as f64 {
            return Self { how: How::Extrapolated, n: Some(n), low: Some(low), high: Some(high), ..beyond };
        }
        // Even the lower end of the crossing lies beyond the limit.
        if low > limit as f64 { Self { beyond: Some(limit), ..beyond } } else { beyond }
    }
}

/// Where points (ln n, ratio) whose last one is below 0 are 0 for the last time; none where all are below.
fn inside(points: &[(f64, f64)]) -> Option<f64> {
    let above = points.iter().rposition(|(_, ratio)| *ratio >= 0.0)?;
    let (from, to) = (points[above], *points.get(above + 1)?);
    let share = from.1 / (from.1 - to.1);
    Some((from.0 + share * (to.0 - from.0)).exp())
}

/// Where the line through the longest lengths is 0, not before the longest; infinity where it does not fall.
fn ahead(points: &[(f64, f64)], longest: f64) -> f64 {
    let line = through(&points[points.len().saturating_sub(LONGEST)..]).filter(|line| line.slope.mid < 0.0);
    line.map_or(f64::INFINITY, |line| (-line.intercept / line.slope.mid).exp().max(longest))
}

/// The crossover in time of a cell's curve against exact attention of one form.
pub(super) fn in_time(sweep: &Sweep, cell: &Cell, form: Form, seed: u64) -> Crossing {
    let exact = |n: usize| sweep.exact(form, n).filter(|one| !one.times.is_empty());
    let pairs: Vec<(&Measured, &Measured)> =
        sweep.timed(cell).filter_map(|own| Some((own, exact(own.cell.n)?))).collect();
    let all: Vec<&Measured> = pairs.iter().flat_map(|(own, exact)| [*own, *exact]).collect();
    let rounds = shared_rounds(&all);
    let lengths: Vec<usize> = pairs.iter().map(|(own, _)| own.cell.n).collect();
    let ratio = |(own, exact): &(&Measured, &Measured)| -> Vec<f64> {
        (0..rounds).map(|round| (own.times[round] / exact.times[round]).ln()).collect()
    };
    let ratios: Vec<Vec<f64>> = pairs.iter().map(ratio).collect();
    Crossing::of(&lengths, &ratios, &mut stream(seed, "bootstrap crossover"))
}

#[cfg(test)]
mod tests {
    use super::super::planted::{self, max_wrong};
    use super::*;

    const LENGTHS: [usize; 5] = [128, 256, 512, 1024, 2048];

    /// Crossings of sweeps in which the mechanism's time is `ratio(n)` times that of exact attention.
    fn simulated(
        label: &str,
        (times, rounds, noise): (usize, usize, f64),
        lengths: &[usize],
        ratio: impl Fn(f64) -> f64,
    ) -> Vec<Crossing> {
        let mut rng = stream(17, label);
        (0..times)
            .map(|_| {
                let mut sweep = planted::curve(lengths, rounds, noise, &mut rng, |n| 1e-6 * n as f64);
                for n in lengths {
                    let seconds = 1e-6 * *n as f64 * ratio(*n as f64);
                    let times = planted::times(seconds, rounds, noise, &mut rng);
                    sweep.cells.push(planted::cell("linear", Form::Fused, *n, times));
                }
                let cell = sweep.cells[lengths.len()].cell.clone();
                in_time(&sweep, &cell, Form::Fused, 0)
            })
            .collect()
    }

    #[test]
    fn equal_times_are_seldom_called_faster() {
        for (rounds, noise) in [(6, 0.1), (15, 0.3)] {
            let found = simulated("equal", (300, rounds, noise), &LENGTHS, |_| 1.0);
            let called = |one: &&Crossing| one.n.is_some() || one.from.is_some();
            let count = found.iter().filter(called).count();
            assert!(count <= max_wrong(0.05, 300), "{count} of 300 at {rounds} rounds");
        }
        // Fewer than six rounds decide nothing.
        let few = simulated("few", (20, 5, 0.01), &LENGTHS, |n| 600.0 / n);
        assert!(few.iter().all(|one| one.how == How::Undecided && one.n.is_none()));
    }

    #[test]
    fn equal_times_below_a_crossover_are_seldom_called_faster() {
        let found = simulated("step", (300, 15, 0.1), &LENGTHS, |n| if n > 1000.0 { 0.5 } else { 1.0 });
        let false_ones = found.iter().filter(|one| one.from.is_some_and(|from| from < 1024)).count();
        assert!(false_ones <= max_wrong(0.05, 300), "{false_ones} of 300");
        assert!(found.iter().filter(|one| one.from == Some(1024)).count() > 270);
    }

    #[test]
    fn planted_crossovers_are_found_and_covered() {
        for (rounds, noise) in [(6, 0.05), (7, 0.2), (15, 0.3)] {
            let found = simulated("planted", (150, rounds, noise), &LENGTHS, |n| (600.0 / n).powf(0.5));
            let decided: Vec<&Crossing> = found.iter().filter(|one| one.how == How::Measured).collect();
            assert!(decided.len() >= 130, "{} of 150 at {rounds} rounds", decided.len());
            let covers = |one: &&&Crossing| {
                one.low.is_none_or(|low| low <= 600.0) && one.high.is_none_or(|high| high >= 600.0)
            };
            let missed = decided.len() - decided.iter().filter(covers).count();
            assert!(
                missed <= max_wrong(0.05, decided.len()),
                "{missed} of {} at {rounds} rounds",
                decided.len()
            );
        }
    }

    #[test]
    fn what_never_crosses_is_seldom_said_to() {
        for (rounds, noise, ratio) in [(6, 0.1, 1.1), (15, 0.3, 1.5)] {
            let found = simulated("never", (200, rounds, noise), &LENGTHS, |_| ratio);
            let called = found.iter().filter(|one| one.n.is_some() || one.from.is_some()).count();
            assert!(called <= max_wrong(0.05, 200), "{called} of 200 at {rounds} rounds");
        }
    }

    #[test]
    fn a_crossover_is_extrapolated_by_three_lengths_and_not_far() {
        let of = |lengths: &[usize], at: f64| {
            simulated("ahead", (1, 9, 1e-6), lengths, |n| (at / n).powf(0.5)).remove(0)
        };
        let near = of(&[256, 512, 1024], 3000.0);
        assert_eq!(near.how, How::Extrapolated);
        assert!((near.n.unwrap() - 3000.0).abs() < 1.0, "{near:?}");
        assert!(near.low.unwrap() <= 3000.1 && near.high.unwrap() >= 2999.9, "{near:?}");
        let far = of(&[256, 512, 1024], 50_000.0);
        assert_eq!((far.how, far.n, far.beyond), (How::Beyond, None, Some(4096)));
        let two = of(&[512, 1024], 3000.0);
        assert_eq!((two.how, two.n, two.beyond), (How::Beyond, None, Some(1024)));
        let below = of(&[256, 512, 1024], 100.0);
        assert_eq!((below.how, below.n, below.from), (How::Below, None, Some(256)));
    }

    #[test]
    fn from_a_length_on_holds_at_every_longer_length() {
        // Faster at 256, slower again at 512, faster from 1024 on.
        let of = |n: f64| if n == 512.0 || n == 128.0 { 1.2 } else { 0.8 };
        let found = simulated("again", (1, 9, 1e-3), &LENGTHS, of).remove(0);
        assert_eq!((found.how, found.from), (How::Measured, Some(1024)));
        assert!((512.0..1024.0).contains(&found.n.unwrap()), "{found:?}");
        // Faster at all but the longest: nothing is stated.
        let found = simulated("longest", (1, 9, 1e-3), &LENGTHS, |n| if n > 2000.0 { 1.1 } else { 0.5 });
        assert_eq!((found[0].how, found[0].from, found[0].n), (How::Beyond, None, None));
    }

    #[test]
    fn only_rounds_that_all_lengths_share_are_used() {
        let mut sweep = planted::curve(&LENGTHS, 9, 0.01, &mut stream(5, "shared"), |n| 1e-6 * n as f64);
        for n in LENGTHS {
            let times = planted::times(2e-6 * n as f64, 9, 0.01, &mut stream(6, "shared"));
            sweep.cells.push(planted::cell("linear", Form::Fused, n, times));
        }
        let cell = sweep.cells[LENGTHS.len()].cell.clone();
        assert_eq!(in_time(&sweep, &cell, Form::Fused, 0).how, How::Beyond);
        // An interrupted sweep has fewer rounds at one length: those that all lengths share are too few.
        sweep.cells.last_mut().unwrap().times.truncate(4);
        assert_eq!(in_time(&sweep, &cell, Form::Fused, 0).how, How::Undecided);
        sweep.cells.last_mut().unwrap().times.clear();
        let found = in_time(&sweep, &cell, Form::Fused, 0);
        assert_eq!((found.how, found.beyond), (How::Beyond, Some(4 * 1024)), "of lengths that were measured");
    }
}
