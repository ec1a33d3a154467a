//! Products of small blocks, `out = last(a b)` and `out += a^T b`, by tiles of registers.
//!
//! `last` is what becomes of each number of a product while it is still in a register: a weight, a slope, a sum. All
//! rows that vectors run along come in whole cache lines.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use pulp::{Simd, WithSimd};

use crate::linalg::lanes::{Path, dots, exp2, outers, vectors, vectors_mut};

/// Numbers, and how far apart their rows are.
pub(in crate::attention) type Rows<'a> = (&'a [f32], usize);

/// What becomes of the number of a product at `row` and columns `at`, where `old` stood.
pub(in crate::attention) trait Last: Copy {
    fn last<S: Simd>(&self, simd: S, row: usize, at: usize, found: S::f32s, old: S::f32s) -> S::f32s;
}

/// The product itself.
#[derive(Clone, Copy)]
pub(in crate::attention) struct Set;

/// The product on top of what stood there.
#[derive(Clone, Copy)]
pub(in crate::attention) struct Add;

/// `2^(factor x - log)`: softmax weights, the logarithms of their sums by rows.
#[derive(Clone, Copy)]
pub(in crate::attention) struct Weights<'a> {
    pub(in crate::attention) logs: &'a [f32],
    pub(in crate::attention) factor: f32,
}

/// As [`Weights`], the logarithms by columns.
#[derive(Clone, Copy)]
pub(in crate::attention) struct WeightsAcross<'a> {
    pub(in crate::attention) logs: &'a [f32],
    pub(in crate::attention) factor: f32,
}

/// `scale weight (x - mean)`: gradients of logits, the weighted means of x by rows.
#[derive(Clone, Copy)]
pub(in crate::attention) struct LogitGradients<'a> {
    pub(in crate::attention) weights: Rows<'a>,
    pub(in crate::attention) means: &'a [f32],
    pub(in crate::attention) scale: f32,
}

/// `scale weight (x + what stood there - mean)`, the means by columns.
#[derive(Clone, Copy)]
pub(in crate::attention) struct LogitGradientsAcross<'a> {
    pub(in crate::attention) weights: Rows<'a>,
    pub(in crate::attention) means: &'a [f32],
    pub(in crate::attention) scale: f32,
}

impl Last for Set {
    #[inline(always)]
    fn last<S: Simd>(&self, _: S, _: usize, _: usize, found: S::f32s, _: S::f32s) -> S::f32s {
        found
    }
}

impl Last for Add {
    #[inline(always)]
    fn last<S: Simd>(&self, simd: S, _: usize, _: usize, found: S::f32s, old: S::f32s) -> S::f32s {
        simd.add_f32s(old, found)
    }
}

impl Last for Weights<'_> {
    #[inline(always)]
    fn last<S: Simd>(&self, simd: S, row: usize, _: usize, found: S::f32s, _: S::f32s) -> S::f32s {
        let log = simd.splat_f32s(-self.logs[row]);
        exp2(simd, simd.mul_add_e_f32s(found, simd.splat_f32s(self.factor), log))
    }
}

impl Last for WeightsAcross<'_> {
    #[inline(always)]
    fn last<S: Simd>(&self, simd: S, _: usize, at: usize, found: S::f32s, _: S::f32s) -> S::f32s {
        let log = vectors::<S, 1>(&self.logs[at..])[0];
        exp2(simd, simd.sub_f32s(simd.mul_f32s(found, simd.splat_f32s(self.factor)), log))
    }
}

impl Last for LogitGradients<'_> {
    #[inline(always)]
    fn last<S: Simd>(&self, simd: S, row: usize, at: usize, found: S::f32s, _: S::f32s) -> S::f32s {
        let weight = vectors::<S, 1>(&self.weights.0[row * self.weights.1 + at..])[0];
        let off = simd.sub_f32s(found, simd.splat_f32s(self.means[row]));
        simd.mul_f32s(simd.mul_f32s(weight, simd.splat_f32s(self.scale)), off)
    }
}

impl Last for LogitGradientsAcross<'_> {
    #[inline(always)]
    fn last<S: Simd>(&self, simd: S, row: usize, at: usize, found: S::f32s, old: S::f32s) -> S::f32s {
        let weight = vectors::<S, 1>(&self.weights.0[row * self.weights.1 + at..])[0];
        let off = simd.sub_f32s(simd.add_f32s(found, old), vectors::<S, 1>(&self.means[at..])[0]);
        simd.mul_f32s(simd.mul_f32s(weight, simd.splat_f32s(self.scale)), off)
    }
}

/// `out = last(a b)`: `rows` rows of `a` of a `depth`, as many rows of `b`, `width` columns in whole cache lines.
pub(in crate::attention) fn product<E: Last>(
    path: Path,
    (rows, depth, width): (usize, usize, usize),
    a: Rows<'_>,
    b: Rows<'_>,
    out: (&mut [f32], usize),
    last: E,
) {
    if rows > 0 && depth > 0 {
        path.run(Product { shape: (rows, depth, width), a, b, out, last });
    }
}

struct Product<'a, E> {
    shape: (usize, usize, usize),
    a: Rows<'a>,
    b: Rows<'a>,
    out: (&'a mut [f32], usize),
    last: E,
}

impl<E: Last> WithSimd for Product<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = self.shape.2;
        let mut panel = 0;
        while panel < width {
            panel += match (S::F32_LANES, (width - panel) / 16) {
                (16, 1) => self.columns::<S, 8, 1>(simd, panel),
                (16, 2 | 3) => self.columns::<S, 8, 2>(simd, panel),
                (16, _) => self.columns::<S, 6, 4>(simd, panel),
                (8, _) => self.columns::<S, 6, 2>(simd, panel),
                _ => self.columns::<S, 4, 1>(simd, panel),
            };
        }
    }
}

impl<E: Last> Product<'_, E> {
    /// One panel of columns; returns how many there are.
    #[inline(always)]
    fn columns<S: Simd, const R: usize, const NV: usize>(&mut self, simd: S, panel: usize) -> usize {
        let Self { shape: (rows, depth, _), a: (a, lda), b: (b, ldb), out: (out, ldo), last } = self;
        let mut i = 0;
        while i < *rows {
            let mut group: [&[f32]; R] = [&[]; R];
            for r in 0..R {
                // The last rows are computed again where fewer than R are left, and not kept.
                group[r] = &a[(i + r).min(*rows - 1) * *lda..][..*depth];
            }
            let found = dots::<S, R, NV>(simd, group, &b[panel..], *ldb);
            for r in 0..R {
                if i + r < *rows {
                    let row = vectors_mut::<S, NV>(&mut out[(i + r) * *ldo + panel..]);
                    for c in 0..NV {
                        row[c] = last.last(simd, i + r, panel + c * S::F32_LANES, found[r][c], row[c]);
                    }
                }
            }
            i += R;
        }
        NV * S::F32_LANES
    }
}

/// `out += a^T b`: `depth` rows of `a` of which `columns` are read, as many rows of `b`, `width` numbers of each in whole
/// cache lines.
pub(in crate::attention) fn outer(
    path: Path,
    (depth, columns, width): (usize, usize, usize),
    a: Rows<'_>,
    b: Rows<'_>,
    out: (&mut [f32], usize),
) {
    if depth > 0 && columns > 0 {
        path.run(Outer { shape: (depth, columns, width), a, b, out });
    }
}

struct Outer<'a> {
    shape: (usize, usize, usize),
    a: Rows<'a>,
    b: Rows<'a>,
    out: (&'a mut [f32], usize),
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = self.shape.2;
        let mut panel = 0;
        while panel < width {
            panel += match (S::F32_LANES, (width - panel) / 16) {
                (16, 1) => self.columns::<S, 8, 1>(simd, panel),
                (16, 2 | 3) => self.columns::<S, 8, 2>(simd, panel),
                (16, _) => self.columns::<S, 6, 4>(simd, panel),
                (8, _) => self.columns::<S, 6, 2>(simd, panel),
                _ => self.columns::<S, 4, 1>(simd, panel),
            };
        }
    }
}

impl Outer<'_> {
    /// One panel of columns of `b`; returns how many there are.
    #[inline(always)]
    fn columns<S: Simd, const R: usize, const NV: usize>(&mut self, simd: S, panel: usize) -> usize {
        let columns = self.shape.1;
        let mut at = 0;
        while at < columns {
            if columns >= R {
                // The last columns are computed again where fewer than R are left, and not added.
                let first = at.min(columns - R);
                self.add::<S, R, NV>(simd, first, at - first, panel);
                at = first + R;
            } else {
                self.add::<S, 1, NV>(simd, at, 0, panel);
                at += 1;
            }
        }
        NV * S::F32_LANES
    }

    /// `R` columns of `a` from `first` on, of which `skip` are not added.
    #[inline(always)]
    fn add<S: Simd, const R: usize, const NV: usize>(
        &mut self,
        simd: S,
        first: usize,
        skip: usize,
        panel: usize,
    ) {
        let Self { shape: (depth, _, _), a: (a, lda), b: (b, ldb), out: (out, ldo) } = self;
        let found = outers::<S, R, NV>(simd, *depth, &a[first..], *lda, &b[panel..], *ldb);
        for r in 0..R {
            if r >= skip {
                let row = vectors_mut::<S, NV>(&mut out[(first + r) * *ldo + panel..]);
                for c in 0..NV {
                    row[c] = simd.add_f32s(row[c], found[r][c]);
                }
            }
        }
    }
}

/// Logits of each row, times a factor, become shares that sum to 1; `logs` get the logarithms (to base 2) of the sums.
pub(in crate::attention) struct Softmax<'a> {
    /// Rows of `width` numbers in whole cache lines, of which the first `count` are logits.
    pub(in crate::attention) rows: &'a mut [f32],
    pub(in crate::attention) width: usize,
    pub(in crate::attention) count: usize,
    pub(in crate::attention) factor: f32,
    pub(in crate::attention) logs: &'a mut [f32],
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let factor = simd.splat_f32s(self.factor);
        for (row, log) in self.rows.chunks_exact_mut(self.width).zip(self.logs) {
            let (vectors, _) = S::as_mut_simd_f32s(row);
            for x in vectors {
                *x = simd.mul_f32s(*x, factor);
            }
            row[self.count..].fill(f32::NEG_INFINITY);
            let (vectors, _) = S::as_mut_simd_f32s(row);
            let mut max = vectors[0];
            for x in &*vectors {
                max = simd.max_f32s(*x, max);
            }
            let top = simd.reduce_max_f32s(max);
            let mut sum = simd.splat_f32s(0.0);
            for x in &mut *vectors {
                *x = exp2(simd, simd.sub_f32s(*x, simd.splat_f32s(top)));
                sum = simd.add_f32s(sum, *x);
            }
            let total = simd.reduce_sum_f32s(sum);
            let inverse = simd.splat_f32s(1.0 / total);
            for x in vectors {
                *x = simd.mul_f32s(*x, inverse);
            }
            *log = top + total.log2();
        }
    }
}

/// `out[i] = a[i] . b[i]` of rows of whole cache lines.
pub(in crate::attention) struct RowDots<'a> {
    pub(in crate::attention) a: &'a [f32],
    pub(in crate::attention) b: &'a [f32],
    pub(in crate::attention) width: usize,
    pub(in crate::attention) out: &'a mut [f32],
}

impl WithSimd for RowDots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.a.chunks_exact(self.width).zip(self.b.chunks_exact(self.width));
        for ((a, b), out) in rows.zip(self.out) {
            let (a, b) = (S::as_simd_f32s(a).0, S::as_simd_f32s(b).0);
            let mut sum = simd.splat_f32s(0.0);
            for (a, b) in a.iter().zip(b) {
                sum = simd.mul_add_e_f32s(*a, *b, sum);
            }
            *out = simd.reduce_sum_f32s(sum);
        }
    }
}

/// One query's logits become its shares divided by t, the gradients of those shares gradients of logits before their scale and
/// mean: `a` and `g` of causal Luna.
pub(in crate::attention) struct Shares<'a> {
    pub(in crate::attention) logits: &'a mut [f32],
    pub(in crate::attention) d_logits: &'a mut [f32],
    /// Logarithm of the sum, `d_out . out`, 1 / t, scale.
    pub(in crate::attention) numbers: [f32; 4],
}

impl WithSimd for Shares<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [log, d, mean, scale] = self.numbers.map(|x| simd.splat_f32s(x));
        let d_logits = S::as_mut_simd_f32s(self.d_logits).0;
        for (share, slope) in S::as_mut_simd_f32s(self.logits).0.iter_mut().zip(d_logits) {
            *share = simd.mul_f32s(exp2(simd, simd.sub_f32s(*share, log)), mean);
            let off = simd.sub_f32s(simd.mul_f32s(*slope, mean), d);
            *slope = simd.mul_f32s(simd.mul_f32s(*share, scale), off);
        }
    }
}
