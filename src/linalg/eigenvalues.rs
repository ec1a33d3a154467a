//! Eigenvalues of symmetric tridiagonal matrices, by the signs and values of their characteristic polynomials.
//!
//! The number of sign changes in the sequence of leading minors of `T - x` is the number of eigenvalues below `x` (Sturm). Bisection
//! separates the eigenvalues; one that is alone in its interval is found by interpolation of the determinant, whose sign says on
//! which side it is (regula falsi with Anderson and Bjorck's weights, and bisection where that is slow). The minors follow from a
//! recurrence without divisions, scaled every few rows, for 32 points at once: a QL iteration is one long chain of dependent
//! divisions, and takes three times as long (`benches/spectra.rs`).
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use pulp::{Arch, Simd, WithSimd};

use super::tile::{vectors, vectors_mut};
use super::tridiagonal::Tridiagonal;
use crate::error::{Error, Result};

/// Couplings up to this share of the largest element count as zero: far below the rounding of any matrix that this is used for.
const UNCOUPLED: f64 = f64::EPSILON / 16.0;

/// Points in one evaluation.
const POINTS: usize = 32;

/// Evaluations from one call of `alive` to the next: milliseconds at n = 8192.
const BATCH: usize = 64;

/// Rows from one scaling of the minors to the next. Two rows shrink them to no less than `UNCOUPLED` squared, 2^-112.
const SCALING: usize = 8;

/// Minors below 2^-500 or above 2^500 are scaled by that much, more than [`SCALING`] rows shrink them.
const STEP: f64 = 500.0;

/// Eigenvalues, largest first, of a tridiagonal matrix, within a few units of rounding of the largest; an error if an element
/// is NaN or infinite. `alive` is called after every few evaluations.
pub(super) fn of(matrix: &Tridiagonal, alive: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
    let (d, e) = (&matrix.diagonal, &matrix.off_diagonal);
    if !d.iter().chain(e).all(|x| x.is_finite()) {
        return Err(Error::Convergence { what: "the eigenvalues of a tridiagonal matrix".into() });
    }
    let largest = d.iter().chain(e).fold(0.0, |largest: f64, x| largest.max(x.abs()));
    // A power of two, so that scaling is exact: every element is at most 1 then.
    let scale = (-largest.max(f64::MIN_POSITIVE).log2().ceil()).clamp(-1022.0, 1022.0).exp2();
    let mut found = Vec::with_capacity(d.len());
    let mut start = 0;
    for end in 1..=d.len() {
        if end == d.len() || e[end - 1].abs() <= UNCOUPLED * largest {
            if end - start == 1 {
                found.push(d[start]);
            } else {
                let values = Block::new(&d[start..end], &e[start..end - 1], scale).eigenvalues(alive)?;
                found.extend(values.into_iter().map(|x| x / scale));
            }
            start = end;
        }
    }
    found.sort_unstable_by(|a, b| b.total_cmp(a));
    Ok(found)
}

/// A number `fraction * 2^exponent`.
#[derive(Clone, Copy, Debug, Default)]
struct Scaled {
    fraction: f64,
    exponent: i64,
}

impl Scaled {
    /// `|self / other|`, at most about 1e300.
    fn ratio(self, other: Self) -> f64 {
        let exponent = (self.exponent - other.exponent).clamp(-1000, 1000);
        let power = f64::from_bits(((1023 + exponent) as u64) << 52);
        (self.fraction / other.fraction).abs() * power
    }
}

/// The end of an interval: eigenvalues below it, and the determinant there, zero where it is not known.
#[derive(Clone, Copy, Debug)]
struct End {
    x: f64,
    below: usize,
    value: Scaled,
}

/// An interval that holds eigenvalues.
#[derive(Clone, Copy, Debug)]
struct Interval {
    low: End,
    high: End,
    /// Which end the last interpolation moved.
    moved: Option<Moved>,
    /// Interpolations since the width was `mark`.
    tried: usize,
    mark: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Low,
    High,
}

/// Interpolations within which an interval must shrink to an eighth, else it is bisected.
const TRIES: usize = 3;

impl Interval {
    fn new(low: End, high: End) -> Self {
        Self { low, high, moved: None, tried: 0, mark: high.x - low.x }
    }

    fn count(&self) -> usize {
        self.high.below - self.low.below
    }

    fn width(&self) -> f64 {
        self.high.x - self.low.x
    }

    /// Where to evaluate next.
    fn point(&mut self, tolerance: f64) -> f64 {
        let middle = 0.5 * (self.low.x + self.high.x);
        let known = self.low.value.fraction != 0.0 && self.high.value.fraction != 0.0;
        if self.count() > 1 || !known {
            return middle;
        }
        if self.tried == TRIES {
            let slow = self.width() > self.mark / 8.0;
            (self.tried, self.mark) = (0, self.width());
            if slow {
                self.moved = None;
                return middle;
            }
        }
        self.tried += 1;
        let share = 1.0 / (1.0 + self.high.value.ratio(self.low.value));
        // Beyond a root that is nearly found already, so that the interval closes.
        let (first, last) = (self.low.x + 0.5 * tolerance, self.high.x - 0.5 * tolerance);
        (self.low.x + share * self.width()).max(first).min(last)
    }

    /// The interval of one eigenvalue, with one end moved to the point.
    fn shrink(&mut self, at: End) {
        let weight = |before: Scaled| {
            let weight = 1.0 - at.value.ratio(before);
            if weight > 0.0 { weight } else { 0.5 }
        };
        if at.below > self.low.below {
            if self.moved == Some(Moved::High) {
                self.low.value.fraction *= weight(self.high.value);
            }
            (self.high, self.moved) = (at, Some(Moved::High));
        } else {
            if self.moved == Some(Moved::Low) {
                self.high.value.fraction *= weight(self.low.value);
            }
            (self.low, self.moved) = (at, Some(Moved::Low));
        }
    }
}

/// A tridiagonal matrix with no coupling of zero, and elements of at most 1.
struct Block {
    /// The diagonal, and before each element the square of the coupling to the one before: zero at first.
    rows: Vec<[f64; 2]>,
    low: f64,
    high: f64,
}

impl Block {
    fn new(d: &[f64], e: &[f64], scale: f64) -> Self {
        let before = std::iter::once(0.0).chain(e.iter().map(|x| scale * x.abs()));
        let after = e.iter().map(|x| scale * x.abs()).chain(std::iter::once(0.0));
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut rows = Vec::with_capacity(d.len());
        for ((d, before), after) in d.iter().zip(before).zip(after) {
            let d = scale * d;
            (low, high) = (low.min(d - before - after), high.max(d + before + after));
            rows.push([d, before * before]);
        }
        Self { rows, low, high }
    }

    fn eigenvalues(&self, alive: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
        let n = self.rows.len();
        let tolerance = 2.0 * f64::EPSILON * self.low.abs().max(self.high.abs());
        // Gershgorin's bounds hold for the matrix, and may be rounded.
        let end = |x, below| End { x, below, value: Scaled::default() };
        let whole = Interval::new(end(self.low - tolerance, 0), end(self.high + tolerance, n));
        let (mut waiting, mut found) = (vec![whole], Vec::with_capacity(n));
        let arch = Arch::new();
        let mut evaluations = 0;
        while !waiting.is_empty() {
            if evaluations % BATCH == 0 {
                alive()?;
            }
            evaluations += 1;
            let mut now = waiting.split_off(waiting.len().saturating_sub(POINTS));
            let mut points = [0.0; POINTS];
            for (point, interval) in points.iter_mut().zip(&mut now) {
                *point = interval.point(tolerance);
            }
            let results = arch.dispatch(Minors { rows: &self.rows, points: &points, used: now.len() });
            for (mut interval, (x, (below, value))) in now.into_iter().zip(points.into_iter().zip(results)) {
                let at = End { x, below: below.clamp(interval.low.below, interval.high.below), value };
                let mut keep = |interval: Interval| {
                    if interval.count() > 0 && interval.width() <= tolerance {
                        let middle = 0.5 * (interval.low.x + interval.high.x);
                        found.extend(std::iter::repeat_n(middle, interval.count()));
                    } else if interval.count() > 0 {
                        waiting.push(interval);
                    }
                };
                if interval.count() == 1 {
                    interval.shrink(at);
                    keep(interval);
                } else {
                    keep(Interval::new(interval.low, at));
                    keep(Interval::new(at, interval.high));
                }
            }
        }
        Ok(found)
    }
}

/// For each of the first `used` points: the number of eigenvalues below it, and the determinant of the matrix less the point.
struct Minors<'a> {
    rows: &'a [[f64; 2]],
    points: &'a [f64; POINTS],
    used: usize,
}

impl WithSimd for Minors<'_> {
    type Output = [(usize, Scaled); POINTS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        const NV: usize = 4;
        let Self { rows, points, used } = self;
        let mut results = [(0, Scaled::default()); POINTS];
        let lanes = NV * S::F64_LANES;
        let (one, zero) = (simd.splat_f64s(1.0), simd.splat_f64s(0.0));
        let sign = simd.splat_f64s(-0.0);
        let [few, many] = [-STEP, STEP].map(f64::exp2);
        let [few, many, down, up] = [few, many, -STEP, STEP].map(|x| simd.splat_f64s(x));
        for (points, results) in
            points.chunks_exact(lanes).zip(results.chunks_exact_mut(lanes)).take(used.div_ceil(lanes))
        {
            let x = *vectors::<S, NV>(points);
            let (mut now, mut before) = ([one; NV], [zero; NV]);
            // Rows without a sign change less rows with one, and exponents that scaling took away.
            let (mut signs, mut exponents) = ([zero; NV], [zero; NV]);
            for rows in rows.chunks(SCALING) {
                for [d, e] in rows {
                    let (d, e) = (simd.splat_f64s(*d), simd.splat_f64s(-*e));
                    for k in 0..NV {
                        let next =
                            simd.mul_add_e_f64s(simd.sub_f64s(d, x[k]), now[k], simd.mul_f64s(e, before[k]));
                        let change = simd.and_f64s(simd.xor_f64s(next, now[k]), sign);
                        signs[k] = simd.add_f64s(signs[k], simd.or_f64s(change, one));
                        (before[k], now[k]) = (now[k], next);
                    }
                }
                for k in 0..NV {
                    let largest = simd.max_f64s(simd.abs_f64s(now[k]), simd.abs_f64s(before[k]));
                    let (small, large) =
                        (simd.less_than_f64s(largest, few), simd.less_than_f64s(many, largest));
                    let choose = |small_value, large_value, other| {
                        simd.select_f64s(small, small_value, simd.select_f64s(large, large_value, other))
                    };
                    let scale = choose(many, few, one);
                    now[k] = simd.mul_f64s(now[k], scale);
                    before[k] = simd.mul_f64s(before[k], scale);
                    exponents[k] = simd.add_f64s(exponents[k], choose(down, up, zero));
                }
            }
            let (mut values, mut changes, mut sums) = ([0.0; POINTS], [0.0; POINTS], [0.0; POINTS]);
            *vectors_mut::<S, NV>(&mut values) = now;
            *vectors_mut::<S, NV>(&mut changes) = signs;
            *vectors_mut::<S, NV>(&mut sums) = exponents;
            for (((result, value), changes), sum) in results.iter_mut().zip(values).zip(changes).zip(sums) {
                let below = 0.5 * (rows.len() as f64 - changes);
                *result = (below as usize, Scaled { fraction: value, exponent: sum as i64 });
            }
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(matrix: &Tridiagonal) -> Result<(Vec<f64>, Vec<f64>)> {
        let alive = || Ok(());
        Ok((of(matrix, &alive)?, of(&matrix.without_first(), &alive)?))
    }

    /// Wilkinson's matrix has pairs of eigenvalues that agree in all their digits.
    #[test]
    fn eigenvalues_that_are_nearly_equal() {
        let half = 20_i32;
        let n = 2 * half as usize + 1;
        let diagonal = (-half..=half).map(|i| f64::from(i.abs())).collect();
        let matrix = Tridiagonal { diagonal, off_diagonal: vec![1.0; n - 1] };
        let (all, _) = both(&matrix).unwrap();
        assert_eq!(all.len(), n);
        assert!((all[0] - 20.746_194_182_903_393).abs() < 1e-13, "{}", all[0]);
        assert!((all[0] - all[1]).abs() < 1e-13);
        let trace: f64 = all.iter().sum();
        assert!((trace - f64::from(half * (half + 1))).abs() < 1e-11, "{trace}");
    }

    #[test]
    fn what_is_not_finite_is_an_error_and_not_an_endless_loop() {
        for odd in [f64::NAN, f64::INFINITY, 1e200, 1e-308] {
            let mut diagonal = vec![1.0; 8];
            diagonal[3] = odd;
            for off_diagonal in [vec![0.5; 7], vec![odd; 7]] {
                let matrix = Tridiagonal { diagonal: diagonal.clone(), off_diagonal };
                match both(&matrix) {
                    Ok((all, _)) => assert!(odd.is_finite() && all.iter().all(|x| x.is_finite()), "{odd}"),
                    Err(error) => {
                        assert!(!odd.is_finite());
                        assert!(
                            error.to_string().contains("the eigenvalues of a tridiagonal matrix"),
                            "{error}"
                        );
                    }
                }
            }
        }
    }
}
