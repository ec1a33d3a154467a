//! The door from layers to the fused kernels: exact attention of heads, counted where that is asked.

use ndarray::{Array2, Array3, ArrayView3, Axis, s};

use super::linear::Count;
use crate::Result;
use crate::attention::{Arrays, Attention, Heads, Mask, fused};
use crate::cost::{Cost, Shape};

/// Softmax attention of queries (h, n, `d_h`) over keys and values (h, m, `d_h`) without an n x m array, shape
/// (h, n, `d_h`); without any key, zeros.
pub(super) fn softmax(
    q: ArrayView3<'_, f32>,
    k: ArrayView3<'_, f32>,
    v: ArrayView3<'_, f32>,
    count: Count<'_>,
) -> Result<Array3<f32>> {
    let mut out = Array3::zeros(q.raw_dim());
    let heads = Heads::new(q, k, v, Mask::Full);
    fused("softmax", None)?.forward_into(count, &heads, &Arrays::none(), out.view_mut())?;
    Ok(out)
}

/// What one head of a mechanism costs, by its closed form; `l` is read by those that take one.
pub(super) fn cost(name: &str, l: usize, shape: &Shape) -> Cost {
    if shape.n == 0 || shape.m == 0 {
        return Cost::default();
    }
    let attention = Attention::plain(name, Some(l).filter(|l| *l > 0));
    attention.map(|attention| attention.cost(shape)).unwrap_or_default()
}

/// Heads (h, n, `d_h`) side by side, shape (n, h `d_h`).
pub(super) fn join(heads: ArrayView3<'_, f32>) -> Array2<f32> {
    let (h, n, width) = heads.dim();
    let mut rows = Array2::zeros((n, h * width));
    for (head, from) in heads.axis_iter(Axis(0)).enumerate() {
        rows.slice_mut(s![.., head * width..(head + 1) * width]).assign(&from);
    }
    rows
}
