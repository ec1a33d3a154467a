//! Softmax attention in which each query reads some of the keys: what the sparse mechanisms share.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use super::work::Work;
use crate::attention::input::Input;
use crate::attention::kernel::fused::Fused;
use crate::attention::mask::Mask;
use crate::attention::mechanism::Mechanism;
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::softmax::softmax_rows;

/// The keys that query i reads: ranges in ascending order that do not overlap, already under the mask.
pub(in crate::attention) type Reads<'a> = &'a dyn Fn(usize) -> Vec<Range<usize>>;

/// The output, row by row, touching only the keys that are read.
pub(in crate::attention) fn forward(
    input: &Input<'_>,
    v: ArrayView2<'_, f32>,
    reads: Reads<'_>,
    work: &mut Work,
) -> Array2<f32> {
    let mut out = Array2::zeros((input.q.nrows(), v.ncols()));
    for (i, mut row) in out.rows_mut().into_iter().enumerate() {
        row.assign(&work.attend(input.q.row(i), (input.k, v), &reads(i), input.scale));
    }
    out
}

/// A mechanism in which a query reads some of the keys.
pub(in crate::attention) trait Pattern: Send + Sync {
    /// What each of `n` queries reads of `m` keys, as [`Reads`].
    fn reads(&self, n: usize, m: usize, mask: Mask) -> Box<dyn Fn(usize) -> Vec<Range<usize>> + '_>;

    /// How many keys each query reads.
    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_>;

    /// As [`Mechanism::l`].
    fn l(&self) -> Option<usize> {
        None
    }

    /// As [`Mechanism::fused`].
    fn fused(&self) -> Option<Fused> {
        None
    }
}

impl<P: Pattern> Mechanism for P {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let reads = self.reads(input.q.nrows(), input.k.nrows(), input.mask);
        Ok(forward(input, v, &*reads, work))
    }

    /// Softmax over the keys that are read, zeros elsewhere.
    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let (n, m) = (input.q.nrows(), input.k.nrows());
        let reads = self.reads(n, m, input.mask);
        let mut a = Array2::zeros((n, m));
        product_into(a.view_mut(), 0.0, input.q, input.k.t(), input.scale, Threads::One);
        for (i, mut row) in a.rows_mut().into_iter().enumerate() {
            let row = row.as_slice_mut().expect("rows of a new array lie together");
            let mut from = 0;
            for range in reads(i) {
                row[from..range.start].fill(f32::NEG_INFINITY);
                from = range.end;
            }
            row[from..].fill(f32::NEG_INFINITY);
        }
        softmax_rows(a.view_mut());
        Ok(a)
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let read = (0..shape.n).map(self.counts(shape)).filter(|keys| *keys > 0);
        let (rows, pairs) = read.fold((0, 0), |(rows, pairs), keys| (rows + 1, pairs + keys));
        Cost::product(pairs, shape.d_h, 1) + Cost::softmax(rows, pairs) + Cost::product(pairs, 1, shape.d_v)
    }

    fn l(&self) -> Option<usize> {
        Pattern::l(self)
    }

    fn fused(&self) -> Option<Fused> {
        Pattern::fused(self)
    }
}

/// Sorted ranges as they are, brought together where they touch or overlap.
pub(in crate::attention) fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_unstable_by_key(|range| range.start);
    let mut kept: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match kept.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => kept.push(range),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn ranges_come_together_where_they_touch() {
        assert_eq!(merged(vec![5..9, 0..2, 2..3, 8..12, 4..4]), [0..3, 5..12]);
        assert!(merged(vec![]).is_empty());
    }
}
