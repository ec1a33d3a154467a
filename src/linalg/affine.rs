//! Affine maps of rows.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::arrays::scatter;
use super::gemm::{Threads, product_into, row_block};

/// `x w + bias`, shapes (n, in) and (in, out) to (n, out); without a bias, `x w`.
///
/// Each task initialises its own block of the result, just before it is needed: a separate pass that sets a wide result to
/// zero or to the bias takes a quarter of the product's time.
///
/// # Panics
/// If the shapes do not fit.
pub fn affine(x: ArrayView2<'_, f32>, w: ArrayView2<'_, f32>, bias: Option<&[f32]>) -> Array2<f32> {
    check(x, w, bias);
    let block = row_block(x.nrows());
    let mut y = Array2::uninit((x.nrows(), w.ncols()));
    let blocks = y.axis_chunks_iter_mut(Axis(0), block).into_par_iter();
    blocks.zip(x.into_axis_chunks_iter(Axis(0), block)).for_each(|(mut y, x)| {
        y.fill(MaybeUninit::new(0.0));
        // SAFETY: every element of this block was just written.
        of_block(x, w, bias, unsafe { y.assume_init() });
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
        let mut rows = Array2::zeros((x.nrows(), out));
        of_block(x, w, bias, rows.view_mut());
        scatter(rows.view(), y);
    });
    // SAFETY: the blocks cover all rows, and `scatter` writes every element of a block.
    unsafe { y.assume_init() }
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

/// A block of rows; `y` holds zeros.
fn of_block(
    x: ArrayView2<'_, f32>,
    w: ArrayView2<'_, f32>,
    bias: Option<&[f32]>,
    mut y: ArrayViewMut2<'_, f32>,
) {
    if let Some(bias) = bias {
        let elements = y.as_slice_mut().expect("rows of an array in standard layout");
        elements.chunks_exact_mut(bias.len().max(1)).for_each(|row| row.copy_from_slice(bias));
    }
    product_into(y, 1.0, x, w, 1.0, Threads::One);
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
        }
    }
}
