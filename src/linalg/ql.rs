//! Eigenvalues of small symmetric tridiagonal matrices: the root-free QL iteration of Pal, Walker and Kahan.
//!
//! Below an order of about 128 too few intervals are left for [`super::eigenvalues`] to fill its vectors: this takes 3 us for two
//! matrices of order 8, and that 17. The iteration is one long chain of dependent divisions, so a core waits most of the time.
//! Two changes help:
//! - the recurrence is rewritten so that its two divisions depend on the previous step only, and not on each other
//!   (`p' = g' N / p` with `g' = N / r`, where the classical form has `c = p / r` first and `p' = g'^2 / c` after);
//! - two matrices are swept in turn, step by step ([`pair`]): the second costs almost nothing.

use super::tridiagonal::Tridiagonal;
use crate::error::{Error, Result};

/// Maximum sweeps for each eigenvalue on average, as in LAPACK's `dsterf`. Two or three are usual.
const SWEEPS: usize = 30;

/// Sweeps from one call of `alive` to the next: milliseconds at n = 8192.
const BATCH: usize = 64;

/// Couplings below this share of the largest element count as zero: far below the rounding of the matrix. Squares of
/// smaller ones may underflow, and would then never be small beside their neighbours.
const UNCOUPLED: f64 = f64::EPSILON / 1024.0;

const EPS_SQUARED: f64 = f64::EPSILON * f64::EPSILON;

/// The iteration of one matrix.
struct Chain<'a> {
    /// The diagonal; entries below `low` are converged eigenvalues.
    d: Vec<f64>,
    /// Squares of the off-diagonal, with one more at the end for the recurrence to write to.
    e: Vec<f64>,
    /// First row that is still coupled.
    low: usize,
    /// The next row of the current sweep, which ends at `low`.
    at: usize,
    sweep: Sweep,
    /// Sweeps left before an error is returned.
    left: usize,
    alive: &'a dyn Fn() -> Result<()>,
}

/// The variables of one sweep, named as in LAPACK's `dsterf`.
#[derive(Clone, Copy, Default)]
struct Sweep {
    sigma: f64,
    c: f64,
    s: f64,
    gamma: f64,
    p: f64,
}

impl Sweep {
    /// One step: couples rows `i` and `i + 1`.
    #[inline(always)]
    #[allow(clippy::inline_always)] // two chains fill each other's gaps only inside one loop
    fn step(&mut self, d: &mut [f64], e: &mut [f64], i: usize) {
        let b = e[i];
        let r = self.p + b;
        e[i + 1] = self.s * r;
        let inverse = 1.0 / r;
        let alpha = d[i];
        let numerator = self.p * (alpha - self.sigma) - b * self.gamma;
        let ratio = numerator / self.p;
        let gamma = numerator * inverse;
        let c = self.c;
        self.c = self.p * inverse;
        self.s = b * inverse;
        d[i + 1] = self.gamma + (alpha - gamma);
        self.gamma = gamma;
        self.p = if self.p == 0.0 { c * b } else { gamma * ratio };
    }
}

impl<'a> Chain<'a> {
    fn new(matrix: &Tridiagonal, sweeps: usize, alive: &'a dyn Fn() -> Result<()>) -> Self {
        let mut d = matrix.diagonal.clone();
        let mut e: Vec<f64> = matrix.off_diagonal.iter().map(|x| x * x).collect();
        let largest = d.iter().chain(&matrix.off_diagonal).fold(0.0, |largest: f64, x| largest.max(x.abs()));
        for e in &mut e {
            // A NaN stays.
            if *e <= (UNCOUPLED * largest).powi(2) {
                *e = 0.0;
            }
        }
        // QL finds small eigenvalues at the top; a matrix graded in the other direction is reversed.
        if d.first().is_some_and(|first| d[d.len() - 1].abs() < first.abs()) {
            d.reverse();
            e.reverse();
        }
        e.push(0.0);
        let left = sweeps.saturating_mul(d.len());
        Self { d, e, low: 0, at: 0, sweep: Sweep::default(), left, alive }
    }

    /// Deflates what has converged and prepares the next sweep; false when every eigenvalue is found. An error if no
    /// sweep is left, or if values are NaN or infinite.
    fn next_sweep(&mut self) -> Result<bool> {
        let n = self.d.len();
        while self.low + 1 < n {
            let low = self.low;
            let mut high = low;
            while high + 1 < n && self.e[high] > EPS_SQUARED * (self.d[high] * self.d[high + 1]).abs() {
                high += 1;
            }
            // A negligible coupling, or the element past the end: no row beyond it is changed.
            self.e[high] = 0.0;
            if high == low {
                self.low += 1;
            } else if high == low + 1 {
                let (large, small) = two_by_two(self.d[low], self.e[low].sqrt(), self.d[high]);
                (self.d[low], self.d[high]) = (large, small);
                self.e[low] = 0.0;
                self.low += 2;
            } else {
                let root = self.e[low].sqrt();
                let half = (self.d[low + 1] - self.d[low]) / (2.0 * root);
                let sigma = self.d[low] - root / (half + half.hypot(1.0).copysign(half));
                let gamma = self.d[high] - sigma;
                self.sweep = Sweep { sigma, c: 1.0, s: 0.0, gamma, p: gamma * gamma };
                self.at = high;
                let Some(left) = self.left.checked_sub(1) else { return Err(not_converged()) };
                self.left = left;
                if left % BATCH == 0 {
                    (self.alive)()?;
                }
                return Ok(true);
            }
        }
        // A NaN coupling passes as a negligible one.
        if self.d.iter().all(|x| x.is_finite()) { Ok(false) } else { Err(not_converged()) }
    }

    fn run_sweep(&mut self) {
        for i in (self.low..self.at).rev() {
            self.sweep.step(&mut self.d, &mut self.e, i);
        }
        self.at = self.low;
        self.end_sweep();
    }

    fn end_sweep(&mut self) {
        self.e[self.low] = self.sweep.s * self.sweep.p;
        self.d[self.low] = self.sweep.sigma + self.sweep.gamma;
    }

    fn finish(mut self, mut more: bool) -> Result<Vec<f64>> {
        while more {
            self.run_sweep();
            more = self.next_sweep()?;
        }
        self.d.sort_unstable_by(|a, b| b.total_cmp(a));
        Ok(self.d)
    }
}

fn not_converged() -> Error {
    Error::Convergence { what: "the eigenvalues of a tridiagonal matrix".into() }
}

/// Eigenvalues, largest first, of two tridiagonal matrices; an error if they do not converge. `alive` is called after every
/// few sweeps.
pub(super) fn pair(
    a: &Tridiagonal,
    b: &Tridiagonal,
    alive: &dyn Fn() -> Result<()>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    pair_within(a, b, SWEEPS, alive)
}

/// As [`pair`], with at most so many sweeps for each eigenvalue.
fn pair_within(
    a: &Tridiagonal,
    b: &Tridiagonal,
    sweeps: usize,
    alive: &dyn Fn() -> Result<()>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut a, mut b) = (Chain::new(a, sweeps, alive), Chain::new(b, sweeps, alive));
    let (mut more_a, mut more_b) = (a.next_sweep()?, b.next_sweep()?);
    while more_a && more_b {
        let steps = (a.at - a.low).min(b.at - b.low);
        // Slices of the same length let the compiler see that every index is in bounds.
        let (from_a, from_b) = (a.at - steps, b.at - steps);
        let (d_a, e_a) = (&mut a.d[from_a..=a.at], &mut a.e[from_a..=a.at]);
        let (d_b, e_b) = (&mut b.d[from_b..=b.at], &mut b.e[from_b..=b.at]);
        let (mut sweep_a, mut sweep_b) = (a.sweep, b.sweep);
        for i in (0..steps).rev() {
            sweep_a.step(d_a, e_a, i);
            sweep_b.step(d_b, e_b, i);
        }
        (a.sweep, b.sweep) = (sweep_a, sweep_b);
        (a.at, b.at) = (from_a, from_b);
        if a.at == a.low {
            a.end_sweep();
            more_a = a.next_sweep()?;
        }
        if b.at == b.low {
            b.end_sweep();
            more_b = b.next_sweep()?;
        }
    }
    Ok((a.finish(more_a)?, b.finish(more_b)?))
}

/// Eigenvalues of `[[a, b], [b, c]]`, the one of larger magnitude first, without cancellation.
fn two_by_two(a: f64, b: f64, c: f64) -> (f64, f64) {
    let sum = a + c;
    let root = (a - c).hypot(2.0 * b);
    if sum == 0.0 {
        return (0.5 * root, -0.5 * root);
    }
    let large = 0.5 * (sum + root.copysign(sum));
    let (more, less) = if a.abs() > c.abs() { (a, c) } else { (c, a) };
    (large, (more / large) * less - (b / large) * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = Result<(Vec<f64>, Vec<f64>)>;

    fn within(matrix: &Tridiagonal, sweeps: usize) -> Pair {
        pair_within(matrix, &matrix.without_first(), sweeps, &|| Ok(()))
    }

    fn both(matrix: &Tridiagonal) -> Pair {
        pair(matrix, &matrix.without_first(), &|| Ok(()))
    }

    #[test]
    fn what_does_not_converge_is_an_error_and_not_an_endless_loop() {
        let matrix = Tridiagonal { diagonal: vec![2.0; 64], off_diagonal: vec![-1.0; 63] };
        for sweeps in [0, 1] {
            let error = within(&matrix, sweeps).unwrap_err().to_string();
            assert!(error.contains("the eigenvalues of a tridiagonal matrix"), "{error}");
        }
        assert!(within(&matrix, 4).is_ok(), "a cap of thirty is far from what is needed");
        for odd in [f64::NAN, f64::INFINITY, 1e200] {
            let mut diagonal = vec![1.0; 8];
            diagonal[3] = odd;
            for off_diagonal in [vec![0.5; 7], vec![odd; 7]] {
                let matrix = Tridiagonal { diagonal: diagonal.clone(), off_diagonal };
                let found = both(&matrix);
                assert!(found.is_err() || found.unwrap().0.iter().all(|x| x.is_finite()), "{odd}");
            }
        }
    }
}
