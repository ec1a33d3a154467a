//! Matrix products of any layout: every product of the crate goes through this module.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Par};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, ShapeBuilder};
use rayon::prelude::*;

use super::convert::{by_faer, view, view_mut};

/// The two scalar types of the crate: f32 for forward passes, f64 for analysis.
///
/// The product is a method of the type, so that faer's generic code is compiled here once, and not in every crate that calls
/// [`product`].
pub trait Real: ndarray::NdFloat {
    /// `c = alpha a b`, or `c += alpha a b` where `add` says so, on the calling thread.
    fn multiply(
        c: ArrayViewMut2<'_, Self>,
        add: bool,
        a: ArrayView2<'_, Self>,
        b: ArrayView2<'_, Self>,
        alpha: Self,
    );
}

impl Real for f32 {
    fn multiply(
        c: ArrayViewMut2<'_, f32>,
        add: bool,
        a: ArrayView2<'_, f32>,
        b: ArrayView2<'_, f32>,
        alpha: f32,
    ) {
        by_faer(|| matmul(view_mut(c), accum(add), view(a), view(b), alpha, Par::Seq));
    }
}

impl Real for f64 {
    fn multiply(
        c: ArrayViewMut2<'_, f64>,
        add: bool,
        a: ArrayView2<'_, f64>,
        b: ArrayView2<'_, f64>,
        alpha: f64,
    ) {
        by_faer(|| matmul(view_mut(c), accum(add), view(a), view(b), alpha, Par::Seq));
    }
}

fn accum(add: bool) -> Accum {
    if add { Accum::Add } else { Accum::Replace }
}

/// How many threads one product may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread only: for work that is already parallel over heads or blocks.
    One,
    /// Every thread of the pool.
    All,
}

/// `a b`, shapes (n, d) and (d, m) to (n, m).
///
/// # Panics
/// If the inner lengths differ.
pub fn product<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, threads: Threads) -> Array2<T> {
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    product_into(c.view_mut(), T::zero(), a, b, T::one(), threads);
    c
}

/// `c = beta c + alpha a b`, with `beta` 0 or 1.
///
/// # Panics
/// If the shapes do not fit, or `beta` is neither 0 nor 1.
pub fn product_into<T: Real>(
    c: ArrayViewMut2<'_, T>,
    beta: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    alpha: T,
    threads: Threads,
) {
    assert!(beta == T::zero() || beta == T::one(), "beta is 0 or 1");
    assert_eq!((a.nrows(), a.ncols(), b.ncols()), (c.nrows(), b.nrows(), c.ncols()), "shapes of a product");
    let add = beta == T::one();
    let small = a.nrows().saturating_mul(a.ncols()).saturating_mul(b.ncols()) < SMALL;
    if threads == Threads::One || small {
        T::multiply(c, add, a, b, alpha);
    } else if by_rows(c.dim()) {
        let rows = c.into_axis_chunks_iter_mut(Axis(0), row_block(a.nrows())).into_par_iter();
        rows.zip(a.into_axis_chunks_iter(Axis(0), row_block(a.nrows()))).for_each(|(c, a)| {
            T::multiply(c, add, a, b, alpha);
        });
    } else {
        let columns = c.into_axis_chunks_iter_mut(Axis(1), column_block(b.ncols())).into_par_iter();
        columns.zip(b.into_axis_chunks_iter(Axis(1), column_block(b.ncols()))).for_each(|(c, b)| {
            T::multiply(c, add, a, b, alpha);
        });
    }
}

/// Multiply-adds below which starting other threads takes longer than the product.
const SMALL: usize = 1 << 18;

/// Rows of the result in one task, of `length`: a multiple of faer's tiles; eight tasks for a short result, and for a long
/// one so many that threads finish together. It depends on the shape only, so the number of threads changes no bit.
///
/// faer's own threads spin at barriers, which is slow where another process uses one of the cores. Tasks do not wait
/// for each other.
pub(super) fn row_block(length: usize) -> usize {
    (length / 24).max((length / 8).min(192)).next_multiple_of(48).clamp(48, 384)
}

/// Results with at least so many columns are split by columns, unless they are tall: each thread then packs only its own
/// part of `b`. Square products on 2 threads with AVX-512 reach 290 GFLOP/s this way, and 240 by rows.
const SPLIT_COLUMNS: usize = 480;

/// Whether a result of this shape is split into blocks of rows.
fn by_rows((rows, columns): (usize, usize)) -> bool {
    rows >= columns && (columns < SPLIT_COLUMNS || rows > 2 * columns)
}

/// As [`row_block`], for columns.
fn column_block(length: usize) -> usize {
    (length / 16).next_multiple_of(96).clamp(96, 384)
}

/// Makes the calling thread and every thread of the pool allocate the buffers that faer keeps for products: two for each
/// thread, of the size of the last-level cache, at its first product that is not tiny. Memory is measured after this.
pub fn warm_up() {
    let a = Array2::<f32>::zeros((64, 64));
    let multiply = || std::hint::black_box(product(a.view(), a.view(), Threads::One));
    multiply();
    rayon::broadcast(|_| multiply());
}

/// The lower triangle of `a a^T`, shape (n, m) to (n, n), in column-major layout; zeros above the diagonal.
pub fn gram_lower(a: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut g = Array2::zeros((a.nrows(), a.nrows()).f());
    by_faer(|| {
        triangular::matmul(
            view_mut(g.view_mut()),
            BlockStructure::TriangularLower,
            Accum::Replace,
            view(a),
            BlockStructure::Rectangular,
            view(a.t()),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
    });
    g
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn products_of_any_layout() {
        let a = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let ab = array![[14.0, 32.0], [32.0, 77.0]];
        assert_eq!(product(a.view(), a.t(), Threads::One), ab);
        assert_eq!(product(a.t(), a.view(), Threads::All), a.t().dot(&a));
        let g = gram_lower(a.view());
        assert_eq!(g, array![[14.0, 0.0], [32.0, 77.0]]);
        let mut c = ab.clone();
        product_into(c.view_mut(), 1.0, a.view(), a.t(), -1.0, Threads::One);
        assert_eq!(c, Array2::<f64>::zeros((2, 2)));
    }
}
