//! Sums over rows, on all threads and always in the same order.

use ndarray::{ArrayView2, ArrayViewMut1};
use rayon::prelude::*;

/// Rows whose sums one thread takes at a time: what the order of additions depends on.
pub(super) const ROWS: usize = 256;

/// Adds the columns' sums of (n, d) to a vector (d).
pub(super) fn add_sums(mut sums: ArrayViewMut1<'_, f32>, x: ArrayView2<'_, f32>) {
    let width = x.ncols();
    let parts: Vec<Vec<f32>> = x
        .axis_chunks_iter(ndarray::Axis(0), ROWS)
        .into_par_iter()
        .map(|rows| {
            let mut part = vec![0.0; width];
            for row in rows.rows() {
                part.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            part
        })
        .collect();
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
}
