//! Timing in rounds, so that drift of the machine affects all pieces of work alike.
//!
//! In each round every piece runs once (or a few times, if it is short), in an order drawn anew: what slows the machine for
//! a minute slows all pieces of that minute's rounds, and cancels in the ratio of two pieces within a round. Georges,
//! Buytaert and Eeckhout 2007 explain why medians over such repetitions, with intervals, and not the best run.

use super::clock::{Stopwatch, timed};
use crate::rng::{Rng, below};

/// A sample shorter than this consists of several runs.
const MIN_SAMPLE: f64 = 3e-3;
/// Work shorter than this runs once more before its sample, so that its data are in cache as in a loop of its own.
const SHORT: f64 = 20e-3;

/// One piece of work to be timed.
pub struct Piece<'a> {
    run: Box<dyn FnMut() + 'a>,
    /// Runs of one sample.
    repeats: usize,
    warm: bool,
}

impl std::fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a piece of {} runs a sample", self.repeats)
    }
}

impl<'a> Piece<'a> {
    /// Work that takes about so many seconds.
    pub fn new(run: impl FnMut() + 'a, seconds: f64) -> Self {
        let repeats = (MIN_SAMPLE / seconds.max(1e-7)).ceil().max(1.0);
        Self { run: Box::new(run), repeats: repeats as usize, warm: seconds < SHORT }
    }

    /// Seconds of one run: the mean over one sample.
    pub fn sample(&mut self) -> f64 {
        if self.warm {
            (self.run)();
        }
        timed(|| (0..self.repeats).for_each(|_| (self.run)())).1 / self.repeats as f64
    }

    /// Seconds that one sample takes, for a piece of so many seconds a run.
    pub fn sample_seconds(seconds: f64) -> f64 {
        let runs = (MIN_SAMPLE / seconds.max(1e-7)).ceil().max(1.0);
        seconds * (runs + f64::from(u8::from(seconds < SHORT)))
    }
}

/// Runs `work` until so many seconds have gone by, at least once; the median seconds of a run.
///
/// To be called before measuring: caches fill, threads start, and the clock of an idle processor rises.
pub fn warm_up(seconds: f64, mut work: impl FnMut()) -> f64 {
    let watch = Stopwatch::start();
    let mut each = Vec::new();
    while each.is_empty() || watch.seconds() < seconds {
        each.push(timed(&mut work).1);
    }
    crate::stats::median(&each)
}

/// The numbers from 0 to below `count` in a drawn order (Fisher and Yates).
pub fn order(count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for place in (1..count).rev() {
        order.swap(place, below(rng, place + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use std::cell::Cell;

    #[test]
    fn short_work_is_repeated_and_long_work_is_not() {
        let runs = Cell::new(0);
        let mut short = Piece::new(|| runs.set(runs.get() + 1), 1e-3);
        assert!(short.sample().is_finite());
        assert_eq!(runs.take(), 4); // one to warm, three of a millisecond
        let mut long = Piece::new(|| runs.set(runs.get() + 1), 1.0);
        long.sample();
        assert_eq!(runs.take(), 1);
        assert!((Piece::sample_seconds(1e-3) - 4e-3).abs() < 1e-12);
        assert_eq!(Piece::sample_seconds(1.0), 1.0);
    }

    #[test]
    fn an_order_holds_everything_once_and_any_place_is_equally_likely() {
        let mut rng = stream(1, "order");
        let mut first = [0_usize; 4];
        for _ in 0..2000 {
            let drawn = order(4, &mut rng);
            let mut sorted = drawn.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
            first[drawn[0]] += 1;
        }
        assert!(first.iter().all(|count| (400..600).contains(count)), "{first:?}");
        assert!(order(0, &mut rng).is_empty());
    }

    #[test]
    fn warming_up_runs_at_least_once() {
        let runs = Cell::new(0);
        warm_up(0.0, || runs.set(runs.get() + 1));
        assert_eq!(runs.get(), 1);
    }
}
