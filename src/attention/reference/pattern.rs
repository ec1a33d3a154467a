//! Softmax attention in which each query reads some of the keys: what the sparse mechanisms share.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use super::work::Work;
use crate::attention::choice::{Choice, fill_others};
pub(in crate::attention) use crate::attention::choice::{Pattern, ReadsBy};
use crate::attention::input::Input;
use crate::attention::kernel::fused::Fused;
use crate::attention::mechanism::Mechanism;
use crate::attention::softmax::rows::{Exact, ExactRows};
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

/// The weights of the keys that each query reads, by the exact probabilities: with everything that the input carries.
fn exact_weights<'a>(
    pattern: &'a (impl Pattern + ?Sized),
    input: &'a Input<'_>,
    exact: &'a dyn Exact,
    reads: Reads<'a>,
) -> impl Iterator<Item = Vec<(usize, f32)>> + 'a {
    (0..input.q.nrows()).map(move |i| {
        let row = exact.row(i);
        let keys: Vec<usize> = reads(i).into_iter().flatten().collect();
        // Of a softmax over these keys alone a sink keeps its share, which is what the keys leave of 1.
        let sink = input.terms.sink.map_or(0.0, |_| 1.0 - row.iter().sum::<f64>());
        let kept = keys.iter().map(|j| row[*j]).sum::<f64>() + sink;
        let whole = if pattern.renormalises() && kept > 0.0 { kept } else { 1.0 };
        keys.into_iter().map(|j| (j, (row[j] / whole) as f32)).collect()
    })
}

/// Softmax over the keys that are read, zeros elsewhere.
fn matrix(pattern: &(impl Pattern + ?Sized), input: &Input<'_>, exact: &dyn Exact) -> Array2<f32> {
    let reads = pattern.reads(input);
    let reads: Reads<'_> = &|i| reads(i, exact);
    let mut a = Array2::zeros((input.q.nrows(), input.k.nrows()));
    if pattern.needs_exact(input) {
        for (mut row, weights) in a.rows_mut().into_iter().zip(exact_weights(pattern, input, exact, reads)) {
            for (j, weight) in weights {
                row[j] = weight;
            }
        }
        return a;
    }
    product_into(a.view_mut(), 0.0, input.q, input.k.t(), input.scale, Threads::One);
    for (i, row) in a.rows_mut().into_iter().enumerate() {
        fill_others(row, &reads(i), 0, f32::NEG_INFINITY);
    }
    softmax_rows(a.view_mut());
    a
}

impl Choice<'_> {
    /// As [`Attention::matrix_beside`](crate::attention::Attention::matrix_beside).
    pub(in crate::attention) fn matrix(self, input: &Input<'_>, exact: &Array2<f64>) -> Array2<f32> {
        matrix(self.0, input, exact)
    }
}

impl<P: Pattern> Mechanism for P {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let (reads, exact) = (self.reads(input), ExactRows::of(input));
        let reads: Reads<'_> = &|i| reads(i, &exact);
        let shape = input.shape(v.ncols());
        if self.choosing(&shape).is_none() {
            return Ok(forward(input, v, reads, work));
        }
        work.count(self.cost(&shape));
        if self.needs_exact(input) {
            let mut out = Array2::zeros((shape.n, shape.d_v));
            for (mut row, weights) in
                out.rows_mut().into_iter().zip(exact_weights(self, input, &exact, reads))
            {
                for (j, weight) in weights {
                    row.scaled_add(weight, &v.row(j));
                }
            }
            return Ok(out);
        }
        Ok(forward(input, v, reads, &mut Work::default()))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        Ok(matrix(self, input, &ExactRows::of(input)))
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let read = (0..shape.n).map(self.counts(shape)).filter(|keys| *keys > 0);
        let (rows, pairs) = read.fold((0, 0), |(rows, pairs), keys| (rows + 1, pairs + keys));
        let reading = Cost::product(pairs, shape.d_h, 1)
            + Cost::softmax(rows, pairs)
            + Cost::product(pairs, 1, shape.d_v);
        self.choosing(shape).unwrap_or_default() + reading
    }

    fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        let keys: usize = (0..shape.n).map(self.counts(shape)).sum();
        Some((self.scanned(shape) + keys * (shape.d_h + shape.d_v)) as u64)
    }

    fn stochastic(&self) -> bool {
        self.renormalises()
    }

    fn l(&self) -> Option<usize> {
        Pattern::l(self)
    }

    fn fused(&self) -> Option<Fused> {
        Pattern::fused(self)
    }

    fn choice(&self) -> Option<Choice<'_>> {
        Some(Choice(self))
    }
}

/// Sorted keys as ranges.
pub(in crate::attention) fn runs(keys: &[usize]) -> Vec<Range<usize>> {
    keys.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[run.len() - 1] + 1).collect()
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
    use super::{merged, runs};

    #[test]
    fn keys_become_ranges() {
        assert_eq!(runs(&[0, 1, 2, 5, 7, 8]), [0..3, 5..6, 7..9]);
        assert!(runs(&[]).is_empty());
    }

    #[test]
    fn ranges_come_together_where_they_touch() {
        assert_eq!(merged(vec![5..9, 0..2, 2..3, 8..12, 4..4]), [0..3, 5..12]);
        assert!(merged(vec![]).is_empty());
    }
}
