//! The one seam between ndarray and faer: views of the same memory, no copies.
#![allow(unsafe_code)]

use faer::{MatMut, MatRef};
use ndarray::{ArrayView2, ArrayViewMut2};

/// An ndarray view as a faer view.
pub(crate) fn view<T>(a: ArrayView2<'_, T>) -> MatRef<'_, T> {
    let (rows, cols) = a.dim();
    let (row_stride, col_stride) = (a.strides()[0], a.strides()[1]);
    // SAFETY: pointer, shape and strides (both crates count strides in elements) describe memory that `a` borrows
    // for the lifetime of the result.
    unsafe { MatRef::from_raw_parts(a.as_ptr(), rows, cols, row_stride, col_stride) }
}

/// A mutable ndarray view as a mutable faer view.
pub(crate) fn view_mut<T>(mut a: ArrayViewMut2<'_, T>) -> MatMut<'_, T> {
    let (rows, cols) = a.dim();
    let (row_stride, col_stride) = (a.strides()[0], a.strides()[1]);
    let pointer = a.as_mut_ptr();
    // SAFETY: as for `view`, and `a` borrows the memory mutably; ndarray never hands out a mutable view whose
    // elements overlap.
    unsafe { MatMut::from_raw_parts_mut(pointer, rows, cols, row_stride, col_stride) }
}
