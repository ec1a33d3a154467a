//! Products whose inner dimension is much larger than their result: gradients of weights.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Zip, s};
use rayon::prelude::*;

use super::gemm::{Real, Threads, product, product_into};

/// Rows of the operands that justify a task of their own.
const ROWS: usize = 2048;

/// Columns of the wider operand in one task.
const COLUMNS: usize = 512;

/// Tasks for the threads of a small machine; wide operands make more tasks for a larger one.
const TASKS: usize = 16;

/// `c += a^T b`, shapes (n, d) and (n, m) to (d, m): the sum over rows of their outer products.
///
/// Both operands are read row after row. Where few columns make few tasks, the rows are split into parts as well, whose
/// results are added in a fixed order: the number of threads changes no bit. The wider operand is the one that faer packs
/// into panels, the narrower one is read in rows, four columns at a time; the opposite order takes three times as long
/// (1024 and 256 columns, 8192 rows).
///
/// # Panics
/// If the shapes do not fit.
pub fn add_outer<T: Real>(mut c: ArrayViewMut2<'_, T>, a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) {
    assert_eq!((a.ncols(), b.ncols(), a.nrows()), (c.nrows(), c.ncols(), b.nrows()), "shapes of a product");
    let (wide, narrow) = if a.ncols() > b.ncols() { (a, b) } else { (b, a) };
    let mut to = if a.ncols() > b.ncols() { c.reversed_axes() } else { c.view_mut() };
    let n = wide.nrows();
    let parts = parts(n, wide.ncols());
    if parts == 1 {
        // The result of a task is added while it is in the cache.
        let columns = columns(wide.ncols());
        let tasks = to.axis_chunks_iter_mut(Axis(1), columns).into_par_iter();
        tasks.zip(wide.into_axis_chunks_iter(Axis(1), columns)).for_each(|(mut to, wide)| {
            to += &product(narrow.reversed_axes(), wide, Threads::One);
        });
        return;
    }
    let rows = n.div_ceil(parts);
    let mut sums: Vec<Array2<T>> =
        (0..parts).map(|_| Array2::zeros((narrow.ncols(), wide.ncols()))).collect();
    let tasks: Vec<_> = sums
        .iter_mut()
        .enumerate()
        .flat_map(|(part, sum)| {
            let rows = (part * rows).min(n)..((part + 1) * rows).min(n);
            let (narrow, wide) = (narrow.slice_move(s![rows.clone(), ..]), wide.slice_move(s![rows, ..]));
            let parts = sum.axis_chunks_iter_mut(Axis(1), COLUMNS);
            parts
                .zip(wide.into_axis_chunks_iter(Axis(1), COLUMNS))
                .map(move |(sum, wide)| (sum, narrow, wide))
        })
        .collect();
    tasks.into_par_iter().for_each(|(sum, narrow, wide)| {
        product_into(sum, T::zero(), narrow.reversed_axes(), wide, T::one(), Threads::One);
    });
    for sum in sums {
        Zip::from(&mut to).and(&sum).par_for_each(|to, sum| *to += *sum);
    }
}

/// Number of parts that n rows are split into, for so many columns of the wider operand.
fn parts(n: usize, wide: usize) -> usize {
    (TASKS / wide.div_ceil(COLUMNS).max(1)).clamp(1, n.div_ceil(ROWS).max(1))
}

/// Columns of a task where rows are not split.
fn columns(wide: usize) -> usize {
    (wide / 4).next_multiple_of(96).clamp(96, COLUMNS)
}

/// How many arrays of how many elements [`add_outer`] allocates at once on so many threads, for operands (n, d) and (n, m).
pub(crate) fn space(n: usize, d: usize, m: usize, threads: usize) -> (usize, usize) {
    let (wide, narrow) = (d.max(m), d.min(m));
    match parts(n, wide) {
        1 => (wide.div_ceil(columns(wide)).min(threads), narrow * columns(wide).min(wide)),
        parts => (parts, narrow * wide),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_product_whichever_is_wider() {
        for (n, d, m) in [
            (5, 3, 7),
            (5, 700, 3),
            (4100, 9, 600),
            (4100, 600, 9),
            (9000, 2, 3),
            (3000, 3, 9000),
            (0, 2, 3),
            (1, 1, 1),
        ] {
            let a = Array2::from_shape_fn((n, d), |(i, j)| ((i * 7 + j * 3) % 11) as f64 - 5.0);
            let b = Array2::from_shape_fn((n, m), |(i, j)| ((i * 5 + j * 2) % 13) as f64 - 6.0);
            let mut c = Array2::from_elem((d, m), 2.0);
            add_outer(c.view_mut(), a.view(), b.view());
            // Sums of whole numbers are exact.
            assert_eq!(c, product(a.t(), b.view(), Threads::One) + 2.0, "{n} {d} {m}");
        }
    }
}
