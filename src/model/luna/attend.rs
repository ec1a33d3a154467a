//! Softmax attention of heads that lie side by side, and rows without their padding.

use ndarray::{Array2, ArrayRef2, ArrayView2, Axis, CowArray, Ix2, s};
use rayon::prelude::*;

use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::softmax::softmax_rows;
use crate::{Error, Result};

/// Rows that are not padding, in their order; `None` if none is.
pub(super) fn real_rows(what: &str, rows: usize, padding: Option<&[bool]>) -> Result<Option<Vec<usize>>> {
    let Some(padding) = padding.filter(|padding| padding.len() != rows || padding.contains(&true)) else {
        return Ok(None);
    };
    if padding.len() != rows {
        let expected = format!("({rows}), one for each row");
        return Err(Error::Shape {
            what: format!("padding of {what}"),
            found: vec![padding.len()],
            expected,
        });
    }
    Ok(Some((0..rows).filter(|row| !padding[*row]).collect()))
}

/// These rows of an array, or all of them.
pub(super) fn kept<'a>(x: ArrayView2<'a, f32>, rows: Option<&[usize]>) -> CowArray<'a, f32, Ix2> {
    match rows {
        Some(rows) => x.select(Axis(0), rows).into(),
        None => x.into(),
    }
}

/// softmax(q k^T / `sqrt(d_h)`) of one head out of queries (n, d) and keys (m, d), shape (n, m); zeros if m is 0.
pub(super) fn weights(q: &ArrayRef2<f32>, k: &ArrayRef2<f32>, heads: usize, head: usize) -> Array2<f32> {
    let d_h = q.ncols() / heads;
    let columns = s![.., head * d_h..(head + 1) * d_h];
    let mut a = Array2::zeros((q.nrows(), k.nrows()));
    if !a.is_empty() {
        let scale = (1.0 / (d_h as f64).sqrt()) as f32;
        product_into(
            a.view_mut(),
            0.0,
            q.slice(columns),
            k.slice(columns).reversed_axes(),
            scale,
            Threads::One,
        );
        softmax_rows(a.view_mut());
    }
    a
}

/// Attention of queries (n, d) over keys and values (m, d), heads side by side and in parallel, shape (n, d); without
/// any key, zeros.
pub(super) fn attend(
    q: &ArrayRef2<f32>,
    k: &ArrayRef2<f32>,
    v: &ArrayRef2<f32>,
    heads: usize,
) -> Array2<f32> {
    let mut out = Array2::zeros(q.raw_dim());
    if out.is_empty() || k.is_empty() {
        return out;
    }
    let d_h = q.ncols() / heads;
    out.axis_chunks_iter_mut(Axis(1), d_h).into_par_iter().enumerate().for_each(|(head, out)| {
        let a = weights(q, k, heads, head);
        product_into(out, 0.0, a.view(), v.slice(s![.., head * d_h..(head + 1) * d_h]), 1.0, Threads::One);
    });
    out
}
