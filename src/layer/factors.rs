//! A head of Luna at work, watched: in the place of an n x n matrix it has the weights of its two steps.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use crate::attention::luna_causal::Decay;
use crate::linalg::gemm::{Threads, product, product_into};
use crate::linalg::operator::Operator;
use crate::linalg::softmax::softmax_rows;

/// The weights by which one head packs and unpacks, and the matrix that they make together.
///
/// With `A_u` the unpack weights (n, l) and `A_p` the pack weights (l, m):
///
/// - of [`LunaAttention`](super::LunaAttention) the matrix is `A_u A_p`, the product of two row-stochastic factors, of
///   rank l at most. `A_p` takes the head's pack values to its columns of `y_p` and `A_u` says how the rows of `y_p` are
///   mixed, so that `A_u A_p` is how *positions* are mixed. It is not the whole map of the layer: between the two, `y_p`
///   is joined over all heads and projected again (`c_proj`, or `k_proj` and `v_proj`), and the layer reads `A_u` times
///   that.
/// - of [`CausalLunaAttention`](super::CausalLunaAttention) the rows of `A_p` are the weights `W^T`, and row t of the
///   matrix is `(1 / t) a_t W^T` (with a decay, its average in the place of 1 / t) with the columns after t hidden:
///   exactly what the module applies to the head's values.
///   Its rows are not negative, and do not sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// `A_u`, shape (n, l), rows summing to 1.
    pub unpack: Array2<f32>,
    /// `A_p`, shape (l, m): rows summing to 1; if causal, weights of positions that no sum normalises.
    pub pack: Array2<f32>,
    /// Whether row t sees columns 0 to t only, in their average.
    pub causal: bool,
    /// How that average forgets; the mean without it.
    pub decay: Decay,
}

impl Factors {
    /// The matrix that both make together, shape (n, m).
    pub fn matrix(&self) -> Array2<f32> {
        let mut a = Array2::zeros(self.shape());
        self.rows(0..self.unpack.nrows(), a.view_mut());
        a
    }

    /// The rank that the matrix cannot exceed: l, or none where a mask cuts the product.
    pub fn rank(&self) -> Option<usize> {
        (!self.causal).then(|| self.pack.nrows())
    }

    /// What is read of values v (m, `d_v`), shape (n, `d_v`): the matrix times v.
    pub fn read(&self, v: ArrayView2<'_, f32>) -> Array2<f32> {
        if self.causal {
            return product(self.matrix().view(), v, Threads::One);
        }
        product(self.unpack.view(), product(self.pack.view(), v, Threads::One).view(), Threads::One)
    }
}

/// The inputs of one head of Luna's attention, and its weights.
pub(crate) struct WatchedHead {
    /// Queries that read, (n, `d_h`), not scaled.
    pub(crate) q: Array2<f32>,
    /// Keys of the positions, (m, `d_h`).
    pub(crate) k: Array2<f32>,
    /// Values of the positions, (m, `d_h`).
    pub(crate) v: Array2<f32>,
    /// The weights of both steps.
    pub(crate) factors: Factors,
}

/// softmax(q k^T / `sqrt(d_h)`) of one head, queries (n, `d_h`) and keys (m, `d_h`), shape (n, m); zeros if m is 0.
pub(super) fn softmax_weights(q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut a = Array2::zeros((q.nrows(), k.nrows()));
    if !a.is_empty() {
        let scale = (1.0 / (q.ncols() as f64).sqrt()) as f32;
        product_into(a.view_mut(), 0.0, q, k.reversed_axes(), scale, Threads::One);
        softmax_rows(a.view_mut());
    }
    a
}

impl Operator for Factors {
    fn shape(&self) -> (usize, usize) {
        (self.unpack.nrows(), self.pack.ncols())
    }

    fn rows(&self, range: Range<usize>, mut out: ArrayViewMut2<'_, f32>) {
        let first = range.start;
        product_into(
            out.view_mut(),
            0.0,
            self.unpack.slice(s![range, ..]),
            self.pack.view(),
            1.0,
            Threads::One,
        );
        if !self.causal {
            return;
        }
        for (i, row) in out.rows_mut().into_iter().enumerate() {
            let seen = (first + i + 1).min(row.len());
            self.decay.average(row, seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_matrix_by_hand() {
        let unpack = array![[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]];
        let pack = array![[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]];
        let full = Factors { unpack, pack, causal: false, decay: Decay::NONE };
        assert_eq!(full.matrix(), array![[1.0, 0.0, 0.0], [0.5, 0.25, 0.25], [0.0, 0.5, 0.5]]);
        assert_eq!(full.rank(), Some(2));
        let causal = Factors { causal: true, ..full };
        let third = 0.5 / 3.0;
        assert_eq!(causal.matrix(), array![[1.0, 0.0, 0.0], [0.25, 0.125, 0.0], [0.0, third, third]]);
        assert_eq!(causal.rank(), None);
        let mut rows = Array2::from_elem((2, 3), f32::NAN);
        causal.rows(1..3, rows.view_mut());
        assert_eq!(rows, causal.matrix().slice(s![1.., ..]));
    }
}
