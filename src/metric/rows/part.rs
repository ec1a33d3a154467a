//! Sums over some rows of a matrix.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use ndarray::ArrayView2;
use pulp::{Arch, Simd, WithSimd};

use super::concentration::Ranked;
use super::profile::{NEAR, Positions, RowProfile};
use super::row::{CHUNK, LANES, distances, row_sums, sum, total};

/// Rows whose entries are summed in f32 before the sums of columns are added in f64: the mean row must be more accurate
/// than the small distances from it.
const ROWS: usize = 32;

/// Sums over some rows of a matrix (n, m).
#[derive(Clone)]
pub(super) struct Part {
    shape: (usize, usize),
    /// Rows that hold anything.
    rows: f64,
    entropy: f64,
    max_prob: f64,
    positive: usize,
    row_sum_drift: f64,
    /// Squared distances of `ln p` from the means of their rows, and their degrees of freedom.
    squares: f64,
    freedom: f64,
    first: f64,
    first_four: f64,
    positions: Positions,
    ranked: Ranked,
    max_row_sum: f64,
    column_sum: Vec<f64>,
    column_abs: Vec<f64>,
}

impl Part {
    /// Of no rows yet.
    pub(super) fn new(shape: (usize, usize), at: &[usize]) -> Self {
        Self {
            shape,
            rows: 0.0,
            entropy: 0.0,
            max_prob: 0.0,
            positive: 0,
            row_sum_drift: 0.0,
            squares: 0.0,
            freedom: 0.0,
            first: 0.0,
            first_four: 0.0,
            positions: Positions::default(),
            ranked: Ranked::new(at),
            max_row_sum: 0.0,
            column_sum: vec![0.0; shape.1],
            column_abs: vec![0.0; shape.1],
        }
    }

    /// Adds the rows of a tile in standard layout, the first of which is row `start` of the matrix.
    pub(super) fn add(&mut self, tile: ArrayView2<'_, f32>, start: usize) {
        Arch::new().dispatch(Pass { part: self, tile, start });
    }

    /// Adds the sums over other rows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.entropy += other.entropy;
        self.max_prob += other.max_prob;
        self.positive += other.positive;
        self.row_sum_drift = self.row_sum_drift.max(other.row_sum_drift);
        self.squares += other.squares;
        self.freedom += other.freedom;
        self.first += other.first;
        self.first_four += other.first_four;
        self.positions.own += other.positions.own;
        self.positions.near += other.positions.near;
        self.positions.distance += other.positions.distance;
        self.ranked.merge(&other.ranked);
        self.max_row_sum = self.max_row_sum.max(other.max_row_sum);
        self.column_sum.iter_mut().zip(&other.column_sum).for_each(|(sum, other)| *sum += other);
        self.column_abs.iter_mut().zip(&other.column_abs).for_each(|(sum, other)| *sum += other);
    }

    /// The mean row.
    pub(super) fn mean(&self) -> Vec<f64> {
        self.column_sum.iter().map(|sum| sum / self.shape.0 as f64).collect()
    }

    /// The figures, of the sums over all rows and their distances from the mean row.
    pub(super) fn profile(&self, residual: &Residual) -> RowProfile {
        let rows = self.rows.max(1.0);
        let Positions { own, near, distance } = self.positions;
        let positions = Positions { own: own / rows, near: near / rows, distance: distance / rows };
        let whole = (self.max_row_sum * largest(&self.column_abs)).sqrt();
        RowProfile {
            entropy: self.entropy / rows,
            max_prob: self.max_prob / rows,
            logit_sd: if self.freedom > 0.0 { (self.squares / self.freedom).sqrt() } else { 0.0 },
            rank1_residual: if whole > 0.0 { residual.norm() / whole } else { 0.0 },
            positive: self.positive,
            row_sum_drift: self.row_sum_drift,
            first: self.first / rows,
            first_four: self.first_four / rows,
            positions: (self.shape.0 == self.shape.1).then_some(positions),
            keys: self.ranked.keys.map(|keys| keys / rows),
            top: self
                .ranked
                .top
                .iter()
                .map(|(l, top)| (*l, top / rows))
                .filter(|(l, _)| *l < self.shape.1)
                .collect(),
        }
    }

    #[inline(always)]
    fn add_row(&mut self, row: &[f32], i: usize) {
        let sums = row_sums(row, (row.len() as f32).ln());
        self.row_sum_drift = self.row_sum_drift.max((sums.sum - 1.0).abs());
        if sums.sum == 0.0 && sums.count == 0.0 {
            return;
        }
        self.rows += 1.0;
        self.entropy += sums.entropy;
        self.max_prob += f64::from(sums.max);
        self.positive += sums.count as usize;
        if sums.count > 0.0 {
            self.squares += (sums.log_squared - sums.log * sums.log / sums.count).max(0.0);
            self.freedom += sums.count - 1.0;
        }
        self.first += f64::from(row[0]);
        self.first_four += sum(&row[..row.len().min(4)]);
        if self.shape.0 == self.shape.1 {
            self.positions.own += f64::from(row[i]);
            self.positions.near += sum(&row[(i + 1).saturating_sub(NEAR)..(i + NEAR).min(row.len())]);
            self.positions.distance += if sums.sum > 0.0 { distances(row, i) / sums.sum } else { 0.0 };
        }
    }
}

/// The loops over a tile, compiled for the machine's vector instructions.
struct Pass<'a> {
    part: &'a mut Part,
    tile: ArrayView2<'a, f32>,
    start: usize,
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { part, tile, start } = self;
        let m = part.shape.1;
        let (mut plain, mut absolute) = (vec![0.0_f32; m], vec![0.0_f32; m]);
        for (at, row) in tile.rows().into_iter().filter_map(|row| row.to_slice()).enumerate() {
            part.add_row(row, start + at);
            part.max_row_sum = part.max_row_sum.max(add_row(row, &mut plain, &mut absolute));
            if at % ROWS == ROWS - 1 || at == tile.nrows() - 1 {
                flush(&mut plain, &mut part.column_sum);
                flush(&mut absolute, &mut part.column_abs);
            }
        }
        part.ranked.add(tile);
    }
}

/// Distances of rows from the mean row.
#[derive(Clone)]
pub(super) struct Residual {
    /// The mean row in two parts: entries close to their mean differ from it by less than its rounding error.
    high: Vec<f32>,
    low: Vec<f32>,
    max_row_sum: f64,
    column: Vec<f64>,
}

impl Residual {
    /// Of no rows yet.
    pub(super) fn new(mean: &[f64]) -> Self {
        let high: Vec<f32> = mean.iter().map(|x| *x as f32).collect();
        let low = mean.iter().zip(&high).map(|(x, high)| (x - f64::from(*high)) as f32).collect();
        Self { high, low, max_row_sum: 0.0, column: vec![0.0; mean.len()] }
    }

    /// Adds rows in standard layout.
    pub(super) fn add(&mut self, tile: ArrayView2<'_, f32>) {
        Arch::new().dispatch(Distance { sums: self, tile });
    }

    /// Adds the sums over other rows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.max_row_sum = self.max_row_sum.max(other.max_row_sum);
        self.column.iter_mut().zip(&other.column).for_each(|(sum, other)| *sum += other);
    }

    /// `||A - 1 x^T||_(1,inf)` with `x` the mean row.
    fn norm(&self) -> f64 {
        (self.max_row_sum * largest(&self.column)).sqrt()
    }
}

/// The loops over a tile, compiled for the machine's vector instructions.
struct Distance<'a> {
    sums: &'a mut Residual,
    tile: ArrayView2<'a, f32>,
}

impl WithSimd for Distance<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Residual { high, low, max_row_sum, column: sums } = self.sums;
        let mut column = vec![0.0_f32; high.len()];
        for (at, row) in self.tile.rows().into_iter().filter_map(|row| row.to_slice()).enumerate() {
            let mut sum = 0.0_f64;
            let parts = row.chunks(CHUNK).zip(high.chunks(CHUNK)).zip(low.chunks(CHUNK));
            for (((row, high), low), column) in parts.zip(column.chunks_mut(CHUNK)) {
                let mut lanes = [0.0_f32; LANES];
                let parts = row.chunks(LANES).zip(high.chunks(LANES)).zip(low.chunks(LANES));
                for (((row, high), low), column) in parts.zip(column.chunks_mut(LANES)) {
                    let entries = row.iter().zip(high).zip(low);
                    for ((((x, high), low), column), lane) in entries.zip(column).zip(&mut lanes) {
                        let distance = ((x - high) - low).abs();
                        *lane += distance;
                        *column += distance;
                    }
                }
                sum += total(lanes);
            }
            *max_row_sum = max_row_sum.max(sum);
            if at % ROWS == ROWS - 1 || at == self.tile.nrows() - 1 {
                flush(&mut column, sums);
            }
        }
    }
}

/// Adds a row to the column sums, plain and absolute; returns the sum of its absolute values.
#[inline(always)]
fn add_row(row: &[f32], column_sum: &mut [f32], column_abs: &mut [f32]) -> f64 {
    let mut sum = 0.0_f64;
    for ((row, plain), abs) in
        row.chunks(CHUNK).zip(column_sum.chunks_mut(CHUNK)).zip(column_abs.chunks_mut(CHUNK))
    {
        let mut lanes = [0.0_f32; LANES];
        for ((row, plain), abs) in row.chunks(LANES).zip(plain.chunks_mut(LANES)).zip(abs.chunks_mut(LANES)) {
            for (((x, plain), abs), lane) in row.iter().zip(plain).zip(abs).zip(&mut lanes) {
                *plain += x;
                *abs += x.abs();
                *lane += x.abs();
            }
        }
        sum += total(lanes);
    }
    sum
}

/// Moves sums in f32 to those in f64.
#[inline(always)]
fn flush(few: &mut [f32], all: &mut [f64]) {
    for (all, few) in all.iter_mut().zip(few) {
        *all += f64::from(std::mem::take(few));
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
