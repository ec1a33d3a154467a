//! By how much a column differs.

use crate::report::Cell;
use crate::stats::{Interval, Verdict};

/// Differences below this share of the values are rounding of single precision, whatever their interval.
const ROUNDING: f64 = 1e-6;

/// One column of one group of rows, in two runs.
pub(super) struct Difference {
    /// The cells that name it: the run, where there are several, and the group.
    pub(super) keys: Vec<Cell>,
    pub(super) column: String,
    /// Matched rows with a number in both runs.
    pub(super) rows: usize,
    /// Windows or seeds that the means are over.
    pub(super) units: usize,
    /// Means of the two runs, and of the differences.
    pub(super) first: f64,
    pub(super) other: f64,
    pub(super) diff: f64,
    /// Student's paired 95 % interval over windows or seeds; none below two of them.
    pub(super) ends: Option<Interval>,
    /// The row with the largest difference in words, and its two values.
    pub(super) largest: (String, f64, f64),
}

impl Difference {
    /// Lower, higher or undecided; equal where no row differs.
    pub(super) fn verdict(&self) -> &'static str {
        let (_, first, other) = self.largest;
        if first == other {
            return "equal";
        }
        let is_rounding = self.diff.abs() < ROUNDING * self.first.abs().max(self.other.abs());
        Verdict::of(self.ends.filter(|_| !is_rounding)).name()
    }
}
