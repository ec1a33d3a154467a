//! Times over the length: what a curve predicts, comparisons within rounds, and the noise of a second copy.

use super::super::cell::Cell;
use super::sweep::{Measured, Sweep};
use crate::stats::{self, Interval, Line, Verdict};

/// The straight line through points.
pub(super) fn through(points: &[(f64, f64)]) -> Option<Line> {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    stats::line(&x, &y)
}

/// The minimum number of lengths for a prediction, and the maximum ratio of the ends of its interval.
const MIN_LENGTHS: usize = 3;
const MAX_RATIO: f64 = 10.0;
/// A prediction uses the longest so many lengths: times of short ones are bound by threads, not by products.
const LONGEST: usize = 4;

/// Seconds predicted at the length of a cell from the longest timed lengths of its curve, with the interval of one new
/// measurement.
pub(super) fn predicted(sweep: &Sweep, cell: &Cell) -> Option<Interval> {
    let point = |one: &Measured| ((one.cell.n as f64).ln(), stats::median(&one.times).ln());
    let points: Vec<(f64, f64)> = sweep.timed(cell).map(point).collect();
    if points.len() < MIN_LENGTHS {
        return None;
    }
    let line = through(&points[points.len().saturating_sub(LONGEST)..])?;
    let found = line.predict((cell.n as f64).ln());
    if found.high - found.low > MAX_RATIO.ln() {
        return None;
    }
    Some(Interval { mid: found.mid.exp(), low: found.low.exp(), high: found.high.exp() })
}

/// The number of rounds in which all of these cells were timed.
pub(super) fn shared_rounds(cells: &[&Measured]) -> usize {
    cells.iter().map(|one| one.times.len()).min().unwrap_or(0)
}

/// The logarithms of the ratio of two cells' times, in the rounds in which both were timed.
fn log_ratios(own: &Measured, other: &Measured) -> Vec<f64> {
    own.times.iter().zip(&other.times).map(|(own, other)| (own / other).ln()).collect()
}

/// Compares the times of two cells by their ratio within rounds: of two that take the same time, at most a share of `miss`
/// is called lower or higher.
pub(super) fn compare(own: &Measured, other: &Measured, miss: f64) -> Verdict {
    Verdict::of(stats::median_interval_missing(&log_ratios(own, other), miss))
}

/// The ratio of the times of two copies of a cell, by length, with its interval.
pub(super) fn noise(sweep: &Sweep) -> Vec<(usize, Interval)> {
    let ratio = |one: &Measured| {
        let ratios: Vec<f64> =
            one.second.iter().zip(&one.times).map(|(second, first)| second / first).collect();
        Some((one.cell.n, stats::median_interval(&ratios)?))
    };
    sweep.cells.iter().filter_map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::cell::Form;
    use super::super::planted::{self, max_wrong};
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
                    compare(&a, &b, miss) != Verdict::Undecided
                })
                .count();
            assert!(decided <= max_wrong(miss, 600), "{decided} of 600 at {rounds} rounds");
        }
        let [slow, quick] = [2e-3, 1e-3].map(|seconds| {
            planted::cell("linear", Form::Fused, 64, planted::times(seconds, 15, 0.1, &mut rng))
        });
        assert_eq!(
            (compare(&slow, &quick, 0.05), compare(&quick, &slow, 0.05)),
            (Verdict::Higher, Verdict::Lower)
        );
    }

    #[test]
    fn the_noise_of_a_second_copy_holds_1() {
        let mut rng = stream(22, "copies");
        let missed = (0..400)
            .filter(|_| {
                let mut sweep = planted::curve(&[64], 15, 0.2, &mut rng, |_| 1e-3);
                sweep.cells[0].second = planted::times(1e-3, 15, 0.2, &mut rng);
                let (_, ratio) = noise(&sweep)[0];
                ratio.low > 1.0 || ratio.high < 1.0
            })
            .count();
        assert!(missed <= max_wrong(0.05, 400), "{missed} of 400");
    }

    #[test]
    fn a_prediction_needs_three_lengths_and_a_straight_line() {
        let long = |sweep: &Sweep| predicted(sweep, &Cell { n: 4096, ..sweep.cells[0].cell.clone() });
        let square = |n: usize| 1e-9 * (n * n) as f64;
        let found = long(&sweep(&[256, 512, 1024], square)).unwrap();
        assert!((found.mid / square(4096) - 1.0).abs() < 1e-9, "{found:?}");
        assert!(found.low <= found.mid && found.mid <= found.high);
        assert_eq!(long(&sweep(&[512, 1024], square)), None);
        // A curve that bends this much predicts nothing far away.
        assert_eq!(long(&sweep(&[256, 512, 1024], |n| square(n) * if n == 512 { 2.0 } else { 1.0 })), None);
    }
}
