//! The weights of one head, for those who look at them, and rows without their padding.

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};

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

/// softmax(q k^T / `sqrt(d_h)`) of one head, queries (n, `d_h`) and keys (m, `d_h`), shape (n, m); zeros if m is 0.
pub(super) fn weights(q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut a = Array2::zeros((q.nrows(), k.nrows()));
    if !a.is_empty() {
        let scale = (1.0 / (q.ncols() as f64).sqrt()) as f32;
        product_into(a.view_mut(), 0.0, q, k.reversed_axes(), scale, Threads::One);
        softmax_rows(a.view_mut());
    }
    a
}
