//! Causal Luna: running sums of weighted keys and values, a block of tokens at a time.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::few::{product, product_stairs, product_triangle, softmax};
use super::flash::transpose;
use super::linformer::in_lines;
use super::scan::{self, Leaves, ROWS, Scan, accumulate, stairs};
use super::share::{cut, lines};
use super::{Flat, Fused, Given, STANDARD, refuse};
use crate::attention::Mask;
use crate::attention::luna_causal::Weight;
use crate::cost::Shape;
use crate::error::{Error, Result};
use crate::linalg::lanes::{elu, softplus2};

pub(super) const FUSED: Fused = Fused {
    name: "luna-causal",
    masks: &[Mask::Causal],
    run,
    space: |size| {
        let (Shape { d_h, d_v, .. }, l) = (size.shape, size.l);
        scan::space(size, sums(l, d_h, d_v), each(l, d_h, d_v))
    },
};

/// Numbers of the sums of weighted keys, (`d_h`, l), and of weighted values, (l, `d_v`), all in whole lines.
fn sums(l: usize, d_h: usize, d_v: usize) -> usize {
    lines(l) * (lines(d_h) + lines(d_v))
}

/// Numbers of a worker: see [`Segment::with_simd`].
fn each(l: usize, d_h: usize, d_v: usize) -> usize {
    let (l, wide_h, d_v) = (lines(l), lines(d_h), lines(d_v));
    let (keys, values) = ((wide_h + ROWS) * l, (l + ROWS) * d_v);
    let lost = l * (wide_h + d_v);
    let rows = ROWS * (wide_h + ROWS) + ROWS * (l + ROWS);
    let turned = d_h * l + (wide_h + l) * ROWS;
    keys + values + lost + rows + turned + ROWS * wide_h + ROWS * ROWS + 2 * lines(ROWS)
}

fn run(heads: &Flat<'_>, given: &Given<'_>, out: &mut [f32]) -> Result<()> {
    let Given::LunaCausal { p, weight } = *given else { return refuse(FUSED.name, given) };
    let l = p.dim().1;
    if p.dim() != (heads.h, l, heads.d_h) || l == 0 {
        return Err(Error::Shape {
            what: "p of attention 'luna-causal'".into(),
            found: p.shape().to_vec(),
            expected: format!("({}, l, {}) with l 1 or more", heads.h, heads.d_h),
        });
    }
    let p = p.as_standard_layout();
    let p = p.as_slice().expect(STANDARD);
    scan::run(heads, &Luna { heads, p, l, weight }, out);
    Ok(())
}

struct Luna<'a> {
    heads: &'a Flat<'a>,
    p: &'a [f32],
    l: usize,
    weight: Weight,
}

impl Scan for Luna<'_> {
    fn sums(&self) -> usize {
        sums(self.l, self.heads.d_h, self.heads.d_v)
    }

    fn each(&self) -> usize {
        each(self.l, self.heads.d_h, self.heads.d_v)
    }

    fn sweep(
        &self,
        head: usize,
        tokens: Range<usize>,
        before: Option<&[f32]>,
        leaves: Leaves<'_>,
        space: &mut [f32],
    ) {
        let Self { heads, l, weight, .. } = *self;
        let p = &self.p[head * l * heads.d_h..][..l * heads.d_h];
        heads.path.run(Segment { heads, p, l, weight, head, tokens, before, leaves, space });
    }

    fn join(&self, before: &[f32], sums: &mut [f32]) {
        for (x, before) in sums.iter_mut().zip(before) {
            *x += before;
        }
    }
}

struct Segment<'a> {
    heads: &'a Flat<'a>,
    p: &'a [f32],
    l: usize,
    weight: Weight,
    head: usize,
    tokens: Range<usize>,
    before: Option<&'a [f32]>,
    leaves: Leaves<'a>,
    space: &'a mut [f32],
}

impl WithSimd for Segment<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::too_many_lines)] // a block from its keys to its sums, whose work space would be arguments elsewhere
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, p, l, weight, head, tokens, before, mut leaves, mut space } = self;
        let Flat { m, d_h, d_v, scale, .. } = *heads;
        let (width, wide_h, ldv) = (lines(l), lines(d_h), lines(d_v));
        let space = &mut space;
        // Sums over the past with the block's own rows below them: of weighted keys with weights, of weighted values
        // with values.
        let keys = cut(space, (wide_h + ROWS) * width);
        let values = cut(space, (width + ROWS) * ldv);
        let lost_keys = cut(space, wide_h * width);
        let lost_values = cut(space, width * ldv);
        // Rows of the block: queries, then weights over the packed rows, each with its triangle behind it.
        let to_keys = cut(space, ROWS * (wide_h + ROWS));
        let to_values = cut(space, ROWS * (width + ROWS));
        let turned_p = cut(space, d_h * width);
        let turned_k = cut(space, wide_h * ROWS);
        let turned_w = cut(space, width * ROWS);
        let padding = cut(space, ROWS * wide_h);
        let triangle = cut(space, ROWS * ROWS);
        let ones = cut(space, ROWS);
        let inverses = cut(space, ROWS);
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
        turned_p.fill(0.0);
        turned_k.fill(0.0);
        transpose((p, d_h), (turned_p, width), (l, d_h), |_| scale);

        let mut first = tokens.start;
        while first < tokens.end {
            let rows = ROWS.min(tokens.end - first);
            // Queries behind the last key have no token of their own.
            let own = rows.min(m.saturating_sub(first));
            let after = first + rows;
            if own > 0 {
                let k = &heads.k(head)[first * d_h..][..own * d_h];
                let v = &heads.v(head)[first * d_v..][..own * d_v];
                let weights = &mut keys[ends[0]..][..own * width];
                product(simd, (k, d_h, d_h), (&*turned_p, width), ones, (&mut *weights, width, width));
                for row in weights.chunks_exact_mut(width) {
                    weigh(simd, weight, row);
                    row[l..].fill(0.0);
                }
                in_lines(v, d_v, &mut values[ends[1]..]);
                if matches!(leaves, Leaves::Out(_)) {
                    heads.count(own, d_h, l);
                    transpose((k, d_h), (turned_k, ROWS), (own, d_h), |_| 1.0);
                    transpose((weights, width), (turned_w, ROWS), (own, width), |_| 1.0);
                }
            }
            if let Leaves::Out(out) = &mut leaves {
                // Every token is packed, whether the triangle or the sums bring it to a query; what is swept over for
                // another segment's sake, and what the triangle takes beyond that, is not in the equations.
                heads.count(own, l, d_h + d_v);
                heads.count(rows, l, d_h + d_v);
                let q = &heads.q(head)[first * d_h..][..rows * d_h];
                let out = &mut out[(first - tokens.start) * d_v..][..rows * d_v];
                let ld = wide_h + ROWS;
                let to_keys = &mut to_keys[..rows * ld];
                spread(q, d_h, to_keys, ld);
                product_triangle(simd, (q, d_h, d_h), (&*turned_k, ROWS), ones, (&mut *triangle, ROWS, ROWS));
                stairs(triangle, (to_keys, ld, wide_h), rows, own);
                for (i, mean) in inverses[..rows].iter_mut().enumerate() {
                    *mean = scale * std::f32::consts::LOG2_E / (first + i + 1).min(m) as f32;
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
                share(simd, to_values, (ld, width, l), inverses);
                for (i, inverse) in inverses[..rows].iter_mut().enumerate() {
                    *inverse /= (first + i + 1).min(m) as f32;
                }
                let shares = (&*to_values, ld, width);
                product_triangle(simd, shares, (&*turned_w, ROWS), ones, (&mut *triangle, ROWS, ROWS));
                stairs(triangle, (to_values, ld, width), rows, own);
                product_stairs(
                    simd,
                    (&*to_values, ld, width, own),
                    (&*values, ldv),
                    inverses,
                    (out, d_v, d_v),
                );
            }
            if own > 0 && (after < tokens.end || matches!(leaves, Leaves::Sums(_))) {
                let k = &heads.k(head)[first * d_h..][..own * d_h];
                let k = if wide_h == d_h { k } else { in_lines(k, d_h, padding) };
                let (keys, weights) = keys.split_at_mut(ends[0]);
                let (values, v) = values.split_at_mut(ends[1]);
                accumulate(simd, own, (k, wide_h), (weights, width), keys, lost_keys);
                accumulate(simd, own, (weights, width), (v, ldv), values, lost_values);
            }
            first = after;
        }
        if let Leaves::Sums(sums) = leaves {
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

/// Logits of the first `l` of `width` columns become weights, and `inverses` what the sum of each row divides by.
#[inline(always)]
fn share<S: Simd>(simd: S, rows: &mut [f32], (ld, width, l): (usize, usize, usize), inverses: &mut [f32]) {
    for (row, inverse) in rows.chunks_exact_mut(ld).zip(inverses) {
        row[l..width].fill(f32::NEG_INFINITY);
        *inverse = 1.0 / softmax(simd, &mut row[..width]);
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
