//! From rows to features: those of a map, and Performer's positive ones.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use pulp::Simd;

use super::rows::{Features, Rows};
use crate::attention::kernel::few::product;
use crate::attention::kernel::flat::Flat;
use crate::attention::kernel::share::whole_lines;
use crate::linalg::lanes::{Path, exp2};

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// From rows to features.
#[derive(Clone, Copy)]
pub(in crate::attention) enum Map<'a> {
    /// Those of a map.
    By(&'a dyn Features),
    /// `exp(w x' - |x'|^2 / 2 - max) + eps` with `x' = sqrt(scale) x`.
    Positive {
        /// (l, `d_h`)
        w: &'a [f32],
        eps: f32,
    },
}

/// Makes features.
#[derive(Clone, Copy)]
pub(in crate::attention) struct Maker<'a> {
    pub(in crate::attention) map: Map<'a>,
    /// `w^T` with the root of the scale and `log2 e` in it, (`d_h`, l in whole lines).
    transposed: &'a [f32],
    pub(in crate::attention) f: usize,
    d_h: usize,
    /// The factor on `|x|^2`.
    norm: f32,
    path: Path,
}

impl<'a> Maker<'a> {
    /// For `f` features; `transposed` takes what is kept of the directions, if there are any.
    pub(in crate::attention) fn new(
        heads: &Flat<'a>,
        f: usize,
        map: Map<'a>,
        transposed: &'a mut [f32],
    ) -> Self {
        let Flat { d_h, scale, .. } = *heads;
        if let Map::Positive { w, .. } = map {
            let factor = scale.sqrt() * LOG2_E;
            for (j, row) in w.chunks_exact(d_h).enumerate() {
                for (c, x) in row.iter().enumerate() {
                    transposed[c * whole_lines(f) + j] = x * factor;
                }
            }
        }
        Self { map, transposed, f, d_h, norm: -0.5 * scale * LOG2_E, path: heads.path }
    }

    /// Features that need no maximum, with zeros after them.
    pub(in crate::attention) fn plain(&self, rows: Rows, x: &[f32], phi: &mut [f32]) {
        if let Map::By(features) = self.map {
            features.make(self.path, rows, x, phi);
        }
    }

    /// The width of the rows.
    pub(in crate::attention) fn width(&self) -> usize {
        self.d_h
    }

    /// How many products of its length a row's exponents take: with every direction, and with itself.
    pub(in crate::attention) fn of_row(&self) -> usize {
        match self.map {
            Map::By(features) => features.macs()[0] / self.d_h,
            Map::Positive { .. } => self.f + 1,
        }
    }

    /// `w x'` of rows, and minus infinity after them; both in units of `log 2`.
    #[inline(always)]
    pub(in crate::attention) fn exponents<S: Simd>(&self, simd: S, x: &[f32], ones: &[f32], phi: &mut [f32]) {
        let width = whole_lines(self.f);
        product(simd, (x, self.d_h, self.d_h), (self.transposed, width), ones, (&mut *phi, width, width));
        for row in phi.chunks_exact_mut(width) {
            row[self.f..].fill(f32::NEG_INFINITY);
        }
    }

    /// The features of queries, each under its own maximum; returns what is added to each denominator. What follows a
    /// row's features is not zero.
    #[inline(always)]
    pub(in crate::attention) fn of_queries<S: Simd>(
        &self,
        simd: S,
        rows: Rows,
        q: &[f32],
        ones: &[f32],
        phi: &mut [f32],
    ) -> f32 {
        match self.map {
            Map::By(features) => {
                self.plain(rows, q, phi);
                features.eps()
            }
            Map::Positive { eps, .. } => {
                self.exponents(simd, q, ones, phi);
                let eps = simd.splat_f32s(eps);
                for (row, q) in phi.chunks_exact_mut(whole_lines(self.f)).zip(q.chunks_exact(self.d_h)) {
                    let shift = simd.splat_f32s(self.norm(simd, q) - largest(simd, row));
                    let (row, _) = S::as_mut_simd_f32s(row);
                    for x in row {
                        *x = simd.add_f32s(exp2(simd, simd.add_f32s(*x, shift)), eps);
                    }
                }
                0.0
            }
        }
    }

    /// `-|x'|^2 / 2` of one row.
    #[inline(always)]
    pub(in crate::attention) fn norm<S: Simd>(&self, simd: S, row: &[f32]) -> f32 {
        let (vectors, rest) = S::as_simd_f32s(row);
        let mut sum = simd.splat_f32s(0.0);
        for x in vectors {
            sum = simd.mul_add_e_f32s(*x, *x, sum);
        }
        let mut squares = simd.reduce_sum_f32s(sum);
        for x in rest {
            squares += x * x;
        }
        squares * self.norm
    }
}

/// The largest number of a row in whole lines.
#[inline(always)]
pub(in crate::attention) fn largest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (row, _) = S::as_simd_f32s(row);
    let mut max = row[0];
    for x in row {
        max = simd.max_f32s(*x, max);
    }
    simd.reduce_max_f32s(max)
}

#[inline(always)]
pub(in crate::attention) fn scale<S: Simd>(simd: S, x: &mut [f32], factor: f32) {
    let factor = simd.splat_f32s(factor);
    let (x, _) = S::as_mut_simd_f32s(x);
    for x in x {
        *x = simd.mul_f32s(*x, factor);
    }
}

#[inline(always)]
pub(in crate::attention) fn add<S: Simd>(simd: S, sums: &mut [f32], row: &[f32]) {
    let (sums, _) = S::as_mut_simd_f32s(sums);
    let (row, _) = S::as_simd_f32s(row);
    for (sum, x) in sums.iter_mut().zip(row) {
        *sum = simd.add_f32s(*sum, *x);
    }
}
