//! The Gram matrix of a matrix in f64, in coordinates whose first is any one that is asked for.

use ndarray::{ArrayView2, Axis, Slice};
use pulp::Arch;

use super::gemm::Threads;
use super::householder::Reflection;
use super::tile::{Packed, TERMS, UpperUpdate};
use crate::error::Result;

/// Columns of the matrix in one block of the product: their panels fit in the cache.
const DEPTH: usize = 128;

/// What is allocated for a Gram matrix, to be used again: new pages of memory take as long as a third of the product at n = 512.
#[derive(Default)]
pub(super) struct Work {
    /// The matrix: see [`reflected`].
    pub(super) gram: Vec<f64>,
    block: Vec<f64>,
    packed: Packed,
}

/// A matrix less two outer products: `B = a - rows 1^T - first columns^T`, (n, m).
#[derive(Clone, Copy)]
pub(super) struct Less<'a, T> {
    pub(super) a: ArrayView2<'a, T>,
    /// (n).
    pub(super) rows: &'a [f64],
    /// (n).
    pub(super) first: &'a [f64],
    /// (m).
    pub(super) columns: &'a [f64],
}

/// `H A A^T H` for `A = a - rows 1^T` and the reflection `H` that maps `first` to a multiple of `e_1`: on and above the diagonal of
/// the row-major matrix `work.gram` (n, n). What is below it has no meaning.
///
/// It is made from `H B`, which differs from `H A` in the first row alone: however large `first columns^T` is, the other rows
/// are exact relative to `B`. `alive` is called for every block.
pub(super) fn reflected<T: Copy + Into<f64>>(
    of: Less<'_, T>,
    work: &mut Work,
    threads: Threads,
    alive: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let (n, m) = of.a.dim();
    let arch = Arch::new();
    let mut v = of.first.to_vec();
    let Reflection { tau, beta, .. } = Reflection::of(&mut v, 0.0);
    let product = weighted_sums(of, &v);
    let Work { gram, block, packed } = work;
    gram.clear();
    gram.resize(n * n, 0.0);
    for start in (0..m).step_by(DEPTH) {
        alive()?;
        let k = DEPTH.min(m - start);
        let (product, columns) = (&product[start..][..k], &of.columns[start..][..k]);
        block.clear();
        arch.dispatch(|| {
            let rows = of.a.slice_axis(Axis(1), Slice::from(start..start + k));
            for (i, row) in rows.rows().into_iter().enumerate() {
                let (less, first, weight) = (of.rows[i], of.first[i], -tau * v[i]);
                let rest = product.iter().zip(columns);
                let entry =
                    |(x, (y, column)): (&T, (&f64, &f64))| ((*x).into() - less) - first * column + weight * y;
                match row.as_slice() {
                    Some(row) => block.extend(row.iter().zip(rest).map(entry)),
                    None => block.extend(row.iter().zip(rest).map(entry)),
                }
            }
        });
        block.iter_mut().zip(columns).for_each(|(x, column)| *x += beta * column);
        packed.fill(block, k);
        UpperUpdate { c: gram, ldc: n, k, left: block, right: packed, alpha: 1.0 }.apply(arch, threads);
    }
    Ok(())
}

/// `B^T v`, (n, m) and (n) to (m).
fn weighted_sums<T: Copy + Into<f64>>(of: Less<'_, T>, v: &[f64]) -> Vec<f64> {
    let mut total = vec![0.0; of.a.ncols()];
    let mut sums = vec![0.0; of.a.ncols()];
    Arch::new().dispatch(|| {
        for (part, rows) in of.a.axis_chunks_iter(Axis(0), TERMS).enumerate() {
            sums.fill(0.0);
            for (i, row) in rows.rows().into_iter().enumerate() {
                let i = part * TERMS + i;
                let (less, first, v) = (of.rows[i], of.first[i], v[i]);
                let rest = sums.iter_mut().zip(of.columns);
                let add = |(x, (sum, column)): (&T, (&mut f64, &f64))| {
                    *sum += v * (((*x).into() - less) - first * column);
                };
                match row.as_slice() {
                    Some(row) => row.iter().zip(rest).for_each(add),
                    None => row.iter().zip(rest).for_each(add),
                }
            }
            for (total, sum) in total.iter_mut().zip(&sums) {
                *total += sum;
            }
        }
    });
    total
}

/// The mean of the rows of `a`, (n, m) to (m). That of many rows is rounded; its error is the mean of what is left of them.
pub(super) fn mean_row<T: Copy + Into<f64>>(a: ArrayView2<'_, T>) -> Vec<f64> {
    let (zeros, ones) = (vec![0.0; a.nrows()], vec![1.0; a.nrows()]);
    let mut mean = vec![0.0; a.ncols()];
    for _ in 0..2 {
        let sums = weighted_sums(Less { a, rows: &zeros, first: &ones, columns: &mean }, &ones);
        mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum / a.nrows() as f64);
    }
    mean
}
