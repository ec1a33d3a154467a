//! One round over the matrix: `A^T (A X)` in f64, and in the first round the sums over its entries.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, ShapeBuilder, s};
use rayon::prelude::*;

use crate::error::Result;
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::operator::Operator;
use crate::linalg::rounding::{EntryRounding, Rounding};

/// Rows of the matrix that a thread holds at a time.
const TILE: usize = 64;
/// Columns of a tile that are in f64 at a time: a part that stays in the cache of one core.
const CHUNK: usize = 1024;
/// Bytes that partial sums of `A^T A X` may occupy; with the sizes it determines how rows are grouped.
const PARTIAL_BYTES: usize = 1 << 27;

/// Sums over the entries of a matrix (n, m).
#[derive(Clone)]
pub(super) struct Moments {
    /// Sums of the columns.
    pub(super) columns: Vec<f64>,
    column_squares: Vec<f64>,
    row_squares: Vec<f64>,
}

impl Moments {
    /// Of no rows; without room for any where sums are not asked for.
    fn zeros(m: usize, asked: bool) -> Self {
        let none = if asked { vec![0.0; m] } else { Vec::new() };
        Self { columns: none.clone(), column_squares: none, row_squares: Vec::new() }
    }

    /// `||A||_F^2`.
    pub(super) fn energy(&self) -> f64 {
        self.row_squares.iter().sum()
    }

    pub(super) fn rounding(&self, unit: EntryRounding) -> Rounding {
        Rounding::of_squares(&self.row_squares, &self.column_squares, unit)
    }

    /// Adds the rows of a tile whose first column is `from`.
    fn add(&mut self, tile: ArrayView2<'_, f32>, from: usize) {
        for row in tile.rows() {
            let mut sum = 0.0;
            let columns = self.columns[from..].iter_mut().zip(&mut self.column_squares[from..]);
            for (x, (column, square)) in row.iter().zip(columns) {
                let x = f64::from(*x);
                *column += x;
                *square += x * x;
                sum += x * x;
            }
            self.row_squares.push(sum);
        }
    }

    /// Appends the rows after these.
    fn append(&mut self, other: &Self) {
        self.columns.iter_mut().zip(&other.columns).for_each(|(all, part)| *all += part);
        self.column_squares.iter_mut().zip(&other.column_squares).for_each(|(all, part)| *all += part);
        self.row_squares.extend_from_slice(&other.row_squares);
    }
}

/// What a round finds.
pub(super) struct Round {
    /// `A^T A X`, shape (m, columns of X).
    pub(super) product: Array2<f64>,
    /// Of nothing, where they were not asked for.
    pub(super) moments: Moments,
}

impl Round {
    fn zeros((m, b): (usize, usize), moments: bool) -> Self {
        Self { product: Array2::zeros((m, b).f()), moments: Moments::zeros(m, moments) }
    }
}

/// Groups of rows with a partial sum each: how many there are, and so the order of the sums, depends on the sizes only.
fn groups((n, m): (usize, usize), block: usize) -> usize {
    (PARTIAL_BYTES / m.saturating_mul(8).saturating_mul(block).max(1))
        .clamp(4, 64)
        .min(n.div_ceil(TILE))
        .max(1)
}

/// Bytes that a round needs on so many threads, not counting the operator, X and the result.
pub(super) fn bytes((n, m): (usize, usize), block: usize, threads: usize) -> usize {
    let partial =
        [8, m, block, groups((n, m), block)].iter().fold(1, |all: usize, one| all.saturating_mul(*one));
    let tiles = 4_usize.saturating_mul(TILE.min(n)).saturating_mul(m).saturating_mul(threads);
    partial.saturating_add(tiles)
}

/// Computes every row of the matrix once, with the sums over its entries if `moments` says so; `check` is called for every
/// tile and may end the round.
pub(super) fn round(
    a: &dyn Operator,
    x: ArrayView2<'_, f64>,
    moments: bool,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Round> {
    let (n, m) = a.shape();
    let b = x.ncols();
    let each = n.div_ceil(groups((n, m), b)).next_multiple_of(TILE);
    let partial: Vec<Round> = (0..n.div_ceil(each))
        .into_par_iter()
        .map(|group| {
            let mut sum = Round::zeros((m, b), moments);
            let mut entries = vec![0.0; TILE.min(n) * m];
            for start in (group * each..((group + 1) * each).min(n)).step_by(TILE) {
                check()?;
                let rows = start..(start + TILE).min(n);
                let columns = a.support(rows.clone());
                let shape = (rows.len(), columns.len());
                let tile = &mut entries[..shape.0 * shape.1];
                let Ok(mut tile) = ArrayViewMut2::from_shape(shape, tile) else { continue };
                a.rows(rows, tile.view_mut());
                if moments {
                    sum.moments.add(tile.view(), columns.start);
                }
                let product = sum.product.slice_mut(s![columns.clone(), ..]);
                gram(tile.view(), x.slice(s![columns, ..]), product);
            }
            Ok(sum)
        })
        .collect::<Result<_>>()?;
    let mut all = Round::zeros((m, b), moments);
    for part in &partial {
        all.product += &part.product;
        all.moments.append(&part.moments);
    }
    Ok(all)
}

/// Adds `T^T (T X)` of a tile T.
fn gram(tile: ArrayView2<'_, f32>, x: ArrayView2<'_, f64>, mut product: ArrayViewMut2<'_, f64>) {
    let (rows, m) = tile.dim();
    let chunks = || (0..m).step_by(CHUNK).map(|start| start..(start + CHUNK).min(m));
    let mut wide = Array2::zeros((rows, CHUNK.min(m)));
    let mut y = Array2::zeros((rows, x.ncols()).f());
    for chunk in chunks() {
        let mut wide = wide.slice_mut(s![.., ..chunk.len()]);
        wide.zip_mut_with(&tile.slice(s![.., chunk.clone()]), |wide, x| *wide = f64::from(*x));
        product_into(y.view_mut(), 1.0, wide.view(), x.slice(s![chunk, ..]), 1.0, Threads::One);
    }
    for chunk in chunks() {
        let mut wide = wide.slice_mut(s![.., ..chunk.len()]);
        wide.zip_mut_with(&tile.slice(s![.., chunk.clone()]), |wide, x| *wide = f64::from(*x));
        product_into(product.slice_mut(s![chunk, ..]), 1.0, wide.t(), y.view(), 1.0, Threads::One);
    }
}
