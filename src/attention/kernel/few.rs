//! Queries against a few keys that stay in cache: the last step of Luna and of Linformer.
//!
//! Here the keys lie along the vectors: rows of queries are read where they are, a number at a time, and rows of the
//! output are written where they go. The few keys are kept transposed, the few values as rows.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use pulp::{Simd, WithSimd};

use super::flat::Flat;
use super::saved::Saved;
use super::share::{carve, in_parallel, whole_lines};
use crate::linalg::lanes::{dots, exp2, vectors_mut};

/// Rows of a block: a multiple of every number of rows that a tile of registers has.
pub(in crate::attention) const ROWS: usize = 48;

/// Keys and values that every query of a head meets.
#[derive(Clone, Copy)]
pub(in crate::attention) struct Few<'a> {
    pub(in crate::attention) l: usize,
    /// Keys with scale and `log2 e` in them, (`d_h`, l in whole lines).
    pub(in crate::attention) keys: &'a [f32],
    /// Values, (l, `d_v` in whole lines).
    pub(in crate::attention) values: &'a [f32],
}

/// Elements of the keys and values of one head.
pub(in crate::attention) const fn packed(l: usize, d_h: usize, d_v: usize) -> usize {
    d_h * whole_lines(l) + l * whole_lines(d_v)
}

/// Elements of work space of one worker.
pub(in crate::attention) const fn space(l: usize) -> usize {
    ROWS * whole_lines(l) + whole_lines(ROWS)
}

/// How many workers there are work spaces for.
pub(in crate::attention) fn workers(threads: usize, heads: usize, n: usize) -> usize {
    threads.min(heads * n.div_ceil(ROWS))
}

/// The output of every query; `packed` holds the keys and values of each head. Saves the logarithm of each query's sum of
/// weights.
pub(in crate::attention) fn attend(
    heads: &Flat<'_>,
    l: usize,
    packed: &[f32],
    spaces: &mut [f32],
    saved: Option<&mut Saved>,
    out: &mut [f32],
) {
    let Flat { n, d_h, d_v, .. } = *heads;
    let each = self::packed(l, d_h, d_v);
    let mut none = Vec::new();
    let logs = saved.map_or(&mut none, |saved| {
        saved.rows = vec![0.0; heads.h * n];
        &mut saved.rows
    });
    in_parallel(
        heads.blocks_saving(out, logs, ROWS),
        spaces,
        space(l),
        |((head, first, out), logs), space| {
            let (keys, values) = packed[head * each..][..each].split_at(d_h * whole_lines(l));
            let q = &heads.q(head)[first * d_h..][..out.len() / d_v * d_h];
            heads.path.run(Rows { heads, few: Few { l, keys, values }, q, space, logs, out });
        },
    );
}

struct Rows<'a> {
    heads: &'a Flat<'a>,
    few: Few<'a>,
    q: &'a [f32],
    space: &'a mut [f32],
    logs: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, few, q, mut space, logs, out } = self;
        let Flat { d_h, d_v, .. } = *heads;
        let (width, rows) = (whole_lines(few.l), q.len() / d_h);
        let space = &mut space;
        let weights = carve(space, ROWS * width);
        let inverses = carve(space, ROWS);
        inverses.fill(1.0);
        heads.count(rows, d_h, few.l);
        product(simd, (q, d_h, d_h), (few.keys, width), inverses, (&mut *weights, width, width));
        for i in 0..rows {
            let row = &mut weights[i * width..][..width];
            row[few.l..].fill(f32::NEG_INFINITY);
            let [max, sum] = softmax(simd, row);
            inverses[i] = 1.0 / sum;
            if let Some(log) = logs.get_mut(i) {
                *log = max + sum.log2();
            }
        }
        let weights = &weights[..rows * width];
        heads.count(rows, few.l, d_v);
        product(simd, (weights, width, few.l), (few.values, whole_lines(d_v)), inverses, (out, d_v, d_v));
    }
}

/// Logits become weights under their largest; returns the largest and the sum of the weights.
#[inline(always)]
pub(in crate::attention) fn softmax<S: Simd>(simd: S, row: &mut [f32]) -> [f32; 2] {
    let (vectors, _) = S::as_mut_simd_f32s(row);
    let mut max = vectors[0];
    for x in &*vectors {
        max = simd.max_f32s(*x, max);
    }
    let top = simd.reduce_max_f32s(max);
    let max = simd.splat_f32s(top);
    let mut sum = simd.splat_f32s(0.0);
    for x in vectors {
        *x = exp2(simd, simd.sub_f32s(*x, max));
        sum = simd.add_f32s(sum, *x);
    }
    [top, simd.reduce_sum_f32s(sum)]
}

/// `out = factors a b`: rows of `a` (their distance, their length) by rows of `b` in whole lines (their distance);
/// `out` has rows of a distance and a width, to which they are cut.
#[inline(always)]
pub(in crate::attention) fn product<S: Simd>(
    simd: S,
    (a, lda, depth): (&[f32], usize, usize),
    b: (&[f32], usize),
    factors: &[f32],
    out: (&mut [f32], usize, usize),
) {
    panels::<S, false>(simd, (a, lda, depth, 0), b, factors, out);
}

/// As [`product`], where row `i` of `a` continues after its length, with zeros past `min(i + 1, until)` more numbers.
#[inline(always)]
pub(in crate::attention) fn product_stairs<S: Simd>(
    simd: S,
    a: (&[f32], usize, usize, usize),
    b: (&[f32], usize),
    factors: &[f32],
    out: (&mut [f32], usize, usize),
) {
    panels::<S, false>(simd, a, b, factors, out);
}

/// As [`product`], of which only the numbers on and below the diagonal are sure to be there.
#[inline(always)]
pub(in crate::attention) fn product_triangle<S: Simd>(
    simd: S,
    (a, lda, depth): (&[f32], usize, usize),
    b: (&[f32], usize),
    factors: &[f32],
    out: (&mut [f32], usize, usize),
) {
    panels::<S, true>(simd, (a, lda, depth, 0), b, factors, out);
}

#[inline(always)]
fn panels<S: Simd, const TRIANGLE: bool>(
    simd: S,
    (a, lda, depth, until): (&[f32], usize, usize, usize),
    b: (&[f32], usize),
    factors: &[f32],
    (out, ldo, width): (&mut [f32], usize, usize),
) {
    let mut panel = 0;
    while panel < width {
        let above = if TRIANGLE { panel.min(a.len() / lda) } else { 0 };
        let a = (&a[above * lda..], lda, depth, until);
        let b = (&b.0[panel..], b.1);
        let factors = &factors[above..];
        let out = (&mut out[above * ldo..], ldo, panel, width);
        let step = match (S::F32_LANES, (whole_lines(width) - panel) / 16) {
            (16, 1) => columns::<S, 8, 1>(simd, a, b, factors, out),
            (16, 2) => columns::<S, 8, 2>(simd, a, b, factors, out),
            (16, 3) => columns::<S, 8, 3>(simd, a, b, factors, out),
            (16, _) => columns::<S, 6, 4>(simd, a, b, factors, out),
            (8, _) => columns::<S, 6, 2>(simd, a, b, factors, out),
            _ => columns::<S, 4, 1>(simd, a, b, factors, out),
        };
        panel += step;
    }
}

/// One panel of columns; returns how many there are.
#[inline(always)]
fn columns<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    (a, lda, depth, until): (&[f32], usize, usize, usize),
    (b, ldb): (&[f32], usize),
    factors: &[f32],
    (out, ldo, panel, width): (&mut [f32], usize, usize, usize),
) -> usize {
    let rows = a.len() / lda;
    let mut i = 0;
    while i < rows {
        let depth = depth + (i + R).min(until);
        let mut group: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            // The last rows are computed again where fewer than R are left, and not kept.
            group[r] = &a[(i + r).min(rows - 1) * lda..][..depth];
        }
        let found = dots::<S, R, NV>(simd, group, b, ldb);
        if i + R <= rows && panel + NV * S::F32_LANES <= width {
            for r in 0..R {
                let factor = simd.splat_f32s(factors[i + r]);
                let row = vectors_mut::<S, NV>(&mut out[(i + r) * ldo + panel..]);
                for c in 0..NV {
                    row[c] = simd.mul_f32s(found[r][c], factor);
                }
            }
            i += R;
            continue;
        }
        for r in 0..R {
            if i + r < rows {
                let factor = simd.splat_f32s(factors[i + r]);
                let row = &mut out[(i + r) * ldo..][..width];
                if panel + NV * S::F32_LANES <= width {
                    let row = vectors_mut::<S, NV>(&mut row[panel..]);
                    for c in 0..NV {
                        row[c] = simd.mul_f32s(found[r][c], factor);
                    }
                } else {
                    for c in 0..NV {
                        let from = (panel + c * S::F32_LANES).min(width);
                        let to = (from + S::F32_LANES).min(width);
                        simd.partial_store_f32s(&mut row[from..to], simd.mul_f32s(found[r][c], factor));
                    }
                }
            }
        }
        i += R;
    }
    NV * S::F32_LANES
}

/// `sums += a^T b`-like sums of rows: `out` (rows of `a`, whole lines) `+= a b`.
#[inline(always)]
pub(in crate::attention) fn product_add<S: Simd>(
    simd: S,
    (a, lda, depth, rows): (&[f32], usize, usize, usize),
    b: (&[f32], usize),
    (out, width): (&mut [f32], usize),
) {
    // Rows of `a` may be a power of two apart and then share the sets of a small first cache, which forgets more than a
    // few of them from one panel to the next.
    let some = if S::F32_LANES == 8 { 6 } else { rows };
    let mut i = 0;
    while i < rows {
        let group = (&a[i * lda..], lda, depth, some.min(rows - i));
        product_add_panels(simd, group, b, (&mut out[i * width..], width));
        i += some;
    }
}

#[inline(always)]
fn product_add_panels<S: Simd>(
    simd: S,
    (a, lda, depth, rows): (&[f32], usize, usize, usize),
    (b, ldb): (&[f32], usize),
    (out, width): (&mut [f32], usize),
) {
    let mut panel = 0;
    while panel < width {
        let b = &b[panel..];
        panel += match (S::F32_LANES, (width - panel) / 16) {
            (16, 1) => add::<S, 8, 1>(simd, (a, lda, depth, rows), (b, ldb), (&mut *out, width, panel)),
            (16, 2) => add::<S, 8, 2>(simd, (a, lda, depth, rows), (b, ldb), (&mut *out, width, panel)),
            (16, 3) => add::<S, 8, 3>(simd, (a, lda, depth, rows), (b, ldb), (&mut *out, width, panel)),
            (16, _) if rows % 6 != 0 && rows < 24 => {
                add::<S, 4, 4>(simd, (a, lda, depth, rows), (b, ldb), (&mut *out, width, panel))
            }
            (16, _) => add::<S, 6, 4>(simd, (a, lda, depth, rows), (b, ldb), (&mut *out, width, panel)),
            (8, _) => add::<S, 6, 2>(simd, (a, lda, depth, rows), (b, ldb), (&mut *out, width, panel)),
            _ => add::<S, 4, 1>(simd, (a, lda, depth, rows), (b, ldb), (&mut *out, width, panel)),
        };
    }
}

#[inline(always)]
fn add<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    (a, lda, depth, rows): (&[f32], usize, usize, usize),
    (b, ldb): (&[f32], usize),
    (out, width, panel): (&mut [f32], usize, usize),
) -> usize {
    let mut i = 0;
    while i < rows {
        let mut group: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            group[r] = &a[(i + r).min(rows - 1) * lda..][..depth];
        }
        let found = dots::<S, R, NV>(simd, group, b, ldb);
        for r in 0..R {
            if i + r < rows {
                let row = vectors_mut::<S, NV>(&mut out[(i + r) * width + panel..]);
                for c in 0..NV {
                    row[c] = simd.add_f32s(row[c], found[r][c]);
                }
            }
        }
        i += R;
    }
    NV * S::F32_LANES
}

/// Rows that each begin at a cache line, with zeros after them.
pub(in crate::attention) fn in_lines<'a>(x: &[f32], width: usize, padding: &'a mut [f32]) -> &'a [f32] {
    let rows = x.len() / width;
    for (row, padded) in x.chunks_exact(width).zip(padding.chunks_exact_mut(whole_lines(width))) {
        padded[..width].copy_from_slice(row);
        padded[width..].fill(0.0);
    }
    &padding[..rows * whole_lines(width)]
}
