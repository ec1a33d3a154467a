//! The Gram matrix of a matrix in f64, in coordinates whose first is any one that is asked for.

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

/// `H B B^T H` for the matrix `B` that is `a` minus `less[i]` from each element of row `i`, and the reflection `H` that maps `first`
/// to a multiple of `e_1`: on and above the diagonal of the row-major matrix `work.gram` (n, n). What is below it has no meaning.
///
/// `H B` is made before the product: what is small in `B` but for its part along `first` is not rounded as that part is.
/// `alive` is called for every block.
pub(super) fn reflected<T: Copy + Into<f64>>(
    a: ArrayView2<'_, T>,
    less: &[f64],
    first: &[f64],
    work: &mut Work,
    alive: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let (n, m) = a.dim();
    let arch = Arch::new();
    let mut v = first.to_vec();
    let tau = Reflection::of(&mut v, 0.0).tau;
    let mut product = weighted_sums(a, &v);
    let less_product: f64 = less.iter().zip(&v).map(|(less, v)| less * v).sum();
    product.iter_mut().for_each(|x| *x -= less_product);
    let Work { gram, block, packed } = work;
    gram.clear();
    gram.resize(n * n, 0.0);
    for start in (0..m).step_by(DEPTH) {
        alive()?;
        let k = DEPTH.min(m - start);
        block.clear();
        arch.dispatch(|| {
            let rows = a.slice_axis(Axis(1), Slice::from(start..start + k));
            for ((row, less), v) in rows.rows().into_iter().zip(less).zip(&v) {
                let (weight, product) = (-tau * v, &product[start..]);
                let entry = |(x, y): (&T, &f64)| ((*x).into() - less) + weight * y;
                match row.as_slice() {
                    Some(row) => block.extend(row.iter().zip(product).map(entry)),
                    None => block.extend(row.iter().zip(product).map(entry)),
                }
            }
        });
        packed.fill(block, k);
        arch.dispatch(UpperUpdate { c: gram, ldc: n, k, left: block, right: packed, alpha: 1.0 });
    }
    Ok(())
}

/// `A^T v`, (n, m) and (n) to (m).
fn weighted_sums<T: Copy + Into<f64>>(a: ArrayView2<'_, T>, v: &[f64]) -> Vec<f64> {
    let mut total = vec![0.0; a.ncols()];
    let mut sums = vec![0.0; a.ncols()];
    Arch::new().dispatch(|| {
        for (rows, v) in a.axis_chunks_iter(Axis(0), TERMS).zip(v.chunks(TERMS)) {
            sums.fill(0.0);
            for (row, v) in rows.rows().into_iter().zip(v) {
                match row.as_slice() {
                    Some(row) => sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += v * (*x).into()),
                    None => sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += v * (*x).into()),
                }
            }
            for (total, sum) in total.iter_mut().zip(&sums) {
                *total += sum;
            }
        }
    });
    total
}

/// The mean of the rows of `a`, (n, m) to (m).
pub(super) fn mean_row<T: Copy + Into<f64>>(a: ArrayView2<'_, T>) -> Vec<f64> {
    let sums = weighted_sums(a, &vec![1.0; a.nrows()]);
    sums.into_iter().map(|sum| sum / a.nrows() as f64).collect()
}
