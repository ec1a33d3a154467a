//! Mechanisms whose matrix is softmax over some of the keys, a few rows at a time: without an n x m array.

use std::ops::Range;

use ndarray::{Array2, ArrayViewMut1, s};

use super::input::Input;
use super::kernel::fused::Fused;
use super::softmax::Tile;
use super::softmax::rows::Exact;
use crate::cost::{Cost, Shape};
use crate::linalg::softmax::softmax_rows_within;

/// The keys that query i reads, which may be chosen by the exact probabilities: ranges in ascending order that do not
/// overlap, already under the mask.
pub(in crate::attention) type ReadsBy<'a> = Box<dyn Fn(usize, &dyn Exact) -> Vec<Range<usize>> + 'a>;

/// A mechanism in which a query reads some of the keys: fixed ones, or such as queries and keys choose.
pub(in crate::attention) trait Pattern: Send + Sync {
    /// What each query reads.
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a>;

    /// How many keys each query reads; where they are chosen, how many at most.
    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_>;

    /// What choosing the keys costs; `None` where they are fixed. As how many are read may then depend on the input, the
    /// cost counts as many as [`counts`](Self::counts) says.
    fn choosing(&self, _shape: &Shape) -> Option<Cost> {
        None
    }

    /// How many elements of keys, or of what stands for them, choosing reads beside the keys and values that are then read.
    fn scanned(&self, _shape: &Shape) -> usize {
        0
    }

    /// Whether the weights of the keys that are read are divided by their sum; else they are the exact probabilities.
    fn renormalises(&self) -> bool {
        true
    }

    /// Whether weights come from the exact probabilities: those that are not renormalised, and all where the input carries
    /// more than scale and mask.
    fn needs_exact(&self, input: &Input<'_>) -> bool {
        !self.renormalises() || !input.terms.is_empty()
    }

    /// As [`Mechanism::l`](super::Mechanism::l).
    fn l(&self) -> Option<usize> {
        None
    }

    /// As [`Mechanism::fused`](super::Mechanism::fused).
    fn fused(&self) -> Option<Fused> {
        None
    }
}

/// The keys that a mechanism reads.
#[derive(Clone, Copy)]
pub struct Choice<'a>(pub(super) &'a dyn Pattern);

/// The keys that it reads on an input.
pub struct Chosen<'a> {
    reads: ReadsBy<'a>,
    renormalises: bool,
}

impl<'a> Choice<'a> {
    /// On an input without padding, whose mask and terms the mechanism honours.
    pub fn of(self, input: &'a Input<'_>) -> Chosen<'a> {
        Chosen { reads: self.0.reads(input), renormalises: self.0.renormalises() }
    }

    /// The most keys that a query of the latter half reads: of the first ones some see little, and some may be global.
    pub fn keys(self, shape: &Shape) -> usize {
        (shape.n / 2..shape.n).map(self.0.counts(shape)).max().unwrap_or(0)
    }

    /// Whether choosing the keys reads more than the keys that are chosen.
    pub fn scans(self, shape: &Shape) -> bool {
        self.0.scanned(shape) > 0
    }
}

impl Chosen<'_> {
    /// Rows of the matrix of the mechanism, over the queries and the keys of a tile of the exact one: shape of
    /// [`Tile::weights`].
    ///
    /// What is chosen by the exact probabilities is chosen here by those in f32.
    pub fn rows(&self, tile: &Tile<'_>) -> Array2<f32> {
        let first = tile.keys().start;
        let (mut rows, hidden) = if self.renormalises {
            (tile.logits().to_owned(), f32::NEG_INFINITY)
        } else {
            (tile.weights().to_owned(), 0.0)
        };
        let mut spans = Vec::with_capacity(rows.nrows());
        for (i, mut row) in tile.queries().zip(rows.rows_mut()) {
            let ranges = (self.reads)(i, tile);
            fill_others(row.view_mut(), &ranges, first, hidden);
            let span = ranges.first().zip(ranges.last());
            spans.push(span.map_or(0..0, |(from, to)| from.start - first..to.end - first));
        }
        if self.renormalises {
            softmax_rows_within(rows.view_mut(), |row| spans[row].clone(), tile.input().terms.sink);
        }
        rows
    }
}

/// Gives a value to all of a row but these ranges of keys; the first of the row is key `first`.
pub(in crate::attention) fn fill_others(
    mut row: ArrayViewMut1<'_, f32>,
    ranges: &[Range<usize>],
    first: usize,
    value: f32,
) {
    let mut from = 0;
    for range in ranges {
        row.slice_mut(s![from..range.start - first]).fill(value);
        from = range.end - first;
    }
    row.slice_mut(s![from..]).fill(value);
}
