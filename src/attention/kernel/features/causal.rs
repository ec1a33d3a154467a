//! Attention by features under the causal mask: the sums of [`full`](super::full), carried from block to block.
//!
//! Performer's exponents are under the largest of the prefix, which differs from row to row. A block is computed under
//! its last row's, and each row's eps is scaled to that; a block ends early where its largest rises so far that the
//! first rows would vanish.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::maker::{Maker, Map, largest, scale};
use super::rows::Rows;
use crate::attention::kernel::few::{in_lines, product_stairs, product_triangle};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::flat::{Flat, Size};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::scan::{self, ROWS, Scan, SweepTarget, accumulate, accumulate_rows, stairs};
use crate::attention::kernel::share::{Space, aligned, carve, whole_lines};
use crate::linalg::lanes::exp2;

/// How far the largest exponent may rise within a block, in powers of 2: f32 has some 96 more below.
const RISE: f32 = 30.0;

/// Where the sums of values by features, the sums of features, those of values alone and the largest exponent end.
fn ends(f: usize, d_v: usize) -> [usize; 4] {
    let weighted = whole_lines(f) * whole_lines(d_v);
    let counts = weighted + whole_lines(f);
    [weighted, counts, counts + whole_lines(d_v), counts + whole_lines(d_v) + whole_lines(1)]
}

/// Elements of a worker: see [`Sweep::with_simd`].
fn each(f: usize, d_v: usize) -> usize {
    let (width, ldv) = (whole_lines(f), whole_lines(d_v));
    let values = (width + 1 + ROWS) * ldv;
    let sums = whole_lines(width + 1 + ROWS) + 3 * width + ldv * 3 + width * ldv;
    let rows = 3 * ROWS * width + whole_lines(ROWS * (width + 1 + ROWS)) + ROWS * ROWS;
    values + sums + rows + 4 * whole_lines(ROWS)
}

/// Elements of the work space for `f` features; `directions` are they that `w` has, 0 without.
pub(super) fn space(size: &Size, f: usize, directions: usize) -> usize {
    let d_v = size.shape.d_v;
    aligned(whole_lines(size.shape.d_h * whole_lines(directions)))
        + scan::space(size, ends(f, d_v)[3], each(f, d_v))
}

/// The output of every query with `f` features.
pub(super) fn attend(heads: &Flat<'_>, f: usize, map: Map<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
    let directions = if matches!(map, Map::Positive { .. }) { f } else { 0 };
    let mut transposed = Space::new(whole_lines(heads.d_h * whole_lines(directions)));
    let maker = Maker::new(heads, f, map, transposed.all());
    scan::run(heads, &Features { heads, maker }, saved, out);
}

struct Features<'a> {
    heads: &'a Flat<'a>,
    maker: Maker<'a>,
}

impl Scan for Features<'_> {
    fn sums(&self) -> usize {
        ends(self.maker.f, self.heads.d_v)[3]
    }

    fn each(&self) -> usize {
        each(self.maker.f, self.heads.d_v)
    }

    fn sweep(
        &self,
        head: usize,
        tokens: Range<usize>,
        before: Option<&[f32]>,
        target: SweepTarget<'_>,
        space: &mut [f32],
    ) {
        let Self { heads, maker } = *self;
        heads.path.run(Sweep { heads, maker, head, tokens, before, target, space });
    }

    fn join(&self, _: Range<usize>, before: &[f32], sums: &mut [f32]) {
        let [_, counts, alone, _] = ends(self.maker.f, self.heads.d_v);
        let top = before[alone].max(sums[alone]);
        // A segment that saw no key has no largest.
        let share = |of: f32| if of == top { 1.0 } else { (of - top).exp2() };
        let shares = [share(sums[alone]), share(before[alone])];
        for (x, before) in sums[..counts].iter_mut().zip(before) {
            *x = *x * shares[0] + before * shares[1];
        }
        for (x, before) in sums[counts..alone].iter_mut().zip(&before[counts..]) {
            *x += before;
        }
        sums[alone] = top;
    }
}

struct Sweep<'a> {
    heads: &'a Flat<'a>,
    maker: Maker<'a>,
    head: usize,
    tokens: Range<usize>,
    before: Option<&'a [f32]>,
    target: SweepTarget<'a>,
    space: &'a mut [f32],
}

impl WithSimd for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::too_many_lines)] // a block from its keys to its sums, whose work space would be arguments elsewhere
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, maker, head, tokens, before, mut target, mut space } = self;
        let Flat { m, d_h, d_v, .. } = *heads;
        let (width, ldv, f) = (whole_lines(maker.f), whole_lines(d_v), maker.f);
        let ends = ends(f, d_v);
        let eps = if let Map::Positive { eps, .. } = maker.map { Some(eps) } else { None };
        let space = &mut space;
        // Sums over the past, then the sum of values alone, then the block's own values.
        let values = carve(space, (width + 1 + ROWS) * ldv);
        let counts = carve(space, width);
        let lost = carve(space, width * ldv);
        let lost_counts = carve(space, width);
        let lost_alone = carve(space, ldv);
        let block = carve(space, width.max(ldv));
        let phi_q = carve(space, ROWS * width);
        let phi_k = carve(space, ROWS * width);
        let transposed_k = carve(space, ROWS * width);
        let ld = width + 1 + ROWS;
        let joined = carve(space, ROWS * ld);
        let triangle = carve(space, ROWS * ROWS);
        let ones = carve(space, ROWS);
        let tops = carve(space, ROWS);
        let inverses = carve(space, ROWS);
        let of_alone = width * ldv..(width + 1) * ldv;
        let mut top = if eps.is_some() { f32::NEG_INFINITY } else { 0.0 };
        values.fill(0.0);
        counts.fill(0.0);
        if let Some(before) = before {
            values[..ends[0]].copy_from_slice(&before[..ends[0]]);
            counts.copy_from_slice(&before[ends[0]..ends[1]]);
            values[of_alone.clone()].copy_from_slice(&before[ends[1]..ends[2]]);
            top = before[ends[2]];
        }
        lost.fill(0.0);
        lost_counts.fill(0.0);
        lost_alone.fill(0.0);
        transposed_k.fill(0.0);
        ones.fill(1.0);

        let mut first = tokens.start;
        while first < tokens.end {
            let mut rows = ROWS.min(tokens.end - first);
            // Queries after the last key have no token of their own.
            let mut own = rows.min(m.saturating_sub(first));
            tops.fill(top);
            if own > 0 {
                let k = &heads.k(head)[first * d_h..][..own * d_h];
                let old = top;
                let taken = take(simd, &maker, Rows { head, keys: true, first }, k, ones, phi_k, tops);
                if taken < own {
                    (rows, own) = (taken, taken);
                }
                top = tops[ROWS - 1];
                if top > old {
                    let shrink = (old - top).exp2();
                    for sums in [&mut values[..ends[0]], &mut *counts, &mut *lost, &mut *lost_counts] {
                        scale(simd, sums, shrink);
                    }
                }
                in_lines(&heads.v(head)[first * d_v..][..own * d_v], d_v, &mut values[of_alone.end..]);
            }
            let after = first + rows;
            let phi_k = &phi_k[..own * width];
            if let SweepTarget::Out(out, saved) = &mut target {
                let q = &heads.q(head)[first * d_h..][..rows * d_h];
                let out = &mut out[(first - tokens.start) * d_v..][..rows * d_v];
                let phi_q = &mut phi_q[..rows * width];
                let more = maker.of_queries(simd, Rows { head, keys: false, first }, q, ones, phi_q);
                transpose((phi_k, width), (transposed_k, ROWS), (own, f), |_| 1.0);
                product_triangle(
                    simd,
                    (&*phi_q, width, f),
                    (&*transposed_k, ROWS),
                    ones,
                    (&mut *triangle, ROWS, ROWS),
                );
                heads.count(own + rows, d_h, maker.of_row());
                heads.count(own, f, d_v);
                heads.count(rows, f, d_v + 1);
                let joined = &mut joined[..rows * ld];
                stairs(triangle, (joined, ld, width + 1), rows, own);
                for (i, inverse) in inverses[..rows].iter_mut().enumerate() {
                    let row = &mut joined[i * ld..][..ld];
                    row[..f].copy_from_slice(&phi_q[i * width..][..f]);
                    row[f..=width].fill(0.0);
                    let own = &mut row[width + 1..];
                    let mut total = more + own.iter().sum::<f32>();
                    if let Some(eps) = eps {
                        // Features go by the block's largest, eps by the row's own.
                        let flat = phi_q[i * width..][..f].iter().sum::<f32>() * eps * (tops[i] - top).exp2();
                        let seen = (first + i + 1).min(m);
                        total += flat * seen as f32;
                        for x in &mut own[..(i + 1).min(seen - first.min(seen))] {
                            *x += flat;
                        }
                        row[width] = flat;
                        heads.count(1, 1, d_v);
                    }
                    *inverse = 1.0 / (total + dot(simd, &row[..width], counts));
                }
                for (saved, inverse) in saved.iter_mut().skip(first - tokens.start).zip(&inverses[..rows]) {
                    *saved = *inverse;
                }
                product_stairs(
                    simd,
                    (&*joined, ld, width + 1, own),
                    (&*values, ldv),
                    inverses,
                    (out, d_v, d_v),
                );
            }
            if own > 0 && (after < tokens.end || matches!(target, SweepTarget::Sums(_))) {
                let (sums, rest) = values.split_at_mut(ends[0]);
                let (alone, v) = rest.split_at_mut(ldv);
                let v = &v[..own * ldv];
                accumulate(simd, own, (phi_k, width), (v, ldv), sums, lost);
                accumulate_rows(simd, phi_k, block, counts, lost_counts);
                if eps.is_some() {
                    accumulate_rows(simd, v, block, alone, lost_alone);
                }
            }
            first = after;
        }
        if let SweepTarget::Sums(sums) = target {
            sums[..ends[0]].copy_from_slice(&values[..ends[0]]);
            sums[ends[0]..ends[1]].copy_from_slice(counts);
            sums[ends[1]..ends[2]].copy_from_slice(&values[of_alone]);
            sums[ends[2]] = top;
        }
    }
}

/// The features of a block's keys without eps, all under the largest exponent of its last one; `tops` becomes the
/// largest until each key and, after them, until the last one. Returns how many keys were taken.
#[inline(always)]
fn take<S: Simd>(
    simd: S,
    maker: &Maker<'_>,
    rows: Rows,
    k: &[f32],
    ones: &[f32],
    phi: &mut [f32],
    tops: &mut [f32],
) -> usize {
    let (width, own) = (whole_lines(maker.f), k.len() / maker.width());
    if !matches!(maker.map, Map::Positive { .. }) {
        maker.plain(rows, k, &mut phi[..own * width]);
        return own;
    }
    maker.exponents(simd, k, ones, &mut phi[..own * width]);
    let mut taken = 0;
    let mut top = tops[0];
    while taken < own {
        let next = top.max(largest(simd, &phi[taken * width..][..width]));
        if taken > 0 && next - tops[0] > RISE {
            break;
        }
        top = next;
        tops[taken] = top;
        taken += 1;
    }
    tops[taken..].fill(top);
    for (row, k) in phi.chunks_exact_mut(width).zip(k.chunks_exact(maker.width())).take(taken) {
        let shift = simd.splat_f32s(maker.norm(simd, k) - top);
        let (row, _) = S::as_mut_simd_f32s(row);
        for x in row {
            *x = exp2(simd, simd.add_f32s(*x, shift));
        }
    }
    taken
}

/// The product of two rows in whole lines.
#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, _), (b, _)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sum = simd.splat_f32s(0.0);
    for (x, y) in a.iter().zip(b) {
        sum = simd.mul_add_e_f32s(*x, *y, sum);
    }
    simd.reduce_sum_f32s(sum)
}
