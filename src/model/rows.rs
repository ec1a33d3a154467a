//! Work on rows of an array, in parallel.

use ndarray::ArrayViewMut2;
use rayon::prelude::*;

/// Hands each row of a (n, d) array to `work` as a slice, rows in parallel.
pub(super) fn each_row(mut x: ArrayViewMut2<'_, f32>, work: impl Fn(&mut [f32]) + Sync + Send) {
    let columns = x.ncols().max(1);
    if let Some(numbers) = x.as_slice_mut() {
        numbers.par_chunks_mut(columns).for_each(work);
        return;
    }
    let mut standard = x.as_standard_layout().into_owned();
    if let Some(numbers) = standard.as_slice_mut() {
        numbers.par_chunks_mut(columns).for_each(work);
    }
    x.assign(&standard);
}
