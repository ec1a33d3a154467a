//! Causal Luna: running sums of weighted keys and values, a block of tokens at a time.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use std::ops::Range;

use ndarray::{Array2, Axis};
use pulp::{Simd, WithSimd};

use super::decay::{Decay, Powers};
use super::weight::Weight;
use crate::attention::Mask;
use crate::attention::kernel::arrays::{Arrays, Draw, Part};
use crate::attention::kernel::exact::{ExactArrays, ExactHead, Maxima, dot};
use crate::attention::kernel::few::{in_lines, product, product_stairs, product_triangle, softmax};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::flat::{Flat, STANDARD, Size};
use crate::attention::kernel::form::{Backward, Form};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::scan::{self, ROWS, Scan, SweepTarget, accumulate, stairs};
use crate::attention::kernel::share::{carve, whole_lines};
use crate::linalg::lanes::{elu, softplus2};

#[derive(Clone, Copy, Debug)]
pub(super) struct LunaCausal {
    pub(super) l: usize,
    pub(super) weight: Weight,
    pub(super) decay: Decay,
}

impl Form for LunaCausal {
    fn masks(&self) -> &'static [Mask] {
        &[Mask::Causal]
    }

    fn parts(&self, _: usize, d_h: usize) -> Vec<Part> {
        let (shape, draw) = ((self.l, d_h), Draw::Normal);
        vec![Part { name: "p", shape, per_head: true, longer: false, trained: true, draw }]
    }

    fn forward(&self, heads: &Flat<'_>, arrays: &Arrays<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
        let p = arrays.cube("p");
        let p = p.as_standard_layout();
        let p = p.as_slice().expect(STANDARD);
        scan::run(heads, &Luna { heads, p, of: *self }, saved, out);
    }

    fn space(&self, size: &Size) -> usize {
        let (d_h, d_v) = (size.shape.d_h, size.shape.d_v);
        scan::space(size, sums(self.l, d_h, d_v), each(self.l, d_h, d_v))
    }

    fn exact(&self, head: &ExactHead, arrays: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        let ExactHead { q, k, v, scale, .. } = head;
        let w = (dot(k.view(), arrays.get("p").t()) * *scale).mapv(|x| self.weight.exact(x));
        exact(&(q * *scale), k, &w, v, self.decay)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

/// Causal Luna in f64 from the weights of its keys on: `q` (n, `d_h`) with the scale in it, `w` (m, l).
pub fn exact(
    q: &Array2<f64>,
    k: &Array2<f64>,
    w: &Array2<f64>,
    v: &Array2<f64>,
    decay: Decay,
) -> Array2<f64> {
    let averages = decay.averages(q.nrows(), k.nrows());
    let mut shares = dot((dot(q.view(), k.t()) * &averages).view(), w.view());
    for mut row in shares.outer_iter_mut() {
        let max = row.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
        row.mapv_inplace(|x| (x - max).exp());
    }
    let sums = shares.sum_axis(Axis(1)).insert_axis(Axis(1));
    shares /= &sums;
    dot((dot(shares.view(), w.t()) * &averages).view(), v.view())
}

/// Elements of the sums of weighted keys, (`d_h`, l), and of weighted values, (l, `d_v`), all in whole lines.
fn sums(l: usize, d_h: usize, d_v: usize) -> usize {
    whole_lines(l) * (whole_lines(d_h) + whole_lines(d_v))
}

/// Elements of a worker: see [`Segment::with_simd`].
fn each(l: usize, d_h: usize, d_v: usize) -> usize {
    let (l, wide_h, d_v) = (whole_lines(l), whole_lines(d_h), whole_lines(d_v));
    let (keys, values) = ((wide_h + ROWS) * l, (l + ROWS) * d_v);
    let lost = l * (wide_h + d_v);
    let rows = ROWS * (wide_h + ROWS) + ROWS * (l + ROWS);
    let transposed = d_h * l + (wide_h + l) * ROWS;
    keys + values + lost + rows + transposed + ROWS * wide_h + ROWS * ROWS + 2 * whole_lines(ROWS)
}

struct Luna<'a> {
    heads: &'a Flat<'a>,
    p: &'a [f32],
    of: LunaCausal,
}

impl Scan for Luna<'_> {
    fn sums(&self) -> usize {
        sums(self.of.l, self.heads.d_h, self.heads.d_v)
    }

    fn each(&self) -> usize {
        each(self.of.l, self.heads.d_h, self.heads.d_v)
    }

    fn sweep(
        &self,
        head: usize,
        tokens: Range<usize>,
        before: Option<&[f32]>,
        target: SweepTarget<'_>,
        space: &mut [f32],
    ) {
        let Self { heads, of, .. } = *self;
        let p = &self.p[head * of.l * heads.d_h..][..of.l * heads.d_h];
        heads.path.run(Segment { heads, p, of, head, tokens, before, target, space });
    }

    fn join(&self, tokens: Range<usize>, before: &[f32], sums: &mut [f32]) {
        let m = self.heads.m;
        let left = self.of.decay.power(tokens.end.min(m) - tokens.start.min(m));
        for (x, before) in sums.iter_mut().zip(before) {
            *x += left * before;
        }
    }
}

struct Segment<'a> {
    heads: &'a Flat<'a>,
    p: &'a [f32],
    of: LunaCausal,
    head: usize,
    tokens: Range<usize>,
    before: Option<&'a [f32]>,
    target: SweepTarget<'a>,
    space: &'a mut [f32],
}

impl WithSimd for Segment<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::too_many_lines)] // a block from its keys to its sums, whose work space would be arguments elsewhere
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, p, of, head, tokens, before, mut target, mut space } = self;
        let LunaCausal { l, weight, decay } = of;
        let powers = Powers::of(decay);
        let Flat { m, d_h, d_v, scale, .. } = *heads;
        let (width, wide_h, ldv) = (whole_lines(l), whole_lines(d_h), whole_lines(d_v));
        let space = &mut space;
        // Sums over the past with the block's own rows below them: of weighted keys with weights, of weighted values
        // with values.
        let keys = carve(space, (wide_h + ROWS) * width);
        let values = carve(space, (width + ROWS) * ldv);
        let lost_keys = carve(space, wide_h * width);
        let lost_values = carve(space, width * ldv);
        // Rows of the block: queries, then weights over the packed rows, each with its triangle after it.
        let to_keys = carve(space, ROWS * (wide_h + ROWS));
        let to_values = carve(space, ROWS * (width + ROWS));
        let transposed_p = carve(space, d_h * width);
        let transposed_k = carve(space, wide_h * ROWS);
        let transposed_w = carve(space, width * ROWS);
        let padding = carve(space, ROWS * wide_h);
        let triangle = carve(space, ROWS * ROWS);
        let ones = carve(space, ROWS);
        let inverses = carve(space, ROWS);
        let ends = [wide_h * width, width * ldv];
        if let Some(before) = before {
            keys[..ends[0]].copy_from_slice(&before[..ends[0]]);
            values[..ends[1]].copy_from_slice(&before[ends[0]..]);
        } else {
            keys[..ends[0]].fill(0.0);
            values[..ends[1]].fill(0.0);
        }
        lost_keys.fill(0.0);
        lost_values.fill(0.0);
        ones.fill(1.0);
        transposed_p.fill(0.0);
        transposed_k.fill(0.0);
        transpose((p, d_h), (transposed_p, width), (l, d_h), |_| scale);

        let total = |query: usize| decay.total((query + 1).min(m)) as f32;
        let mut first = tokens.start;
        while first < tokens.end {
            let rows = ROWS.min(tokens.end - first);
            // Queries after the last key have no token of their own.
            let own = rows.min(m.saturating_sub(first));
            let after = first + rows;
            if own > 0 {
                let k = &heads.k(head)[first * d_h..][..own * d_h];
                let v = &heads.v(head)[first * d_v..][..own * d_v];
                let weights = &mut keys[ends[0]..][..own * width];
                product(simd, (k, d_h, d_h), (&*transposed_p, width), ones, (&mut *weights, width, width));
                for row in weights.chunks_exact_mut(width) {
                    weigh(simd, weight, row);
                    row[l..].fill(0.0);
                }
                in_lines(v, d_v, &mut values[ends[1]..]);
                if matches!(target, SweepTarget::Out(..)) {
                    heads.count(own, d_h, l);
                    transpose((k, d_h), (transposed_k, ROWS), (own, d_h), |_| 1.0);
                    transpose((weights, width), (transposed_w, ROWS), (own, width), |_| 1.0);
                }
            }
            if let SweepTarget::Out(out, logs) = &mut target {
                // Every token is packed, whether the triangle or the sums bring it to a query; what is swept over for
                // another segment's sake, and what the triangle takes beyond that, is not in the equations.
                heads.count(own, l, d_h + d_v);
                heads.count(rows, l, d_h + d_v);
                let q = &heads.q(head)[first * d_h..][..rows * d_h];
                let out = &mut out[(first - tokens.start) * d_v..][..rows * d_v];
                let ld = wide_h + ROWS;
                let to_keys = &mut to_keys[..rows * ld];
                spread(q, d_h, to_keys, ld);
                product_triangle(
                    simd,
                    (q, d_h, d_h),
                    (&*transposed_k, ROWS),
                    ones,
                    (&mut *triangle, ROWS, ROWS),
                );
                powers.of_pairs(own, &mut triangle[..rows * ROWS], ROWS);
                powers.of_queries(own, to_keys, ld);
                stairs(triangle, (to_keys, ld, wide_h), rows, own);
                for (i, mean) in inverses[..rows].iter_mut().enumerate() {
                    *mean = scale * std::f32::consts::LOG2_E / total(first + i);
                }
                let ld = width + ROWS;
                let to_values = &mut to_values[..rows * ld];
                let logits = (&mut *to_values, ld, width);
                product_stairs(
                    simd,
                    (&*to_keys, wide_h + ROWS, wide_h, own),
                    (&*keys, width),
                    inverses,
                    logits,
                );
                share(simd, to_values, (ld, width, l), inverses, logs.iter_mut().skip(first - tokens.start));
                for (i, inverse) in inverses[..rows].iter_mut().enumerate() {
                    *inverse /= total(first + i);
                }
                let shares = (&*to_values, ld, width);
                product_triangle(simd, shares, (&*transposed_w, ROWS), ones, (&mut *triangle, ROWS, ROWS));
                powers.of_pairs(own, &mut triangle[..rows * ROWS], ROWS);
                powers.of_queries(own, to_values, ld);
                stairs(triangle, (to_values, ld, width), rows, own);
                product_stairs(
                    simd,
                    (&*to_values, ld, width, own),
                    (&*values, ldv),
                    inverses,
                    (out, d_v, d_v),
                );
            }
            if own > 0 && (after < tokens.end || matches!(target, SweepTarget::Sums(_))) {
                let k = &heads.k(head)[first * d_h..][..own * d_h];
                let k = if wide_h == d_h { k } else { in_lines(k, d_h, padding) };
                let (keys, weights) = keys.split_at_mut(ends[0]);
                let (values, v) = values.split_at_mut(ends[1]);
                for sums in [&mut *keys, &mut *values, &mut *lost_keys, &mut *lost_values] {
                    powers.pass(own, sums);
                }
                powers.of_keys(own, weights, width);
                accumulate(simd, own, (k, wide_h), (weights, width), keys, lost_keys);
                accumulate(simd, own, (weights, width), (v, ldv), values, lost_values);
            }
            first = after;
        }
        if let SweepTarget::Sums(sums) = target {
            sums[..ends[0]].copy_from_slice(&keys[..ends[0]]);
            sums[ends[0]..].copy_from_slice(&values[..ends[1]]);
        }
    }
}

/// Rows of `width` into rows that are `ld` apart; the rest of those becomes zeros.
fn spread(x: &[f32], width: usize, out: &mut [f32], ld: usize) {
    for (row, x) in out.chunks_exact_mut(ld).zip(x.chunks_exact(width)) {
        row[..width].copy_from_slice(x);
        row[width..].fill(0.0);
    }
}

/// Logits of the first `l` of `width` columns become weights, `inverses` what the sum of each row divides by, and the first
/// `logs` the logarithms (to base 2) of the sums.
#[inline(always)]
fn share<'a, S: Simd>(
    simd: S,
    rows: &mut [f32],
    (ld, width, l): (usize, usize, usize),
    inverses: &mut [f32],
    mut logs: impl Iterator<Item = &'a mut f32>,
) {
    for (row, inverse) in rows.chunks_exact_mut(ld).zip(inverses) {
        row[l..width].fill(f32::NEG_INFINITY);
        let [top, sum] = softmax(simd, &mut row[..width]);
        *inverse = 1.0 / sum;
        if let Some(log) = logs.next() {
            *log = top + sum.log2();
        }
    }
}

/// Logits become weights.
#[inline(always)]
fn weigh<S: Simd>(simd: S, weight: Weight, row: &mut [f32]) {
    let (row, _) = S::as_mut_simd_f32s(row);
    match weight {
        Weight::Softplus => {
            for x in row {
                *x = softplus2(simd, *x);
            }
        }
        Weight::Elu => {
            for x in row {
                *x = elu(simd, *x);
            }
        }
    }
}
