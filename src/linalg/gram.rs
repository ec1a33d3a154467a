//! The Gram matrix of an f32 matrix in f64, in coordinates whose first is the mean of its rows.

use ndarray::{ArrayView2, Axis, Slice};
use pulp::Arch;

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

/// `H A A^T H` for the reflection `H` that maps `first` (any length of vector but zero) to a multiple of `e_1`: on and above the
/// diagonal of the row-major matrix `work.gram` (n, n). What is below it has no meaning.
///
/// `alive` is called for every block.
pub(super) fn reflected(
    a: ArrayView2<'_, f32>,
    first: &[f64],
    work: &mut Work,
    alive: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let (n, m) = a.dim();
    let arch = Arch::new();
    let mut v = first.to_vec();
    let tau = Reflection::of(&mut v, 0.0).tau;
    let product = weighted_sums(a, &v);
    let Work { gram, block, packed } = work;
    gram.clear();
    gram.resize(n * n, 0.0);
    for start in (0..m).step_by(DEPTH) {
        alive()?;
        let k = DEPTH.min(m - start);
        block.clear();
        arch.dispatch(|| {
            for (row, v) in a.slice_axis(Axis(1), Slice::from(start..start + k)).rows().into_iter().zip(&v) {
                let (weight, product) = (-tau * v, &product[start..]);
                match row.as_slice() {
                    Some(row) => {
                        block.extend(row.iter().zip(product).map(|(x, y)| f64::from(*x) + weight * y));
                    }
                    None => block.extend(row.iter().zip(product).map(|(x, y)| f64::from(*x) + weight * y)),
                }
            }
        });
        packed.fill(block, k);
        arch.dispatch(UpperUpdate { c: gram, ldc: n, k, left: block, right: packed, alpha: 1.0 });
    }
    Ok(())
}

/// `A^T v`, (n, m) and (n) to (m).
fn weighted_sums(a: ArrayView2<'_, f32>, v: &[f64]) -> Vec<f64> {
    let mut total = vec![0.0; a.ncols()];
    let mut sums = vec![0.0; a.ncols()];
    Arch::new().dispatch(|| {
        for (rows, v) in a.axis_chunks_iter(Axis(0), TERMS).zip(v.chunks(TERMS)) {
            sums.fill(0.0);
            for (row, v) in rows.rows().into_iter().zip(v) {
                match row.as_slice() {
                    Some(row) => sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += v * f64::from(*x)),
                    None => sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += v * f64::from(*x)),
                }
            }
            for (total, sum) in total.iter_mut().zip(&sums) {
                *total += sum;
            }
        }
    });
    total
}

/// The sums of the columns of `a`, (n, m) to (m).
pub(super) fn column_sums(a: ArrayView2<'_, f32>) -> Vec<f64> {
    weighted_sums(a, &vec![1.0; a.nrows()])
}
