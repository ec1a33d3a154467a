//! The divergence of two distributions that are given by their logits: what the next-token predictions of two passes differ by.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use std::borrow::Cow;

use ndarray::ArrayView1;
use pulp::{Arch, Simd, WithSimd};

use super::softmax::exp;

/// Sums that run beside each other.
const LANES: usize = 16;
/// Logits so far below the largest add nothing to a sum of exponentials.
const NOTHING: f32 = 60.0;
/// Up to this size of x the series of `e^x - 1 - x` is taken: its first term left out is 3e-9 of it at most.
const SERIES: f64 = 1.0;

/// Of `p = softmax(a)` and `q = softmax(b)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Divergence {
    /// `sum p ln(p / q)`, in nats.
    pub(crate) kl: f64,
    /// `ln sum e^b - ln sum e^a`.
    pub(crate) log_ratio: f64,
}

impl Divergence {
    /// Of two rows of logits, and `p` as [`softmax_rows`](super::softmax::softmax_rows) makes it of the first.
    ///
    /// With `x = b - a` less its mean under p it is `ln sum p e^x = ln(1 + sum p (e^x - 1 - x))`: nothing cancels where the two
    /// are near to each other. Within 1e-5 of itself, or 1e-6 nats.
    ///
    /// # Panics
    /// If the lengths differ.
    pub(crate) fn of(p: ArrayView1<'_, f32>, a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> Self {
        assert!(p.len() == a.len() && p.len() == b.len(), "rows of one vocabulary");
        let (p, a, b) = (contiguous(p), contiguous(a), contiguous(b));
        Arch::new().dispatch(Rows { p: &p, a: &a, b: &b }).unwrap_or_else(|| in_f64(&a, &b))
    }
}

fn contiguous(row: ArrayView1<'_, f32>) -> Cow<'_, [f32]> {
    row.to_slice().map_or_else(|| Cow::Owned(row.to_vec()), Cow::Borrowed)
}

#[derive(Clone, Copy)]
struct Rows<'a> {
    p: &'a [f32],
    a: &'a [f32],
    b: &'a [f32],
}

impl WithSimd for Rows<'_> {
    /// None where f32 does not hold what counts: a large q where p is 0, or `e^x`.
    type Output = Option<Divergence>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Option<Divergence> {
        let mut sums = Sums::default();
        let (p, a, b) = (self.p.as_chunks(), self.a.as_chunks(), self.b.as_chunks());
        for at in 0..p.0.len() {
            sums.add(&p.0[at], &a.0[at], &b.0[at]);
        }
        let tail = [padded(p.1, 0.0), padded(a.1, f32::MIN), padded(b.1, f32::MIN)];
        sums.add(&tail[0], &tail[1], &tail[2]);
        let largest = |of: &[f32; LANES]| of.iter().fold(f32::MIN, |most, x| most.max(*x));
        if largest(&sums.where_p_is_0) > largest(&sums.largest) - NOTHING {
            return None;
        }
        let total: f64 = sums.total.iter().sum();
        let mean = sums.weighted.iter().sum::<f64>() / total;

        let mut rest = [0.0; LANES];
        for at in 0..p.0.len() {
            add_beyond(&mut rest, mean, &p.0[at], &a.0[at], &b.0[at]);
        }
        add_beyond(&mut rest, mean, &tail[0], &tail[1], &tail[2]);
        let kl = (rest.iter().sum::<f64>() / total).ln_1p();
        kl.is_finite().then_some(Divergence { kl, log_ratio: mean + kl })
    }
}

/// What is left of a row after its whole chunks, with a value that changes no sum after it.
#[inline(always)]
fn padded(rest: &[f32], with: f32) -> [f32; LANES] {
    let mut all = [with; LANES];
    all[..rest.len()].copy_from_slice(rest);
    all
}

struct Sums {
    /// Of p.
    total: [f64; LANES],
    /// Of `p (b - a)`.
    weighted: [f64; LANES],
    /// b.
    largest: [f32; LANES],
    /// b where p is 0.
    where_p_is_0: [f32; LANES],
}

impl Default for Sums {
    fn default() -> Self {
        let (zeros, least) = ([0.0; LANES], [f32::MIN; LANES]);
        Self { total: zeros, weighted: zeros, largest: least, where_p_is_0: least }
    }
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, p: &[f32; LANES], a: &[f32; LANES], b: &[f32; LANES]) {
        for i in 0..LANES {
            let weight = f64::from(p[i]);
            self.total[i] += weight;
            self.weighted[i] += weight * (f64::from(b[i]) - f64::from(a[i]));
            self.largest[i] = self.largest[i].max(b[i]);
            let hidden = if p[i] == 0.0 { b[i] } else { f32::MIN };
            self.where_p_is_0[i] = self.where_p_is_0[i].max(hidden);
        }
    }
}

/// Adds `p (e^x - 1 - x)` for `x = b - a - mean`.
#[inline(always)]
fn add_beyond(sums: &mut [f64; LANES], mean: f64, p: &[f32; LANES], a: &[f32; LANES], b: &[f32; LANES]) {
    for i in 0..LANES {
        let x = f64::from(b[i]) - f64::from(a[i]) - mean;
        let beyond = if x.abs() <= SERIES { beyond_linear(x) } else { f64::from(exp(x as f32)) - 1.0 - x };
        sums[i] += if p[i] == 0.0 { 0.0 } else { f64::from(p[i]) * beyond };
    }
}

/// `e^x - 1 - x` by its series: `x^2 (1/2! + x (1/3! + ...))`.
#[inline(always)]
fn beyond_linear(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
    ];
    let mut sum = 0.0;
    for k in 0..COEFFICIENTS.len() {
        sum = sum * x + COEFFICIENTS[k];
    }
    x * x * sum
}

/// The same in f64, for any logits.
fn in_f64(a: &[f32], b: &[f32]) -> Divergence {
    let log_sum = |row: &[f32]| {
        let largest = row.iter().fold(f64::NEG_INFINITY, |most, x| most.max(f64::from(*x)));
        largest + row.iter().map(|x| (f64::from(*x) - largest).exp()).sum::<f64>().ln()
    };
    let (log_a, log_b) = (log_sum(a), log_sum(b));
    let terms = a.iter().zip(b).map(|(a, b)| {
        let (a, b) = (f64::from(*a) - log_a, f64::from(*b) - log_b);
        let p = a.exp();
        // A token that neither has.
        if p == 0.0 { 0.0 } else { p * (a - b) }
    });
    Divergence { kl: terms.sum(), log_ratio: log_b - log_a }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Axis};

    use super::*;
    use crate::linalg::softmax::softmax_rows;
    use crate::rng::{normal, stream};

    fn found(a: &[f32], b: &[f32]) -> Divergence {
        let mut p = Array1::from(a.to_vec()).insert_axis(Axis(0));
        softmax_rows(p.view_mut());
        Divergence::of(p.row(0), a.into(), b.into())
    }

    #[test]
    fn divergences_of_any_size_and_length_are_those_of_f64() {
        let mut rng = stream(4, "divergences");
        for length in [1, 2, 15, 16, 17, 500] {
            for size in [1e-4_f32, 1e-2, 1.0, 5.0, 20.0] {
                let mut row = || normal(&mut rng, 1, length).into_raw_vec_and_offset().0;
                let a: Vec<f32> = row().iter().map(|x| 2.0 * x).collect();
                // A shift of all logits changes nothing but the sums.
                let b: Vec<f32> = a.iter().zip(row()).map(|(a, x)| a + size * x + 3.0).collect();
                let (found, expected) = (found(&a, &b), in_f64(&a, &b));
                let off = (found.kl - expected.kl).abs();
                assert!(off < 1e-5 * expected.kl + 1e-12, "{length}, {size}: {found:?} {expected:?}");
                let off = (found.log_ratio - expected.log_ratio).abs();
                assert!(
                    off < 1e-6 * (1.0 + expected.log_ratio.abs()),
                    "{length}, {size}: {found:?} {expected:?}"
                );
            }
        }
    }

    /// The second distribution is where the first has a probability that f32 does not hold.
    #[test]
    fn what_f32_does_not_hold_is_computed_in_f64() {
        for most in [40.0_f32, 86.0, 88.0, 120.0, 300.0] {
            let (a, b) = ([most, 0.0, 1.0, -1.0], [0.0, most, 1.0, -1.0]);
            let (found, expected) = (found(&a, &b), in_f64(&a, &b));
            assert!((found.kl - expected.kl).abs() < 1e-5 * expected.kl, "{most}: {found:?} {expected:?}");
            assert!((found.log_ratio - expected.log_ratio).abs() < 1e-4, "{most}: {found:?} {expected:?}");
        }
        assert!(found(&[0.0, f32::NAN], &[0.0, 1.0]).kl.is_nan());
    }

    #[test]
    fn the_series_meets_the_exponential() {
        for x in [-1.0_f64, -0.3, 0.2, 0.9999] {
            assert!((beyond_linear(x) / (x.exp() - 1.0 - x) - 1.0).abs() < 1e-8, "{x}");
        }
        assert_eq!(beyond_linear(0.0), 0.0);
    }
}
