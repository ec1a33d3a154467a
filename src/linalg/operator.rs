//! Matrices that are never stored.

use std::ops::Range;

use ndarray::{Array2, ArrayViewMut2, s};

/// A matrix that computes its rows on request.
pub trait Operator: Sync {
    /// Rows and columns.
    fn shape(&self) -> (usize, usize);

    /// The columns outside of which these rows are 0, so that products may leave them out.
    fn support(&self, _rows: Range<usize>) -> Range<usize> {
        0..self.shape().1
    }

    /// Writes the rows of `range` into `out`, shape (`range.len()`, those of [`support`](Self::support)).
    fn rows(&self, range: Range<usize>, out: ArrayViewMut2<'_, f32>);
}

impl Operator for Array2<f32> {
    fn shape(&self) -> (usize, usize) {
        self.dim()
    }

    fn rows(&self, range: Range<usize>, mut out: ArrayViewMut2<'_, f32>) {
        out.assign(&self.slice(s![range, ..]));
    }
}
