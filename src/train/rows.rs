//! Sequences of a batch, one behind the other: no padding anywhere.

use std::ops::Range;

/// Which rows belong to which sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Where each sequence begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Rows {
    /// Sequences of these lengths.
    pub fn of(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut starts = vec![0];
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
        }
        Self { starts }
    }

    /// The first min(`most`, length) rows of every sequence, behind each other.
    pub(super) fn at_most(&self, most: usize) -> Self {
        Self::of(self.each().map(|rows| rows.len().min(most)))
    }

    /// How many sequences.
    pub fn sequences(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many rows all of them have.
    pub fn total(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The rows of the longest sequence.
    pub(super) fn longest(&self) -> usize {
        self.each().map(|rows| rows.len()).max().unwrap_or(0)
    }

    /// The rows of every sequence.
    pub fn each(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The length that all sequences share, if they do.
    pub(super) fn shared(&self) -> Option<usize> {
        let mut lengths = self.each().map(|rows| rows.len());
        let first = lengths.next()?;
        lengths.all(|length| length == first).then_some(first)
    }
}
