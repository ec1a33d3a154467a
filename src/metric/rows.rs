//! One pass over the rows of an attention matrix, for every metric that reads rows.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use ndarray::ArrayView2;
use pulp::{Arch, Simd, WithSimd};

/// Statistics of the rows of an attention matrix (n, m).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowProfile {
    /// Mean over rows of `-sum p ln p`, in nats.
    pub entropy: f64,
    /// Mean over rows of the largest entry.
    pub max_prob: f64,
    /// Standard deviation of `ln p` within rows, pooled over rows with one degree of freedom less for each row.
    ///
    /// Softmax gives `ln p = logit - (a constant of the row)`, so this is the spread of the logits as far as it affects the
    /// head. Exact zeros (masked, or too small for f32) are left out.
    pub logit_sd: f64,
    /// `||A - 1 x^T|| / ||A||` with `x` the mean row and `||.|| = sqrt(||.||_1 ||.||_inf)` (Dong et al. 2021).
    pub rank1_residual: f64,
    /// How many entries are not 0 (or too small for a normal f32).
    pub positive: usize,
    /// The largest `|sum of a row - 1|`.
    pub row_sum_drift: f64,
}

/// Sums over one row, in f64 from f32 lanes.
#[derive(Clone, Copy, Default)]
struct RowSums {
    sum: f64,
    entropy: f64,
    max: f32,
    /// Of `ln p - ln(1 / m)` over the entries that are not zero: how many, their sum, their sum of squares.
    count: f64,
    log: f64,
    log_squared: f64,
}

/// Values computed together.
pub(super) const LANES: usize = 16;
/// Entries that are summed in f32 before the sum is added in f64.
const CHUNK: usize = 1024;
/// Rows whose entries are summed in f32 before the sums of columns are added in f64: the mean row must be more accurate
/// than the small distances from it.
const ROWS: usize = 32;

impl RowProfile {
    /// The profile of `a`; all zeros for an empty matrix.
    pub fn of(a: ArrayView2<'_, f32>) -> Self {
        if a.is_empty() {
            return Self::default();
        }
        Arch::new().dispatch(Pass(a.as_standard_layout().view()))
    }
}

/// The loops over a whole matrix, compiled for the machine's vector instructions.
struct Pass<'a>(ArrayView2<'a, f32>);

impl WithSimd for Pass<'_> {
    type Output = RowProfile;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> RowProfile {
        let (n, m) = self.0.dim();
        let shift = (m as f32).ln();
        let mut profile = RowProfile::default();
        let (mut squares, mut freedom) = (0.0, 0.0);
        let (mut column_sum, mut column_abs) = (vec![0.0_f32; m], vec![0.0_f32; m]);
        let mut mean = vec![0.0_f64; m];
        let mut max_row_sum = 0.0_f64;
        for (i, row) in self.0.rows().into_iter().filter_map(|row| row.to_slice()).enumerate() {
            let sums = row_sums(row, shift);
            profile.entropy += sums.entropy / n as f64;
            profile.max_prob += f64::from(sums.max) / n as f64;
            profile.row_sum_drift = profile.row_sum_drift.max((sums.sum - 1.0).abs());
            profile.positive += sums.count as usize;
            if sums.count > 0.0 {
                squares += (sums.log_squared - sums.log * sums.log / sums.count).max(0.0);
                freedom += sums.count - 1.0;
            }
            max_row_sum = max_row_sum.max(add_row(row, &mut column_sum, &mut column_abs));
            if i % ROWS == ROWS - 1 || i == n - 1 {
                for (mean, sum) in mean.iter_mut().zip(&mut column_sum) {
                    *mean += f64::from(std::mem::take(sum)) / n as f64;
                }
            }
        }
        profile.logit_sd = if freedom > 0.0 { (squares / freedom).sqrt() } else { 0.0 };
        let whole = (max_row_sum * largest(&column_abs)).sqrt();
        // In two parts: entries close to their mean differ from it by less than its rounding error.
        let high: Vec<f32> = mean.iter().map(|x| *x as f32).collect();
        let low: Vec<f32> = mean.iter().zip(&high).map(|(x, high)| (x - f64::from(*high)) as f32).collect();
        profile.rank1_residual = if whole > 0.0 { residual(self.0, &high, &low) / whole } else { 0.0 };
        profile
    }
}

/// `||A - 1 x^T||_(1,inf)` with `x` the mean row, the sum of two.
#[inline(always)]
fn residual(a: ArrayView2<'_, f32>, high: &[f32], low: &[f32]) -> f64 {
    let mut max_row_sum = 0.0_f64;
    let mut column = vec![0.0_f32; high.len()];
    for row in a.rows().into_iter().filter_map(|row| row.to_slice()) {
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
        max_row_sum = max_row_sum.max(sum);
    }
    (max_row_sum * largest(&column)).sqrt()
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

#[inline(always)]
fn row_sums(row: &[f32], shift: f32) -> RowSums {
    let mut sums = RowSums::default();
    let mut weighted = 0.0;
    for chunk in row.chunks(CHUNK) {
        let mut lanes = [[0.0_f32; LANES]; 6];
        let (whole, rest) = chunk.as_chunks::<LANES>();
        for part in whole {
            for (at, p) in part.iter().enumerate() {
                add(&mut lanes, at, *p, shift);
            }
        }
        for (at, p) in rest.iter().enumerate() {
            add(&mut lanes, at, *p, shift);
        }
        sums.sum += total(lanes[0]);
        weighted += total(lanes[1]);
        sums.max = lanes[2].iter().copied().fold(sums.max, f32::max);
        sums.count += total(lanes[3]);
        sums.log += total(lanes[4]);
        sums.log_squared += total(lanes[5]);
    }
    sums.entropy = f64::from(shift) * sums.sum - weighted;
    sums
}

/// Adds one entry to the sums of its lane.
#[inline(always)]
fn add(lanes: &mut [[f32; LANES]; 6], at: usize, p: f32, shift: f32) {
    let positive = p >= f32::MIN_POSITIVE;
    let weight = if positive { 1.0 } else { 0.0 };
    // ln(p m): small values, so that the variance is not lost in their squares.
    let log = if positive { ln(p) + shift } else { 0.0 };
    lanes[0][at] += p;
    lanes[1][at] += p * log;
    lanes[2][at] = if p > lanes[2][at] { p } else { lanes[2][at] };
    lanes[3][at] += weight;
    lanes[4][at] += log;
    lanes[5][at] += log * log;
}

/// The sum over the lanes in f64.
#[inline(always)]
pub(super) fn total(lanes: [f32; LANES]) -> f64 {
    lanes.iter().map(|lane| f64::from(*lane)).sum()
}

/// The natural logarithm of a normal positive f32, to about 2e-7 relative: no branches, so that loops vectorise.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    // x = 2^e f with f in [sqrt(1/2), sqrt(2)): adding the distance to sqrt(1/2) moves the boundary of the exponent there.
    let bits = x.to_bits().wrapping_add(0x3f80_0000 - 0x3f35_04f3);
    let exponent = ((bits >> 23) as i32 - 127) as f32;
    let fraction = f32::from_bits((bits & 0x007f_ffff) + 0x3f35_04f3);
    let t = (fraction - 1.0) / (fraction + 1.0);
    let square = t * t;
    let series = 2.0 / 3.0 + square * (2.0 / 5.0 + square * (2.0 / 7.0 + square * (2.0 / 9.0)));
    exponent * std::f32::consts::LN_2 + (2.0 * t + t * square * series)
}

fn largest(values: &[f32]) -> f64 {
    f64::from(values.iter().copied().fold(0.0, f32::max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn the_logarithm_is_that_of_the_library() {
        let mut x = f32::MIN_POSITIVE;
        while x < 4.0 {
            let exact = f64::from(x).ln();
            assert!(
                (f64::from(ln(x)) - exact).abs() <= 3e-7 * exact.abs().max(1e-1),
                "{x}: {} {exact}",
                ln(x)
            );
            x *= 1.000_37;
        }
    }

    #[test]
    fn uniform_rows_have_known_figures() {
        for (n, m) in [(1, 1), (3, 7), (40, 33), (64, 64)] {
            let profile = RowProfile::of(Array2::from_elem((n, m), 1.0 / m as f32).view());
            assert!((profile.entropy - (m as f64).ln()).abs() < 1e-5, "{n} x {m}: {profile:?}");
            assert!((profile.max_prob - 1.0 / m as f64).abs() < 1e-7);
            assert!(profile.logit_sd < 1e-3 && profile.rank1_residual < 1e-5 && profile.row_sum_drift < 1e-5);
        }
    }

    /// Against sums written out in f64.
    #[test]
    fn figures_equal_their_definitions() {
        let a =
            Array2::from_shape_fn(
                (19, 37),
                |(i, j)| if (i + j) % 5 == 0 { 0.0 } else { 1.0 / (1 + i * j) as f32 },
            );
        let profile = RowProfile::of(a.view());
        let (mut entropy, mut squares, mut freedom) = (0.0, 0.0, 0.0);
        for row in a.rows() {
            let logs: Vec<f64> = row.iter().filter(|p| **p > 0.0).map(|p| f64::from(*p).ln()).collect();
            entropy -=
                row.iter().filter(|p| **p > 0.0).map(|p| f64::from(*p) * f64::from(*p).ln()).sum::<f64>();
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            squares += logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
            freedom += logs.len() as f64 - 1.0;
        }
        assert!((profile.entropy - entropy / 19.0).abs() < 1e-5);
        assert!((profile.logit_sd - (squares / freedom).sqrt()).abs() < 1e-5);
    }

    /// A sink of many rows: the residual without the mean row is far below the rounding error of an f32 sum.
    #[test]
    fn the_residual_of_a_sink_is_that_of_f64() {
        let (n, m) = (3000, 5);
        let a = Array2::from_shape_fn((n, m), |(i, j)| {
            let rest = 1e-5 * (1.0 + 0.5 * ((i * 7 + j) as f32).sin());
            if j == 0 { 1.0 - 4.0 * rest } else { rest }
        });
        let mean: Vec<f64> =
            (0..m).map(|j| a.column(j).iter().map(|x| f64::from(*x)).sum::<f64>() / n as f64).collect();
        let norm = |entry: &dyn Fn(usize, usize) -> f64| {
            let row = (0..n).map(|i| (0..m).map(|j| entry(i, j).abs()).sum::<f64>()).fold(0.0, f64::max);
            let column = (0..m).map(|j| (0..n).map(|i| entry(i, j).abs()).sum::<f64>()).fold(0.0, f64::max);
            (row * column).sqrt()
        };
        let exact = norm(&|i, j| f64::from(a[[i, j]]) - mean[j]) / norm(&|i, j| f64::from(a[[i, j]]));
        let found = RowProfile::of(a.view()).rank1_residual;
        assert!((found / exact - 1.0).abs() < 1e-3, "{found:e} for {exact:e}");
    }

    #[test]
    fn the_residual_of_a_small_matrix_by_hand() {
        // Mean row (0.5, 0.5); distances are 0.5 everywhere: column and row sums 1 and 1, of 1 and 1.
        let profile = RowProfile::of(array![[1.0, 0.0], [0.0, 1.0]].view());
        assert_eq!((profile.rank1_residual, profile.max_prob, profile.entropy), (1.0, 1.0, 0.0));
    }
}
