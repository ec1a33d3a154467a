//! A symmetric band matrix as `Q T Q^T` with `T` tridiagonal, where `Q` leaves `e_1` alone.
//!
//! The second of two stages: a sweep for each column annihilates it below the first off-diagonal with a reflection of `B` rows
//! and chases the bulge that this makes down the band, `B` rows a step (Schwarz 1968; Lang 1993). Several sweeps run one behind
//! the other, so that their part of the band stays in the cache.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use pulp::{Arch, Simd, WithSimd};

use super::band::Band;
use super::householder::Reflection;
use super::tile::{vectors, vectors_mut};
use super::tridiagonal::Tridiagonal;
use crate::error::Result;

/// Sweeps that run one behind the other.
const SWEEPS: usize = 8;

/// Reduces a band matrix. `alive` is called after every few sweeps.
pub(super) fn tridiagonal<const B: usize>(
    mut band: Band<B>,
    alive: &dyn Fn() -> Result<()>,
) -> Result<Tridiagonal> {
    let n = band.n;
    let arch = Arch::new();
    for first in (0..n.saturating_sub(2)).step_by(SWEEPS) {
        alive()?;
        arch.dispatch(Sweeps { band: &mut band, first });
    }
    let entry = |i: usize, j: usize| band.data[Band::<B>::at(i, j)];
    Ok(Tridiagonal {
        diagonal: (0..n).map(|i| entry(i, i)).collect(),
        off_diagonal: (1..n).map(|i| entry(i, i - 1)).collect(),
    })
}

/// The sweeps of columns `first..first + SWEEPS`.
struct Sweeps<'a, const B: usize> {
    band: &'a mut Band<B>,
    first: usize,
}

impl<const B: usize> WithSimd for Sweeps<'_, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match B / S::F64_LANES {
            2 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            8 => self.run::<S, 8>(simd),
            16 => self.run::<S, 16>(simd),
            _ => self.run::<S, 32>(simd),
        }
    }
}

impl<const B: usize> Sweeps<'_, B> {
    #[inline(always)]
    fn run<S: Simd, const NV: usize>(self, simd: S) {
        let Self { band: Band { n, data, nothing }, first } = self;
        let sweeps = SWEEPS.min(*n - 2 - first);
        let mut reflections = [([0.0; B], 0.0); SWEEPS];
        let steps = (*n - first).div_ceil(B);
        for turn in 0..steps + 2 * sweeps {
            for (sweep, (v, tau)) in reflections.iter_mut().enumerate().take(sweeps) {
                // A step changes what the step before and the one after it in the next sweep change: two apart are safe.
                let Some(step) = turn.checked_sub(2 * sweep) else { break };
                let row = first + sweep + 1 + step * B;
                if row >= *n {
                    continue;
                }
                if step == 0 {
                    let column = &mut data[Band::<B>::at(row, row - 1)..][..B];
                    v.copy_from_slice(column);
                    let found = Reflection::of(v, *nothing);
                    column.fill(0.0);
                    column[0] = found.beta;
                    *tau = found.tau;
                }
                *tau = chase::<S, NV, B>(simd, data, row, v, *tau, *nothing);
            }
        }
    }
}

/// Applies the reflection `v` of rows `row..row + B` from both sides; it makes `B` columns full below the band, of which a new
/// reflection annihilates the first. That one replaces `v`, and its `tau` is returned.
///
/// Rows past the end of the matrix are zeros and stay zeros.
#[inline(always)]
fn chase<S: Simd, const NV: usize, const B: usize>(
    simd: S,
    data: &mut [f64],
    row: usize,
    v: &mut [f64; B],
    tau: f64,
    nothing: f64,
) -> f64 {
    let stride = Band::<B>::STRIDE;
    // Columns of D, which is symmetric and stored as a whole, with E below it.
    let block = &mut data[Band::<B>::at(row, row)..][..(B - 1) * stride + 2 * B];
    let mut sums = [[simd.splat_f64s(0.0); NV]; 2];
    for (column, v) in block.chunks(stride).zip(&*v) {
        let x = simd.splat_f64s(*v);
        let (d, e) = (vectors::<S, NV>(column), vectors::<S, NV>(&column[B..]));
        for k in 0..NV {
            sums[0][k] = simd.mul_add_e_f64s(x, d[k], sums[0][k]);
            sums[1][k] = simd.mul_add_e_f64s(x, e[k], sums[1][k]);
        }
    }
    let (mut dv, mut ev) = ([0.0; B], [0.0; B]);
    *vectors_mut::<S, NV>(&mut dv) = sums[0];
    *vectors_mut::<S, NV>(&mut ev) = sums[1];

    // D - v w^T - w v^T with w = tau D v - (tau^2 / 2) (v . D v) v.
    let mut dot = 0.0;
    for (x, v) in dv.iter().zip(&*v) {
        dot += x * v;
    }
    let mut w = dv;
    for (w, v) in w.iter_mut().zip(&*v) {
        *w = tau * *w - 0.5 * tau * tau * dot * v;
    }
    let (vs, ws) = (*vectors::<S, NV>(v), *vectors::<S, NV>(&w));
    for (k, column) in block.chunks_mut(stride).enumerate() {
        let (minus_v, minus_w) = (simd.splat_f64s(-v[k]), simd.splat_f64s(-w[k]));
        let d = vectors_mut::<S, NV>(column);
        for c in 0..NV {
            d[c] = simd.mul_add_e_f64s(ws[c], minus_v, simd.mul_add_e_f64s(vs[c], minus_w, d[c]));
        }
    }

    // E - tau E v v^T, whose first column the next reflection annihilates.
    for x in &mut ev {
        *x *= tau;
    }
    let mut next = [0.0; B];
    for ((next, e), x) in next.iter_mut().zip(&block[B..2 * B]).zip(&ev) {
        *next = e - x * v[0];
    }
    let found = Reflection::of(&mut next, nothing);
    let (xs, ns) = (*vectors::<S, NV>(&ev), *vectors::<S, NV>(&next));
    let mut first_row = [0.0; B];
    for (k, column) in block.chunks_mut(stride).enumerate().skip(1) {
        let minus_v = simd.splat_f64s(-v[k]);
        let e = vectors_mut::<S, NV>(&mut column[B..]);
        let mut sum = simd.splat_f64s(0.0);
        let mut changed = *e;
        for c in 0..NV {
            changed[c] = simd.mul_add_e_f64s(xs[c], minus_v, changed[c]);
            sum = simd.mul_add_e_f64s(changed[c], ns[c], sum);
        }
        let z = simd.splat_f64s(-found.tau * sum_of_lanes::<S>(sum));
        for c in 0..NV {
            e[c] = simd.mul_add_e_f64s(ns[c], z, changed[c]);
        }
        first_row[k] = column[B];
    }
    block[B..2 * B].fill(0.0);
    block[B] = found.beta;
    // What the next sweep has in the last column of its D.
    data[Band::<B>::at(row + 1, row + B)..][..B - 1].copy_from_slice(&first_row[1..]);
    *v = next;
    found.tau
}

/// The sum of a vector's lanes. `pulp`'s own is not inlined into its caller (0.24 ms of 1.9 at n = 512).
#[inline(always)]
fn sum_of_lanes<S: Simd>(x: S::f64s) -> f64 {
    let mut lanes = [0.0; 8];
    vectors_mut::<S, 1>(&mut lanes)[0] = x;
    let mut half = S::F64_LANES / 2;
    while half > 0 {
        for k in 0..half {
            lanes[k] += lanes[k + half];
        }
        half /= 2;
    }
    lanes[0]
}
