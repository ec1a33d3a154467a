//! Large arrays allocated, copied and added by all threads: work limited by memory rather than by arithmetic.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use ndarray::{Array, Array2, Array3, ArrayView2, ArrayView3, Axis, Dimension, ShapeBuilder};
use rayon::prelude::*;

/// Elements of one task.
const CHUNK: usize = 1 << 16;
/// Rows of one task.
pub(super) const ROWS: usize = 256;

/// Zeros of a shape.
#[allow(clippy::missing_panics_doc)] // a new array is contiguous
pub fn zeros<D: Dimension>(dim: impl ShapeBuilder<Dim = D>) -> Array<f32, D> {
    let mut x = Array::uninit(dim);
    let elements = x.as_slice_memory_order_mut().expect("a contiguous array");
    elements.par_chunks_mut(CHUNK).for_each(|elements| elements.fill(MaybeUninit::new(0.0)));
    // SAFETY: every element was written.
    unsafe { x.assume_init() }
}

/// A copy.
pub fn copied<D: Dimension>(x: &Array<f32, D>) -> Array<f32, D> {
    copied_with(x, |_, _| ())
}

/// A copy that `work` has changed, part by part while it is in the cache: it is given the number of the first element of a
/// part, in the order of rows, and the part.
#[allow(clippy::missing_panics_doc)] // a new array is in standard layout
pub fn copied_with<D: Dimension>(
    x: &Array<f32, D>,
    work: impl Fn(usize, &mut [f32]) + Sync,
) -> Array<f32, D> {
    let mut y = Array::uninit(x.raw_dim());
    let x = x.as_standard_layout();
    let to = y.as_slice_mut().expect("a new array").par_chunks_mut(CHUNK).enumerate();
    let from = x.as_slice().expect("in standard layout").par_chunks(CHUNK);
    to.zip(from).for_each(|((at, to), from)| {
        copy(Some(&mut *to), Some(from));
        // SAFETY: every element of this part was just written, and f32 has the layout of MaybeUninit<f32>.
        let to = unsafe { &mut *(std::ptr::from_mut(to) as *mut [f32]) };
        work(at * CHUNK, to);
    });
    // SAFETY: the parts cover all elements.
    unsafe { y.assume_init() }
}

/// Hands every part of x to `work`, on all threads: the number of its first element, in the order of rows, and the part.
///
/// # Panics
/// If x is not in standard layout.
pub fn each_part<D: Dimension>(x: &mut Array<f32, D>, work: impl Fn(usize, &mut [f32]) + Sync) {
    let parts = x.as_slice_mut().expect("in standard layout").par_chunks_mut(CHUNK).enumerate();
    parts.for_each(|(at, part)| work(at * CHUNK, part));
}

/// `x += y`.
///
/// # Panics
/// If the shapes differ.
pub fn add<D: Dimension>(x: &mut Array<f32, D>, y: &Array<f32, D>) {
    assert_eq!(x.shape(), y.shape(), "shapes of a sum");
    match (x.as_slice_mut(), y.as_slice()) {
        (Some(x), Some(y)) => x.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(x, y)| {
            x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        }),
        _ => *x += y,
    }
}

/// Rows (n, h w) as heads (h, n, w).
pub fn split(x: ArrayView2<'_, f32>, heads: usize) -> Array3<f32> {
    let (n, width) = (x.nrows(), x.ncols() / heads);
    let mut out = Array3::uninit((heads, n, width));
    let blocks = out.axis_chunks_iter_mut(Axis(1), ROWS).into_par_iter();
    blocks.zip(x.axis_chunks_iter(Axis(0), ROWS)).for_each(|(mut out, x)| scatter(x, out.view_mut()));
    // SAFETY: the blocks cover all rows, and `scatter` writes every element of a block.
    unsafe { out.assume_init() }
}

/// Writes rows (n, h w) as heads (h, n, w): every element of `out`.
pub(super) fn scatter(x: ArrayView2<'_, f32>, mut out: ndarray::ArrayViewMut3<'_, MaybeUninit<f32>>) {
    let width = out.dim().2;
    for (mut head, columns) in out.outer_iter_mut().zip(x.axis_chunks_iter(Axis(1), width.max(1))) {
        for (mut to, from) in head.rows_mut().into_iter().zip(columns.rows()) {
            copy(to.as_slice_mut(), from.as_slice());
        }
    }
}

/// Heads (h, n, w) as rows (n, h w).
pub fn join(x: ArrayView3<'_, f32>) -> Array2<f32> {
    let (heads, n, width) = x.dim();
    let mut out = Array2::uninit((n, heads * width));
    let blocks = out.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter();
    blocks.zip(x.axis_chunks_iter(Axis(1), ROWS)).for_each(|(mut out, x)| {
        for (mut columns, head) in out.axis_chunks_iter_mut(Axis(1), width.max(1)).zip(x.outer_iter()) {
            for (mut to, from) in columns.rows_mut().into_iter().zip(head.rows()) {
                copy(to.as_slice_mut(), from.as_slice());
            }
        }
    });
    // SAFETY: the blocks cover all rows, and each head wrote its columns of them.
    unsafe { out.assume_init() }
}

/// # Panics
/// If a row is not contiguous, or the lengths differ: every element must be written.
pub(super) fn copy(to: Option<&mut [MaybeUninit<f32>]>, from: Option<&[f32]>) {
    let (to, from) = to.zip(from).expect("contiguous rows");
    assert_eq!(to.len(), from.len(), "rows of one length");
    to.iter_mut().zip(from).for_each(|(to, from)| {
        to.write(*from);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_columns_of_rows_and_back() {
        for (n, heads, width) in [(1, 1, 1), (700, 3, 5), (2, 4, 0), (0, 2, 3)] {
            let x = Array2::from_shape_fn((n, heads * width), |(i, j)| (i * 100 + j) as f32);
            let split = split(x.view(), heads);
            assert_eq!(split.dim(), (heads, n, width));
            assert!(split.indexed_iter().all(|((h, i, j), found)| *found == x[[i, h * width + j]]));
            assert_eq!(join(split.view()), x);
        }
        assert_eq!(zeros((3, 50_000)), Array2::<f32>::zeros((3, 50_000)));
    }

    #[test]
    fn parts_are_those_of_rows() {
        for (n, width) in [(3, 50_000), (1, 1), (0, 4)] {
            let x = Array2::from_shape_fn((n, width), |(i, j)| (i * width + j) as f32);
            let number = |first: usize, part: &mut [f32]| {
                for (i, x) in part.iter_mut().enumerate() {
                    assert_eq!(*x, (first + i) as f32);
                    *x += 1.0;
                }
            };
            assert_eq!(copied_with(&x, number), &x + 1.0);
            let mut changed = copied(&x);
            each_part(&mut changed, number);
            assert_eq!(changed, &x + 1.0);
            // Of an array in another layout: the same elements in the order of rows.
            assert_eq!(
                copied_with(&x.t().as_standard_layout().into_owned().reversed_axes(), number),
                &x + 1.0
            );
        }
    }
}
