//! Work on rows of an array, in parallel.

use ndarray::Array2;
use rayon::prelude::*;

/// Hands each row of a (n, d) array to `work` as a slice, rows in parallel.
pub(super) fn each_row(x: &mut Array2<f32>, work: impl Fn(&mut [f32]) + Sync + Send) {
    if !x.is_standard_layout() {
        *x = x.as_standard_layout().into_owned();
    }
    let columns = x.ncols().max(1);
    if let Some(numbers) = x.as_slice_mut() {
        numbers.par_chunks_mut(columns).for_each(work);
    }
}
