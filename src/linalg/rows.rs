//! Work on the rows of an array, in parallel.

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Rows that one thread sums at a time: the order of additions depends on it.
pub(crate) const ROWS: usize = 256;

/// Hands each row of a (n, d) array to `work` as a slice, rows in parallel.
pub(crate) fn each_row(mut x: ArrayViewMut2<'_, f32>, work: impl Fn(&mut [f32]) + Sync + Send) {
    let columns = x.ncols().max(1);
    if let Some(elements) = x.as_slice_mut() {
        elements.par_chunks_mut(columns).for_each(work);
        return;
    }
    let mut standard = x.as_standard_layout().into_owned();
    if let Some(elements) = standard.as_slice_mut() {
        elements.par_chunks_mut(columns).for_each(work);
    }
    x.assign(&standard);
}

/// Adds the sum of each column of x (n, d) to `sums` (d), on all threads and always in the same order.
pub(crate) fn add_column_sums(mut sums: ArrayViewMut1<'_, f32>, x: ArrayView2<'_, f32>) {
    let width = x.ncols();
    let parts: Vec<Vec<f32>> = x
        .axis_chunks_iter(ndarray::Axis(0), ROWS)
        .into_par_iter()
        .map(|rows| {
            let mut part = vec![0.0; width];
            let rows = rows.as_standard_layout();
            let rows = rows.as_slice().expect("in standard layout");
            pulp::Arch::new().dispatch(ColumnSums { rows, sums: &mut part });
            part
        })
        .collect();
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
}

/// Adds rows, one after another, to sums of their columns. A type and not a closure, for the reason given in
/// `linalg::softmax`.
struct ColumnSums<'a> {
    rows: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact(self.sums.len().max(1)) {
            self.sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
}
