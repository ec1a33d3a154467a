//! Affine maps of rows.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::arrays::{copy, scatter};
use super::convert::multiply_into_new;
use super::gemm::{Threads, product_into, row_block};

/// `x w + bias`, shapes (n, in) and (in, out) to (n, out); without a bias, `x w`.
///
/// # Panics
/// If the shapes do not fit.
pub fn affine(x: ArrayView2<'_, f32>, w: ArrayView2<'_, f32>, bias: Option<&[f32]>) -> Array2<f32> {
    check(x, w, bias);
    let block = row_block(x.nrows());
    let mut y = Array2::uninit((x.nrows(), w.ncols()));
    let blocks = y.axis_chunks_iter_mut(Axis(0), block).into_par_iter();
    blocks.zip(x.into_axis_chunks_iter(Axis(0), block)).for_each(|(y, x)| of_block(x, w, bias, y));
    // SAFETY: the blocks cover all rows.
    unsafe { y.assume_init() }
}

/// `x w`, shapes (n, in) and (in, out) to (n, out), changed together with `beside` (n, out) by `after` while some rows of it
/// are in the cache: it is given the number of the first row, and those rows of the product and of `beside`.
///
/// # Panics
/// If the shapes do not fit, or `beside` is not in standard layout.
pub fn product_beside(
    x: ArrayView2<'_, f32>,
    w: ArrayView2<'_, f32>,
    beside: &mut Array2<f32>,
    after: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) -> Array2<f32> {
    check(x, w, None);
    assert_eq!(beside.dim(), (x.nrows(), w.ncols()), "shapes of a product");
    let block = row_block(x.nrows());
    let mut y = Array2::uninit((x.nrows(), w.ncols()));
    let blocks = y.axis_chunks_iter_mut(Axis(0), block).into_par_iter().enumerate();
    let blocks = blocks.zip(x.into_axis_chunks_iter(Axis(0), block));
    blocks.zip(beside.axis_chunks_iter_mut(Axis(0), block)).for_each(|(((at, mut y), x), mut beside)| {
        of_block(x, w, None, y.view_mut());
        // SAFETY: every element of this block was just written.
        let mut y = unsafe { y.assume_init() };
        let rows = y.as_slice_mut().zip(beside.as_slice_mut());
        let (y, beside) = rows.expect("rows of arrays in standard layout");
        after(at * block, y, beside);
    });
    // SAFETY: the blocks cover all rows.
    unsafe { y.assume_init() }
}

/// The same, split into heads (h, n, out / h), without an intermediate array of whole rows.
///
/// # Panics
/// If the shapes do not fit.
pub fn affine_heads(
    x: ArrayView2<'_, f32>,
    w: ArrayView2<'_, f32>,
    bias: Option<&[f32]>,
    heads: usize,
) -> Array3<f32> {
    check(x, w, bias);
    let (n, out) = (x.nrows(), w.ncols());
    assert_eq!(out % heads, 0, "columns in every head");
    let block = row_block(n);
    let mut y = Array3::uninit((heads, n, out / heads));
    let blocks = y.axis_chunks_iter_mut(Axis(1), block).into_par_iter();
    blocks.zip(x.into_axis_chunks_iter(Axis(0), block)).for_each(|(y, x)| {
        scatter(new_block(x, w, bias).view(), y);
    });
    // SAFETY: the blocks cover all rows, and `scatter` writes every element of a block.
    unsafe { y.assume_init() }
}

/// Rows that are not written yet.
type Uninit<'a> = ArrayViewMut2<'a, MaybeUninit<f32>>;

/// `between(x w1 + b1) w2 + b2`, shapes (n, in), (in, inner) and (inner, out) to (n, out): two maps with something between
/// them that works on rows. With `save` also `x w1 + b1`, shape (n, inner), which is otherwise never held as a whole.
///
/// `between` is given the number of the first row, the width of a row, and some rows, which it changes.
///
/// # Panics
/// If the shapes do not fit.
pub fn affine_pair(
    x: ArrayView2<'_, f32>,
    first: (ArrayView2<'_, f32>, &[f32]),
    between: impl Fn(usize, usize, &mut [f32]) + Sync,
    second: (ArrayView2<'_, f32>, &[f32]),
    save: bool,
) -> (Array2<f32>, Option<Array2<f32>>) {
    let width = first.0.ncols();
    check(x, first.0, Some(first.1));
    assert_eq!((width, second.0.ncols()), (second.0.nrows(), second.1.len()), "shapes of a product");
    let block = row_block(x.nrows());
    let mut y = Array2::uninit((x.nrows(), second.0.ncols()));
    let mut inner = save.then(|| Array2::uninit((x.nrows(), width)));
    let of_rows = |(at, x): (usize, ArrayView2<'_, f32>), y: Uninit<'_>, save: Option<Uninit<'_>>| {
        let mut rows = new_block(x, first.0, Some(first.1));
        let elements = rows.as_slice_mut().expect("rows of an array in standard layout");
        if let Some(mut save) = save {
            copy(save.as_slice_mut(), Some(elements));
        }
        between(at * block, width, elements);
        of_block(rows.view(), second.0, Some(second.1), y);
    };
    let blocks = x.into_axis_chunks_iter(Axis(0), block).into_par_iter().enumerate();
    let blocks = blocks.zip(y.axis_chunks_iter_mut(Axis(0), block));
    match &mut inner {
        Some(inner) => blocks
            .zip(inner.axis_chunks_iter_mut(Axis(0), block))
            .for_each(|((x, y), inner)| of_rows(x, y, Some(inner))),
        None => blocks.for_each(|(x, y)| of_rows(x, y, None)),
    }
    // SAFETY: the blocks cover all rows, and each wrote all of its own.
    unsafe { (y.assume_init(), inner.map(|inner| inner.assume_init())) }
}

/// How many arrays of how many elements [`affine_heads`] allocates beside its result (n rows of `out` columns) on so many
/// threads.
pub(crate) fn heads_space(n: usize, out: usize, threads: usize) -> (usize, usize) {
    let block = row_block(n);
    (n.div_ceil(block).min(threads), block.min(n) * out)
}

fn check(x: ArrayView2<'_, f32>, w: ArrayView2<'_, f32>, bias: Option<&[f32]>) {
    assert_eq!(x.ncols(), w.nrows(), "shapes of a product");
    assert!(bias.is_none_or(|bias| bias.len() == w.ncols()), "shapes of a product");
}

/// A block of rows of its own.
fn new_block(x: ArrayView2<'_, f32>, w: ArrayView2<'_, f32>, bias: Option<&[f32]>) -> Array2<f32> {
    let mut y = Array2::uninit((x.nrows(), w.ncols()));
    of_block(x, w, bias, y.view_mut());
    // SAFETY: every element was written.
    unsafe { y.assume_init() }
}

/// A block of rows, in standard layout: every element of `y` is written.
///
/// The bias is written just before the product is added to it: a separate pass that sets a wide result to zero or to the
/// bias takes a quarter of the product's time.
fn of_block(x: ArrayView2<'_, f32>, w: ArrayView2<'_, f32>, bias: Option<&[f32]>, mut y: Uninit<'_>) {
    let Some(bias) = bias else { return multiply_into_new(y, x, w) };
    let elements = y.as_slice_mut().expect("rows of an array in standard layout");
    for row in elements.chunks_exact_mut(bias.len().max(1)) {
        row.iter_mut().zip(bias).for_each(|(y, bias)| {
            y.write(*bias);
        });
    }
    // SAFETY: every element of every row was just written.
    product_into(unsafe { y.assume_init() }, 1.0, x, w, 1.0, Threads::One);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::arrays::split;
    use crate::linalg::gemm::product;

    #[test]
    fn is_a_product_and_a_bias() {
        for (n, inner, out) in [(1, 1, 2), (7, 3, 6), (1000, 4, 10), (0, 3, 2)] {
            let x = Array2::from_shape_fn((n, inner), |(i, j)| ((i * 7 + j * 3) % 11) as f32 - 5.0);
            let w = Array2::from_shape_fn((out, inner), |(i, j)| ((i * 5 + j * 2) % 13) as f32 - 6.0);
            let bias: Vec<f32> = (0..out).map(|i| i as f32).collect();
            let plain = product(x.view(), w.t(), Threads::One);
            assert_eq!(affine(x.view(), w.t(), None), plain);
            let with = &plain + &ndarray::ArrayView1::from(&bias);
            assert_eq!(affine(x.view(), w.t(), Some(&bias)), with);
            assert_eq!(affine_heads(x.view(), w.t(), Some(&bias), 2), split(with.view(), 2));
            // The bits of both maps by themselves.
            let (back, none) = (&w, vec![0.5; inner]);
            let between = |first: usize, width: usize, rows: &mut [f32]| {
                for (i, x) in rows.iter_mut().enumerate() {
                    *x *= 0.1 * (1 + first + i / width) as f32;
                }
            };
            let mut active = with.clone();
            between(0, out, active.as_slice_mut().unwrap());
            let expected = affine(active.view(), back.view(), Some(&none));
            for save in [false, true] {
                let (y, saved) = affine_pair(x.view(), (w.t(), &bias), between, (back.view(), &none), save);
                assert_eq!(y, expected);
                assert_eq!(saved, save.then(|| with.clone()));
            }
        }
    }
}
