//! One pass over the rows of an attention matrix, for every metric that reads rows.

use ndarray::{ArrayView1, ArrayView2};
use pulp::Arch;

/// Figures of the rows of an attention matrix (n, m).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowProfile {
    /// Mean over rows of `-sum p ln p`, in nats.
    pub entropy: f64,
    /// Mean over rows of the largest entry.
    pub max_prob: f64,
    /// Standard deviation of `ln p` within rows, pooled over rows with one degree of freedom less a row.
    ///
    /// Softmax gives `ln p = logit - (what the whole row shares)`, so this is the spread of the logits as far as the
    /// head can use it. Exact zeros (masked, or too small for f32) are left out.
    pub logit_sd: f64,
    /// `||A - 1 x^T|| / ||A||` with `x` the mean row and `||.|| = sqrt(||.||_1 ||.||_inf)` (Dong et al. 2021).
    pub rank1_residual: f64,
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

const LANES: usize = 16;

impl RowProfile {
    /// The profile of `a`; all zeros for an empty matrix.
    pub fn of(a: ArrayView2<'_, f32>) -> Self {
        let (n, m) = a.dim();
        if n == 0 || m == 0 {
            return Self::default();
        }
        let standard = a.as_standard_layout();
        let a = standard.view();
        let arch = Arch::new();
        let shift = (m as f32).ln();
        let mut profile = Self::default();
        let (mut squares, mut freedom) = (0.0, 0.0);
        let mut column_sum = vec![0.0_f32; m];
        let (mut most, mut column_most) = (0.0_f64, vec![0.0_f32; m]);
        for row in a.rows() {
            let Some(row) = row.to_slice() else { continue };
            let sums = arch.dispatch(|| row_sums(row, shift));
            profile.entropy += sums.entropy / n as f64;
            profile.max_prob += f64::from(sums.max) / n as f64;
            profile.row_sum_drift = profile.row_sum_drift.max((sums.sum - 1.0).abs());
            if sums.count > 0.0 {
                squares += (sums.log_squared - sums.log * sums.log / sums.count).max(0.0);
                freedom += sums.count - 1.0;
            }
            let row_most = arch.dispatch(|| add_row(row, &mut column_sum, &mut column_most));
            most = most.max(row_most);
        }
        profile.logit_sd = if freedom > 0.0 { (squares / freedom).sqrt() } else { 0.0 };
        let whole = (most * largest(&column_most)).sqrt();
        let mean: Vec<f32> = column_sum.iter().map(|sum| sum / n as f32).collect();
        profile.rank1_residual = if whole > 0.0 { residual(a, &mean, arch) / whole } else { 0.0 };
        profile
    }
}

/// `||A - 1 x^T||_(1,inf)`.
fn residual(a: ArrayView2<'_, f32>, mean: &[f32], arch: Arch) -> f64 {
    let mut most = 0.0_f64;
    let mut column_most = vec![0.0_f32; mean.len()];
    for row in a.rows().into_iter().filter_map(|row| row.to_slice()) {
        let sum = arch.dispatch(|| {
            let mut lanes = [0.0_f32; LANES];
            let mut add = |at: usize, x: f32, mean: f32, column: &mut f32| {
                let distance = (x - mean).abs();
                lanes[at] += distance;
                *column += distance;
            };
            let (rows, means) = (row.chunks_exact(LANES), mean.chunks_exact(LANES));
            let (row_rest, mean_rest) = (rows.remainder(), means.remainder());
            let (columns, column_rest) = column_most.as_chunks_mut::<LANES>();
            for ((row, mean), column) in rows.zip(means).zip(columns) {
                for at in 0..LANES {
                    add(at, row[at], mean[at], &mut column[at]);
                }
            }
            for (at, ((x, mean), column)) in row_rest.iter().zip(mean_rest).zip(column_rest).enumerate() {
                add(at, *x, *mean, column);
            }
            lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>()
        });
        most = most.max(sum);
    }
    (most * largest(&column_most)).sqrt()
}

/// Adds a row to the column sums, plain and absolute; returns the sum of its absolute values.
#[inline(always)]
fn add_row(row: &[f32], column_sum: &mut [f32], column_abs: &mut [f32]) -> f64 {
    let mut sum = 0.0_f64;
    for ((row, plain), abs) in
        row.chunks(LANES).zip(column_sum.chunks_mut(LANES)).zip(column_abs.chunks_mut(LANES))
    {
        let mut chunk = 0.0_f32;
        for ((x, plain), abs) in row.iter().zip(plain).zip(abs) {
            *plain += x;
            *abs += x.abs();
            chunk += x.abs();
        }
        sum += f64::from(chunk);
    }
    sum
}

#[inline(always)]
fn row_sums(row: &[f32], shift: f32) -> RowSums {
    let mut lanes = [[0.0_f32; LANES]; 6];
    let mut add = |at: usize, p: f32| {
        let positive = p >= f32::MIN_POSITIVE;
        let weight = if positive { 1.0 } else { 0.0 };
        // ln(p m): small numbers, so that their squares do not drown the variance.
        let log = if positive { ln(p) + shift } else { 0.0 };
        lanes[0][at] += p;
        lanes[1][at] += p * log;
        lanes[2][at] = lanes[2][at].max(p);
        lanes[3][at] += weight;
        lanes[4][at] += log;
        lanes[5][at] += log * log;
    };
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for at in 0..LANES {
            add(at, chunk[at]);
        }
    }
    for (at, p) in rest.iter().enumerate() {
        add(at, *p);
    }
    let total = |lane: [f32; LANES]| lane.iter().map(|x| f64::from(*x)).sum::<f64>();
    let sum = total(lanes[0]);
    RowSums {
        sum,
        entropy: f64::from(shift) * sum - total(lanes[1]),
        max: lanes[2].iter().copied().fold(0.0, f32::max),
        count: total(lanes[3]),
        log: total(lanes[4]),
        log_squared: total(lanes[5]),
    }
}

/// The natural logarithm of a normal positive f32, to about 2e-7 relative: no branches, so that loops vectorise.
#[inline(always)]
fn ln(x: f32) -> f32 {
    // x = 2^e f with f in [sqrt(1/2), sqrt(2)): adding the distance to sqrt(1/2) moves the cut of the exponent there.
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

/// The sum of a row in f64, for the report of rows that are not stochastic.
pub fn row_sum(row: ArrayView1<'_, f32>) -> f64 {
    row.iter().map(|x| f64::from(*x)).sum()
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

    #[test]
    fn the_residual_of_a_small_matrix_by_hand() {
        // Mean row (0.5, 0.5); distances are 0.5 everywhere: column and row sums 1 and 1, of 1 and 1.
        let profile = RowProfile::of(array![[1.0, 0.0], [0.0, 1.0]].view());
        assert_eq!((profile.rank1_residual, profile.max_prob, profile.entropy), (1.0, 1.0, 0.0));
    }
}
