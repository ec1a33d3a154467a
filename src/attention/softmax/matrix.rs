//! Softmax attention matrices: in f32, in f64, of logits, and as an operator that never keeps one.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::terms;
use crate::attention::{Input, Mask, Visible};
use crate::linalg::gemm::{Threads, product, product_into};
use crate::linalg::krylov::Operator;
use crate::linalg::softmax::{softmax_rows, softmax_rows_causal_from};

/// The attention matrix (n, m) of queries (n, `d_h`) and keys (m, `d_h`) in f32, on the calling thread.
pub fn matrix(q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>, scale: f32, mask: Mask) -> Array2<f32> {
    let mut a = Array2::zeros((q.nrows(), k.nrows()));
    rows(q, k, scale, mask, 0, a.view_mut());
    a
}

/// The attention matrix in f64 from the logits on: for spectra whose small values matter.
pub fn matrix_f64(q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>, scale: f64, mask: Mask) -> Array2<f64> {
    let logits = product(q.mapv(f64::from).view(), k.mapv(f64::from).t(), Threads::One) * scale;
    from_logits(logits, mask)
}

/// As [`matrix_f64`], of everything that an input carries.
pub fn matrix_of(input: &Input<'_>) -> Array2<f64> {
    if input.terms.set().next().is_some() {
        return terms::matrix_f64(input);
    }
    matrix_f64(input.q, input.k, f64::from(input.scale), input.mask)
}

/// Softmax over the visible part of each row of logits (n, m), in f64; the rest becomes 0.
pub fn from_logits(mut logits: Array2<f64>, mask: Mask) -> Array2<f64> {
    let m = logits.ncols();
    for (i, mut row) in logits.rows_mut().into_iter().enumerate() {
        let (mut seen, mut hidden) = row.view_mut().split_at(ndarray::Axis(0), mask.visible(i, m));
        let max = seen.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
        seen.mapv_inplace(|x| (x - max).exp());
        let sum = seen.sum();
        seen.mapv_inplace(|x| x / sum);
        hidden.fill(0.0);
    }
    logits
}

/// Softmax of logits over the keys that each query sees; what it does not see keeps the value that `matrix` (n, m) has
/// there (0, as a rule).
pub fn within(matrix: &mut Array2<f64>, logits: ArrayView2<'_, f64>, visible: &Visible) {
    let m = matrix.ncols();
    for (i, (mut row, logits)) in matrix.rows_mut().into_iter().zip(logits.rows()).enumerate() {
        let seen = || visible.row(i, m).flatten();
        let max = seen().fold(f64::NEG_INFINITY, |max, j| max.max(logits[j]));
        let mut sum = 0.0;
        for j in seen() {
            row[j] = (logits[j] - max).exp();
            sum += row[j];
        }
        seen().for_each(|j| row[j] /= sum);
    }
}

/// Rows `first..first + q.nrows()` of the attention matrix, into `out` (rows, m).
fn rows(
    q: ArrayView2<'_, f32>,
    k: ArrayView2<'_, f32>,
    scale: f32,
    mask: Mask,
    first: usize,
    mut out: ArrayViewMut2<'_, f32>,
) {
    match mask {
        Mask::Full => {
            product_into(out.view_mut(), 0.0, q, k.t(), scale, Threads::One);
            softmax_rows(out);
        }
        Mask::Causal => {
            let seen = (first + q.nrows()).min(k.nrows());
            let keys = k.slice(s![..seen, ..]);
            product_into(out.slice_mut(s![.., ..seen]), 0.0, q, keys.t(), scale, Threads::One);
            softmax_rows_causal_from(out, first);
        }
    }
}

/// An attention matrix that is never kept: its rows are computed again whenever they are needed.
#[derive(Clone, Copy, Debug)]
pub struct Unmaterialised<'a> {
    /// Queries (n, `d_h`).
    pub q: ArrayView2<'a, f32>,
    /// Keys (m, `d_h`).
    pub k: ArrayView2<'a, f32>,
    /// What the logits are multiplied by, usually `1 / sqrt(d_h)`.
    pub scale: f32,
    /// Which keys each query sees.
    pub mask: Mask,
}

impl Operator for Unmaterialised<'_> {
    fn shape(&self) -> (usize, usize) {
        (self.q.nrows(), self.k.nrows())
    }

    fn rows(&self, range: Range<usize>, out: ArrayViewMut2<'_, f32>) {
        rows(self.q.slice(s![range.clone(), ..]), self.k, self.scale, self.mask, range.start, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};

    #[test]
    fn f32_f64_and_tiles_agree() {
        let mut rng = stream(3, "softmax");
        let (q, k) = (normal(&mut rng, 33, 8), normal(&mut rng, 33, 8));
        for mask in [Mask::Full, Mask::Causal] {
            let whole = matrix(q.view(), k.view(), 0.7, mask);
            let exact = matrix_f64(q.view(), k.view(), f64::from(0.7_f32), mask);
            let far = (&whole.mapv(f64::from) - &exact).fold(0.0_f64, |far, x| far.max(x.abs()));
            assert!(far < 1e-6, "{mask:?}: {far}");
            let lazy = Unmaterialised { q: q.view(), k: k.view(), scale: 0.7, mask };
            let mut tile = Array2::from_elem((10, 33), f32::NAN);
            lazy.rows(20..30, tile.view_mut());
            let far = (&tile - &whole.slice(s![20..30, ..])).fold(0.0_f32, |far, x| far.max(x.abs()));
            assert!(far < 1e-6, "{mask:?}: {far}");
        }
    }
}
