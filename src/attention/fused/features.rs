//! Attention by features, `phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1)`: linear attention and Performer.
//!
//! One sweep over the keys sums `phi(k)^T v` and `phi(k)^T 1` of each head, one over the queries reads them. Features
//! are made a block of rows at a time.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use pulp::{Simd, WithSimd};

use super::few::{ROWS, product, workers};
use super::linformer::in_lines;
use super::share::{Space, among, cut, lines, taken};
use super::{Flat, Size, features_causal, segments};
use crate::attention::Mask;
use crate::linalg::lanes::{elu, exp2, outers, vectors, vectors_mut};

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// From rows to features.
#[derive(Clone, Copy)]
pub(super) enum Map<'a> {
    /// `elu(x) + 1`, each number by itself. The number is added to each denominator.
    Elu(f32),
    /// `exp(w x' - |x'|^2 / 2 - max) + eps` with `x' = sqrt(scale) x`.
    Positive {
        /// (l, `d_h`)
        w: &'a [f32],
        eps: f32,
    },
}

/// Numbers that a sweep over keys leaves: the sums of values, of features, of values alone, and the largest exponent.
fn part(f: usize, d_v: usize) -> usize {
    lines(f) * lines(d_v) + lines(f) + lines(d_v) + lines(1)
}

/// Numbers of a worker's own.
fn each(f: usize, d_v: usize) -> usize {
    ROWS * lines(f) + ROWS * lines(d_v) + lines(f).max(lines(d_v)) + lines(ROWS)
}

/// Numbers of the work space for `f` features; `directions` are they that `w` has, 0 without.
pub(super) fn space(size: &Size, f: usize, directions: usize) -> usize {
    if size.shape.causal {
        return features_causal::space(size, f, directions);
    }
    let (shape, heads) = (size.shape, size.heads);
    let parts = heads * segments::count(heads, shape.m);
    let most = size.threads.min(parts).max(workers(size.threads, heads, shape.n));
    taken(parts * part(f, shape.d_v) + shape.d_h * lines(directions) + most * each(f, shape.d_v))
}

/// The output of every query with `f` features.
pub(super) fn attend(heads: &Flat<'_>, f: usize, map: Map<'_>, out: &mut [f32]) {
    if heads.mask == Mask::Causal {
        return features_causal::attend(heads, f, map, out);
    }
    let Flat { h, n, m, d_h, d_v, .. } = *heads;
    let threads = rayon::current_num_threads();
    let segments = segments::count(h, m);
    let directions = if matches!(map, Map::Elu(_)) { 0 } else { f };
    let (part, each) = (part(f, d_v), each(f, d_v));
    let most = threads.min(h * segments).max(workers(threads, h, n));
    let mut all = Space::new(h * segments * part + d_h * lines(directions) + most * each);
    let mut rest = all.all();
    let parts = cut(&mut rest, h * segments * part);
    let turned = cut(&mut rest, d_h * lines(directions));
    let maker = Maker::new(heads, f, map, turned);

    let spaces = &mut rest[..threads.min(h * segments) * each];
    among(parts.chunks_exact_mut(part).enumerate(), spaces, each, |(task, part), space| {
        let (head, segment) = (task / segments, task % segments);
        let keys = segments::keys(segment, segments, m);
        let k = &heads.k(head)[keys.start * d_h..keys.end * d_h];
        let v = &heads.v(head)[keys.start * d_v..keys.end * d_v];
        heads.path.run(Keys { heads, maker, k, v, part, space });
    });

    let eps = if let Map::Positive { eps, .. } = map { eps } else { 0.0 };
    among(parts.chunks_exact_mut(part * segments), &mut [0.0; 1], 1, |parts, _| {
        merge(parts, part, f, d_v, eps, m);
    });

    let spaces = &mut rest[..workers(threads, h, n) * each];
    let parts = &*parts;
    among(heads.blocks(out, ROWS), spaces, each, |(head, first, out), space| {
        let sums = &parts[head * segments * part..][..part];
        let q = &heads.q(head)[first * d_h..][..out.len() / d_v * d_h];
        heads.path.run(Queries { heads, maker, q, sums, space, out });
    });
}

/// Brings the segments of one head together in the first one's place, and adds what eps is worth.
fn merge(parts: &mut [f32], part: usize, f: usize, d_v: usize, eps: f32, m: usize) {
    let len = lines(f) * lines(d_v) + lines(f);
    let top = parts.chunks_exact(part).fold(f32::NEG_INFINITY, |top, part| top.max(part[len + lines(d_v)]));
    let (sum, others) = parts.split_at_mut(part);
    let share = (sum[len + lines(d_v)] - top).exp2();
    for x in &mut sum[..len] {
        *x *= share;
    }
    for other in others.chunks_exact(part) {
        let share = (other[len + lines(d_v)] - top).exp2();
        for (x, other) in sum[..len].iter_mut().zip(other) {
            *x += other * share;
        }
        for (x, other) in sum[len..len + lines(d_v)].iter_mut().zip(&other[len..]) {
            *x += other;
        }
    }
    let (weighted, values) = sum.split_at_mut(len);
    let (weighted, counts) = weighted.split_at_mut(lines(f) * lines(d_v));
    for row in weighted.chunks_exact_mut(lines(d_v)).take(f) {
        for (x, value) in row.iter_mut().zip(&*values) {
            *x += eps * value;
        }
    }
    for x in &mut counts[..f] {
        *x += eps * m as f32;
    }
}

/// Makes features.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub(super) map: Map<'a>,
    /// `w^T` with the root of the scale and `log2 e` in it, (`d_h`, l in whole lines).
    turned: &'a [f32],
    pub(super) f: usize,
    d_h: usize,
    /// The factor on `|x|^2`.
    norm: f32,
}

impl<'a> Maker<'a> {
    /// For `f` features; `turned` takes what is kept of the directions, if there are any.
    pub(super) fn new(heads: &Flat<'a>, f: usize, map: Map<'a>, turned: &'a mut [f32]) -> Self {
        let Flat { d_h, scale, .. } = *heads;
        if let Map::Positive { w, .. } = map {
            let factor = scale.sqrt() * LOG2_E;
            for (j, row) in w.chunks_exact(d_h).enumerate() {
                for (c, x) in row.iter().enumerate() {
                    turned[c * lines(f) + j] = x * factor;
                }
            }
        }
        Self { map, turned, f, d_h, norm: -0.5 * scale * LOG2_E }
    }

    /// `phi = elu + 1` of rows, with zeros behind them.
    #[inline(always)]
    pub(super) fn elu<S: Simd>(&self, simd: S, x: &[f32], phi: &mut [f32]) {
        for (row, phi) in x.chunks_exact(self.d_h).zip(phi.chunks_exact_mut(lines(self.d_h))) {
            phi[..self.d_h].copy_from_slice(row);
            let (vectors, _) = S::as_mut_simd_f32s(phi);
            for x in vectors {
                *x = elu(simd, *x);
            }
            phi[self.d_h..].fill(0.0);
        }
    }

    /// The width of the rows.
    pub(super) fn width(&self) -> usize {
        self.d_h
    }

    /// How many products of its length a row's exponents take: with every direction, and with itself.
    pub(super) fn of_row(&self) -> usize {
        if matches!(self.map, Map::Elu(_)) { 0 } else { self.f + 1 }
    }

    /// `w x'` of rows, and minus infinity behind them; both in units of `log 2`.
    #[inline(always)]
    pub(super) fn exponents<S: Simd>(&self, simd: S, x: &[f32], ones: &[f32], phi: &mut [f32]) {
        let width = lines(self.f);
        product(simd, (x, self.d_h, self.d_h), (self.turned, width), ones, (&mut *phi, width, width));
        for row in phi.chunks_exact_mut(width) {
            row[self.f..].fill(f32::NEG_INFINITY);
        }
    }

    /// The features of queries, each under its own maximum; returns what is added to each denominator. What stands
    /// behind a row's features is not zero.
    #[inline(always)]
    pub(super) fn of_queries<S: Simd>(&self, simd: S, q: &[f32], ones: &[f32], phi: &mut [f32]) -> f32 {
        match self.map {
            Map::Elu(eps) => {
                self.elu(simd, q, phi);
                eps
            }
            Map::Positive { eps, .. } => {
                self.exponents(simd, q, ones, phi);
                let eps = simd.splat_f32s(eps);
                for (row, q) in phi.chunks_exact_mut(lines(self.f)).zip(q.chunks_exact(self.d_h)) {
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
    pub(super) fn norm<S: Simd>(&self, simd: S, row: &[f32]) -> f32 {
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
pub(super) fn largest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (row, _) = S::as_simd_f32s(row);
    let mut max = row[0];
    for x in row {
        max = simd.max_f32s(*x, max);
    }
    simd.reduce_max_f32s(max)
}

struct Keys<'a> {
    heads: &'a Flat<'a>,
    maker: Maker<'a>,
    k: &'a [f32],
    v: &'a [f32],
    part: &'a mut [f32],
    space: &'a mut [f32],
}

impl WithSimd for Keys<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, maker, k, v, mut part, mut space } = self;
        let d_v = heads.d_v;
        let (width, ldv) = (lines(maker.f), lines(d_v));
        let (part, space) = (&mut part, &mut space);
        part.fill(0.0);
        let weighted = cut(part, width * ldv);
        let counts = cut(part, width);
        let alone = cut(part, ldv);
        let top = cut(part, 1);
        let features = cut(space, ROWS * width);
        let padding = cut(space, ROWS * ldv);
        let block = cut(space, width.max(ldv));
        let ones = cut(space, ROWS);
        ones.fill(1.0);
        let positive = matches!(maker.map, Map::Positive { .. });
        top[0] = if positive { f32::NEG_INFINITY } else { 0.0 };
        for (k, v) in k.chunks(ROWS * maker.d_h).zip(v.chunks(ROWS * d_v)) {
            let rows = v.len() / d_v;
            let features = &mut features[..rows * width];
            let v = if ldv == d_v { v } else { in_lines(v, d_v, padding) };
            if positive {
                maker.exponents(simd, k, ones, features);
                heads.count(rows, maker.d_h, maker.of_row());
                let max = largest(simd, features);
                if max > top[0] {
                    let shrink = (top[0] - max).exp2();
                    scale(simd, weighted, shrink);
                    scale(simd, counts, shrink);
                    top[0] = max;
                }
                for (row, k) in features.chunks_exact_mut(width).zip(k.chunks_exact(maker.d_h)) {
                    let shift = simd.splat_f32s(maker.norm(simd, k) - top[0]);
                    let (row, _) = S::as_mut_simd_f32s(row);
                    for x in row {
                        *x = exp2(simd, simd.add_f32s(*x, shift));
                    }
                }
                block.fill(0.0);
                for v in v.chunks_exact(ldv) {
                    add(simd, &mut block[..ldv], v);
                }
                add(simd, alone, block);
            } else {
                maker.elu(simd, k, features);
            }
            // A block's own sum first: thousands of small numbers added to a large one would each be rounded.
            let block = &mut *block;
            block.fill(0.0);
            for row in features.chunks_exact(width) {
                add(simd, block, row);
            }
            add(simd, counts, block);
            heads.count(rows, maker.f, d_v);
            let mut panel = 0;
            while panel < ldv {
                let (a, b, c) = ((&*features, width), (&v[panel..], ldv), &mut weighted[panel..]);
                panel += match (S::F32_LANES, (ldv - panel) / 16) {
                    (16, 1) => pack::<S, 16, 1>(simd, rows, a, b, c),
                    (16, 2) => pack::<S, 8, 2>(simd, rows, a, b, c),
                    (16, 3) => pack::<S, 8, 3>(simd, rows, a, b, c),
                    (16, _) => pack::<S, 4, 4>(simd, rows, a, b, c),
                    (8, _) => pack::<S, 4, 2>(simd, rows, a, b, c),
                    _ => pack::<S, 4, 1>(simd, rows, a, b, c),
                };
            }
        }
    }
}

#[inline(always)]
pub(super) fn scale<S: Simd>(simd: S, x: &mut [f32], factor: f32) {
    let factor = simd.splat_f32s(factor);
    let (x, _) = S::as_mut_simd_f32s(x);
    for x in x {
        *x = simd.mul_f32s(*x, factor);
    }
}

#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, sums: &mut [f32], row: &[f32]) {
    let (sums, _) = S::as_mut_simd_f32s(sums);
    let (row, _) = S::as_simd_f32s(row);
    for (sum, x) in sums.iter_mut().zip(row) {
        *sum = simd.add_f32s(*sum, *x);
    }
}

/// `c += a^T b` for one panel of columns; returns how many there are. `R` divides the width of `a`.
#[inline(always)]
fn pack<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    depth: usize,
    (a, lda): (&[f32], usize),
    (b, ldb): (&[f32], usize),
    c: &mut [f32],
) -> usize {
    let mut i = 0;
    while i < lda {
        let found = outers::<S, R, NV>(simd, depth, &a[i..], lda, b, ldb);
        for r in 0..R {
            let row = vectors_mut::<S, NV>(&mut c[(i + r) * ldb..]);
            for j in 0..NV {
                row[j] = simd.add_f32s(row[j], found[r][j]);
            }
        }
        i += R;
    }
    NV * S::F32_LANES
}

struct Queries<'a> {
    heads: &'a Flat<'a>,
    maker: Maker<'a>,
    q: &'a [f32],
    sums: &'a [f32],
    space: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Queries<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, maker, q, sums, mut space, out } = self;
        let d_v = heads.d_v;
        let (width, ldv) = (lines(maker.f), lines(d_v));
        let (weighted, counts) = sums.split_at(width * ldv);
        let rows = q.len() / maker.d_h;
        let space = &mut space;
        let features = &mut cut(space, ROWS * width)[..rows * width];
        let inverses = cut(space, ROWS);
        inverses.fill(1.0);
        let more = maker.of_queries(simd, q, inverses, features);
        for (row, inverse) in features.chunks_exact(width).zip(&mut *inverses) {
            let mut sum = simd.splat_f32s(0.0);
            let mut at = 0;
            while at < width {
                let (x, count) = (vectors::<S, 1>(&row[at..])[0], vectors::<S, 1>(&counts[at..])[0]);
                sum = simd.mul_add_e_f32s(x, count, sum);
                at += S::F32_LANES;
            }
            *inverse = 1.0 / (simd.reduce_sum_f32s(sum) + more);
        }
        heads.count(rows, maker.d_h, maker.of_row());
        heads.count(rows, maker.f, d_v + 1);
        product(simd, (&*features, width, maker.f), (weighted, ldv), inverses, (out, d_v, d_v));
    }
}
