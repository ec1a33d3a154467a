//! The spectral norm of an f32 matrix by Lanczos iterations, with a bound.
//!
//! Lanczos on `A^T A` with full orthogonalisation, from a random start; each step reads the matrix once. With `t` the
//! largest Ritz value and `r` its residual, some eigenvalue of `A^T A` lies within `r` of `t`, so some singular value of
//! `A` lies within `r / sqrt(t)` of `sqrt(t)`, which itself never exceeds the norm (but for rounding, about 1e-6 of it).
//! That the value found is the largest one rests on the random start: after `j` steps the largest eigenvalue is missed by
//! a share `e` with probability at most `1.648 sqrt(m) exp(-sqrt(e) (2 j - 1))` (Kuczynski and Wozniakowski 1992), far
//! less where it is well separated; at least eight steps are computed, and all of a matrix with few columns.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use ndarray::ArrayView2;
use pulp::{Arch, Simd, WithSimd};

use crate::rng::{Rng, normal};

/// Steps before the residual is first checked.
const MIN_STEPS: usize = 8;
/// Up to so many columns all steps are computed, which takes less than anything else does with such a matrix: two values that
/// differ by less than a hundredth may pass as one for many steps.
const SMALL: usize = 128;
/// Maximum steps; the iteration then returns the bound that it has reached.
const MAX_STEPS: usize = 160;
/// Steps between two checks of the residual.
const CHECK_EVERY: usize = 2;

/// A spectral norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectralNorm {
    /// `||A||_2`, from below.
    pub value: f64,
    /// Some singular value lies within this of `value`.
    pub bound: f64,
    /// Steps computed, each of which reads the matrix once.
    pub steps: usize,
}

/// The spectral norm of `a` (n, m): the bound is at most `tolerance` of the value, unless 160 steps were not enough.
pub fn spectral(a: ArrayView2<'_, f32>, tolerance: f64, rng: &mut Rng) -> SpectralNorm {
    let a = a.as_standard_layout();
    let (m, entries) = (a.ncols(), a.as_slice().unwrap_or(&[]));
    let zero = SpectralNorm { value: 0.0, bound: 0.0, steps: 0 };
    if entries.is_empty() {
        return zero;
    }
    let start: Vec<f64> = normal(rng, 1, m).iter().map(|x| f64::from(*x)).collect();
    let mut basis: Vec<Vec<f64>> = vec![scaled(&start, 1.0 / length(&start))];
    let (mut diagonal, mut off_diagonal) = (Vec::new(), Vec::<f64>::new());
    let max_steps = MAX_STEPS.min(m);
    let min_steps = if m <= SMALL { m } else { MIN_STEPS };
    loop {
        let step = basis.len();
        let mut next = gram_times(entries, m, &basis[step - 1]);
        diagonal.push(dot(&next, &basis[step - 1]));
        // Two passes are enough (Kahan): after the second one the remainder is orthogonal up to rounding.
        for _ in 0..2 {
            for before in &basis {
                let share = dot(&next, before);
                next.iter_mut().zip(before).for_each(|(x, b)| *x -= share * b);
            }
        }
        let residue = length(&next);
        let (top, last) = top_ritz(&diagonal, &off_diagonal);
        let ended = residue <= 1e-7 * top.abs() || step == max_steps;
        if ended || (step >= min_steps && step.is_multiple_of(CHECK_EVERY)) {
            if top <= 0.0 {
                return SpectralNorm { steps: step, ..zero };
            }
            let (value, residual) = (top.sqrt(), residue * last);
            let bound = residual / value;
            if ended || bound <= tolerance * value {
                return SpectralNorm { value, bound, steps: step };
            }
        }
        off_diagonal.push(residue);
        basis.push(scaled(&next, 1.0 / residue));
    }
}

/// The largest eigenvalue of a symmetric tridiagonal matrix, and the size of the last entry of its unit eigenvector.
fn top_ritz(diagonal: &[f64], off_diagonal: &[f64]) -> (f64, f64) {
    let k = diagonal.len();
    let reach = |i: usize| {
        let left = if i > 0 { off_diagonal[i - 1].abs() } else { 0.0 };
        left + off_diagonal.get(i).map_or(0.0, |x| x.abs())
    };
    let mut high = (0..k).map(|i| diagonal[i] + reach(i)).fold(f64::NEG_INFINITY, f64::max);
    let mut low = diagonal.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Bisection: x is above every eigenvalue if the pivots of T - x are all negative.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        let mut pivot = diagonal[0] - middle;
        let mut above = pivot < 0.0;
        for i in 1..k {
            pivot = diagonal[i] - middle - off_diagonal[i - 1].powi(2) / pivot;
            above &= pivot < 0.0;
            if !above {
                break;
            }
        }
        if above { high = middle } else { low = middle }
    }
    // From the last entry backwards: towards the start of a converged vector the entries grow, and nothing cancels.
    let (mut after, mut entry, mut squares) = (0.0, 1.0_f64, 1.0_f64);
    for i in (1..k).rev() {
        let coupling = off_diagonal.get(i).copied().unwrap_or(0.0);
        let before = ((high - diagonal[i]) * entry - coupling * after) / off_diagonal[i - 1];
        (after, entry) = (entry, before);
        squares += before * before;
    }
    (high, if squares.is_finite() { 1.0 / squares.sqrt() } else { 0.0 })
}

/// `A^T (A x)`, reading each row once.
fn gram_times(a: &[f32], m: usize, x: &[f64]) -> Vec<f64> {
    let x: Vec<f32> = x.iter().map(|x| *x as f32).collect();
    let mut y = vec![0.0_f32; m];
    Arch::new().dispatch(GramTimes { a, x: &x, y: &mut y });
    y.into_iter().map(f64::from).collect()
}

struct GramTimes<'a> {
    a: &'a [f32],
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for GramTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, x, y } = self;
        let m = x.len();
        let mut rows = a.chunks_exact(4 * m);
        for four in &mut rows {
            let rows: [&[f32]; 4] = std::array::from_fn(|r| &four[r * m..(r + 1) * m]);
            // Written out: a closure would be compiled without the vector instructions.
            let shares = [
                row_dot(simd, rows[0], x),
                row_dot(simd, rows[1], x),
                row_dot(simd, rows[2], x),
                row_dot(simd, rows[3], x),
            ];
            let (ys, y_rest) = S::as_mut_simd_f32s(y);
            let (h0, h1) = (simd.splat_f32s(shares[0]), simd.splat_f32s(shares[1]));
            let (h2, h3) = (simd.splat_f32s(shares[2]), simd.splat_f32s(shares[3]));
            let [r0, r1, r2, r3] = rows.map(|row| &S::as_simd_f32s(row).0[..ys.len()]);
            for (i, y) in ys.iter_mut().enumerate() {
                let mut sum = simd.mul_add_f32s(r0[i], h0, *y);
                sum = simd.mul_add_f32s(r1[i], h1, sum);
                sum = simd.mul_add_f32s(r2[i], h2, sum);
                *y = simd.mul_add_f32s(r3[i], h3, sum);
            }
            let done = m - y_rest.len();
            for (i, y) in y_rest.iter_mut().enumerate() {
                *y += rows.iter().zip(shares).map(|(row, share)| row[done + i] * share).sum::<f32>();
            }
        }
        for row in rows.remainder().chunks_exact(m) {
            let share = row_dot(simd, row, x);
            y.iter_mut().zip(row).for_each(|(y, a)| *y += a * share);
        }
    }
}

#[inline(always)]
fn row_dot<S: Simd>(simd: S, row: &[f32], x: &[f32]) -> f32 {
    let ((rows, row_rest), (xs, x_rest)) = (S::as_simd_f32s(row), S::as_simd_f32s(x));
    let mut sums = [simd.splat_f32s(0.0); 4];
    let (mut p, mut q) = (rows.chunks_exact(4), xs.chunks_exact(4));
    for (p, q) in (&mut p).zip(&mut q) {
        for lane in 0..4 {
            sums[lane] = simd.mul_add_f32s(p[lane], q[lane], sums[lane]);
        }
    }
    for (p, q) in p.remainder().iter().zip(q.remainder()) {
        sums[0] = simd.mul_add_f32s(*p, *q, sums[0]);
    }
    let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
    simd.reduce_sum_f32s(sum) + row_rest.iter().zip(x_rest).map(|(a, b)| a * b).sum::<f32>()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

fn scaled(x: &[f64], by: f64) -> Vec<f64> {
    x.iter().map(|x| x * by).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::engine::{Engine, singular_values};
    use crate::linalg::softmax::softmax_rows;
    use crate::rng::stream;
    use ndarray::Array2;

    fn check(name: &str, a: &Array2<f32>) {
        let exact = singular_values(a.mapv(f64::from).view(), Engine::Faer).unwrap()[0];
        let found = spectral(a.view(), 1e-3, &mut stream(0, name));
        let off = (found.value - exact).abs();
        assert!(off <= found.bound + 2e-6 * exact, "{name}: {found:?}, exactly {exact}");
        assert!(found.bound <= 1e-3 * exact + 1e-30, "{name}: {found:?}");
        assert!(off <= 1e-3 * exact, "{name}: {found:?}, exactly {exact}");
    }

    #[test]
    fn norms_lie_within_their_bounds_of_the_exact_ones() {
        for (n, m) in [(1, 1), (1, 9), (9, 1), (7, 5), (5, 7), (33, 64), (130, 131)] {
            let mut rng = stream(4, &format!("norm {n} {m}"));
            check(&format!("gaussian {n} {m}"), &normal(&mut rng, n, m));
            let mut attention = normal(&mut rng, n, m) * 3.0;
            softmax_rows(attention.view_mut());
            check(&format!("attention {n} {m}"), &attention);
            let mut other = normal(&mut rng, n, m) * 3.0;
            softmax_rows(other.view_mut());
            check(&format!("difference {n} {m}"), &(attention - other));
        }
    }

    /// Where a start hardly holds the first vector, the second value looks like the norm for many steps.
    #[test]
    fn no_start_takes_the_second_value_for_the_first() {
        let values = [1.0, 0.997].into_iter().chain((0..31_u16).map(|i| 0.99 - 0.025 * f32::from(i)));
        let a = Array2::from_diag(&ndarray::Array1::from_iter(values));
        for start in 0..1000 {
            let found = spectral(a.view(), 1e-3, &mut stream(start, "starts"));
            assert!((found.value - 1.0).abs() < 1e-5, "{start}: {found:?}");
        }
    }

    #[test]
    fn special_matrices() {
        check("identity", &Array2::eye(40));
        check("rank one", &Array2::from_elem((30, 20), 0.25));
        check("two equal leaders", &Array2::from_diag(&ndarray::array![3.0, 3.0, 1.0, 0.5, 0.1]));
        let zero = spectral(Array2::zeros((6, 8)).view(), 1e-3, &mut stream(0, "zero"));
        assert_eq!((zero.value, zero.bound), (0.0, 0.0));
    }
}
