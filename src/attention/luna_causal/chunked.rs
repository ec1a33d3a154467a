//! A block of tokens at a time: what came before the block through the running sums, what is in it under a triangular
//! mask.

use ndarray::{Array2, ArrayView2, s};

use crate::linalg::gemm::{Threads, product, product_into};
use crate::linalg::softmax::softmax_rows;

/// The outputs (n, `d_v`) by matrix products over blocks of `chunk` tokens.
///
/// Arguments as for [`sequential()`](super::sequential()), whose numbers these are up to rounding. Memory beside the
/// outputs: O(l (`d_h` + `d_v`) + chunk (l + `d_v` + chunk)). The authors' code has no such form.
///
/// # Panics
/// If the shapes do not fit each other, or `chunk` is 0.
pub fn chunked(
    q: ArrayView2<'_, f32>,
    k: ArrayView2<'_, f32>,
    w: ArrayView2<'_, f32>,
    v: ArrayView2<'_, f32>,
    chunk: usize,
) -> Array2<f32> {
    assert!(chunk > 0, "a chunk holds a token or more");
    let (n, l) = w.dim();
    assert_eq!(
        (n, n, n),
        (q.nrows(), k.nrows(), v.nrows()),
        "a query, a key and a value for each row of weights"
    );
    let mut keys = Array2::zeros((k.ncols(), l));
    let mut values = Array2::zeros((l, v.ncols()));
    let mut out = Array2::zeros((n, v.ncols()));
    for start in (0..n).step_by(chunk) {
        let block = start..(start + chunk).min(n);
        let [q, k, w, v] = [q, k, w, v].map(|x| x.slice_move(s![block.clone(), ..]));
        // logits of the block, then its outputs: sum_{j<=t} (q_t . k_j) W_j, and sum_{j<=t} (A_t . W_j) v_j
        let mut share = Array2::zeros((block.len(), l));
        means_until(share.view_mut(), q, keys.view(), (k, w), start);
        softmax_rows(share.view_mut());
        means_until(out.slice_mut(s![block, ..]), share.view(), values.view(), (w, v), start);
        product_into(keys.view_mut(), 1.0, k.t(), w, 1.0, Threads::One);
        product_into(values.view_mut(), 1.0, w.t(), v, 1.0, Threads::One);
    }
    out
}

/// Row t of the block: `x_t . (1/t) sum_{j<=t} y_j^T z_j`, with the `start` tokens before the block in `before`.
fn means_until(
    mut out: ndarray::ArrayViewMut2<'_, f32>,
    x: ArrayView2<'_, f32>,
    before: ArrayView2<'_, f32>,
    (y, z): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
    start: usize,
) {
    let mut inside = product(x, y.t(), Threads::One);
    for (t, mut row) in inside.rows_mut().into_iter().enumerate() {
        row.slice_mut(s![t + 1..]).fill(0.0);
    }
    product_into(out.view_mut(), 0.0, x, before, 1.0, Threads::One);
    product_into(out.view_mut(), 1.0, inside.view(), z, 1.0, Threads::One);
    for (t, mut row) in out.rows_mut().into_iter().enumerate() {
        row /= (start + t + 1) as f32;
    }
}
