//! Lines of cells over the length, what they predict, and the noise of their times.

use std::collections::BTreeMap;

use super::cell::Cell;
use super::measure::{Measured, Sweep};
use crate::stats::{self, Interval, Line};

/// The cells of one line, by length.
pub(super) fn line_of<'a>(sweep: &'a Sweep, cell: &'a Cell) -> impl Iterator<Item = &'a Measured> + 'a {
    sweep.cells.iter().filter(move |one| one.cell.is_beside(cell))
}

/// The first cell of each line.
pub(super) fn lines(sweep: &Sweep) -> Vec<&Measured> {
    let mut lines: Vec<&Measured> = Vec::new();
    for one in &sweep.cells {
        if !lines.iter().any(|line| line.cell.is_beside(&one.cell)) {
            lines.push(one);
        }
    }
    lines
}

/// Log n and log seconds of what was timed of a line.
fn timed(sweep: &Sweep, cell: &Cell) -> Vec<(f64, f64)> {
    let timed = line_of(sweep, cell).filter(|one| !one.times.is_empty());
    timed
        .map(|one| {
            let seconds: Vec<f64> = one.times.values().copied().collect();
            ((one.cell.n as f64).ln(), stats::median(&seconds).ln())
        })
        .collect()
}

/// The straight line through points.
pub(super) fn through(points: &[(f64, f64)]) -> Option<Line> {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    stats::line(&x, &y)
}

/// Lengths below which nothing is predicted, and how far apart the ends of a prediction's interval may be.
const FEWEST: usize = 3;
const WIDEST: f64 = 10.0;
/// Lengths that a prediction stands on: the longest, since short ones are about threads and not about products.
const NEAREST: usize = 4;

/// Seconds that the longest timed lengths of a line predict at the length of a cell, with the interval of one new
/// measurement.
pub(super) fn predicted(sweep: &Sweep, cell: &Cell) -> Option<Interval> {
    let points = timed(sweep, cell);
    if points.len() < FEWEST {
        return None;
    }
    let line = through(&points[points.len().saturating_sub(NEAREST)..])?;
    let found = line.predict((cell.n as f64).ln());
    if found.high - found.low > WIDEST.ln() {
        return None;
    }
    Some(Interval { mid: found.mid.exp(), low: found.low.exp(), high: found.high.exp() })
}

/// The rounds in which all of these cells were timed.
pub(super) fn shared_rounds(cells: &[&Measured]) -> Vec<usize> {
    let Some((first, others)) = cells.split_first() else { return Vec::new() };
    let in_all = |round: &&usize| others.iter().all(|one| one.times.contains_key(*round));
    first.times.keys().filter(in_all).copied().collect()
}

/// The logarithms of the ratio of two cells' times, in the rounds in which both were timed.
pub(super) fn log_ratios(own: &Measured, other: &Measured) -> Vec<f64> {
    own.times.iter().filter_map(|(round, own)| Some((own / other.times.get(round)?).ln())).collect()
}

/// What the rounds say of two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Quicker,
    Slower,
    /// Nothing: the interval of their ratio holds 1, or there are too few rounds for one.
    Undecided,
}

impl Verdict {
    pub(super) fn is_decided(self) -> bool {
        self != Self::Undecided
    }
}

/// Compares two cells by their ratio within a round: of two that take the same time, at most a share of `miss` is decided.
pub(super) fn compare(own: &Measured, other: &Measured, miss: f64) -> Verdict {
    match stats::median_interval_missing(&log_ratios(own, other), miss) {
        Some(ends) if ends.high < 0.0 => Verdict::Quicker,
        Some(ends) if ends.low > 0.0 => Verdict::Slower,
        _ => Verdict::Undecided,
    }
}

/// How far two copies of the same cell are apart, by length: the ratio of their times with its interval.
pub(super) fn noise(sweep: &Sweep) -> Vec<(usize, Interval)> {
    let mut all: BTreeMap<usize, Interval> = BTreeMap::new();
    for (at, twin) in &sweep.twins {
        let one = &sweep.cells[*at];
        let ratios: Vec<f64> =
            twin.iter().filter_map(|(round, own)| Some(own / one.times.get(round)?)).collect();
        if let Some(interval) = stats::median_interval(&ratios) {
            all.insert(one.cell.n, interval);
        }
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::cell::Form;
    use super::super::planted;
    use super::*;
    use crate::rng::stream;

    /// Exact attention at these lengths, in rounds around `seconds(n)`.
    fn sweep(lengths: &[usize], seconds: impl Fn(usize) -> f64) -> Sweep {
        let one = |n: &usize| {
            let times = [0.99, 1.0, 1.01].map(|factor| factor * seconds(*n));
            planted::cell("softmax", Form::Fused, *n, times.into())
        };
        Sweep { cells: lengths.iter().map(one).collect(), ..Sweep::default() }
    }

    /// At most this share of so many, and three standard deviations.
    fn most(share: f64, count: usize) -> usize {
        (share * count as f64 + 3.0 * (share * (1.0 - share) * count as f64).sqrt()) as usize
    }

    #[test]
    fn of_two_equal_times_few_are_told_apart() {
        let mut rng = stream(21, "equal");
        for (rounds, noise, miss) in [(6, 0.1, 0.05), (15, 0.3, 0.05), (15, 0.02, 0.01)] {
            let decided = (0..600)
                .filter(|_| {
                    let [a, b] = [0, 1].map(|_| {
                        planted::cell(
                            "linear",
                            Form::Fused,
                            64,
                            planted::times(1e-3, rounds, noise, &mut rng),
                        )
                    });
                    compare(&a, &b, miss).is_decided()
                })
                .count();
            assert!(decided <= most(miss, 600), "{decided} of 600 at {rounds} rounds");
        }
        let [slow, quick] = [2e-3, 1e-3].map(|seconds| {
            planted::cell("linear", Form::Fused, 64, planted::times(seconds, 15, 0.1, &mut rng))
        });
        assert_eq!(
            (compare(&slow, &quick, 0.05), compare(&quick, &slow, 0.05)),
            (Verdict::Slower, Verdict::Quicker)
        );
    }

    #[test]
    fn the_noise_of_a_second_copy_holds_1() {
        let mut rng = stream(22, "copies");
        let missed = (0..400)
            .filter(|_| {
                let mut sweep = planted::line(&[64], 15, 0.2, &mut rng, |_| 1e-3);
                let twin = planted::times(1e-3, 15, 0.2, &mut rng).into_iter().enumerate().collect();
                sweep.twins.push((0, twin));
                let (_, ratio) = noise(&sweep)[0];
                ratio.low > 1.0 || ratio.high < 1.0
            })
            .count();
        assert!(missed <= most(0.05, 400), "{missed} of 400");
    }

    #[test]
    fn a_prediction_stands_on_three_lengths_and_on_a_line_that_is_one() {
        let long = |sweep: &Sweep| predicted(sweep, &Cell { n: 4096, ..sweep.cells[0].cell.clone() });
        let square = |n: usize| 1e-9 * (n * n) as f64;
        let found = long(&sweep(&[256, 512, 1024], square)).unwrap();
        assert!((found.mid / square(4096) - 1.0).abs() < 1e-9, "{found:?}");
        assert!(found.low <= found.mid && found.mid <= found.high);
        assert_eq!(long(&sweep(&[512, 1024], square)), None);
        // A line that bends this much says nothing of lengths far away.
        assert_eq!(long(&sweep(&[256, 512, 1024], |n| square(n) * if n == 512 { 2.0 } else { 1.0 })), None);
    }
}
