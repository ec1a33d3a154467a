//! Causal forms that carry running sums from token to token, a block of tokens at a time.
//!
//! Row t of a block needs the sums over the tokens before the block, which a product reads, and the block's own tokens
//! up to t, which a product with the lower triangle of a (block x block) matrix reads: one product of rows that hold
//! both, `[x | triangle]`, with the rows of both, `[sums; tokens]`.
//!
//! Heads are cut into segments of tokens where there are few of them. Then the sums of all segments but the last are
//! taken first, brought together from left to right, and every segment begins where the others left off.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use std::ops::Range;

use pulp::Simd;

use super::features::add as add_row;
use super::flat::{Flat, Size};
use super::pass::split_segments;
use super::saved::Saved;
use super::segments::keys;
use super::share::{Space, aligned, carve, in_parallel, whole_lines};
use crate::linalg::lanes::{outers, vectors_mut};

/// Tokens of a block: more of them cost more of the triangle, fewer more traffic with the sums.
pub(in crate::attention) const ROWS: usize = 32;
/// What the segments of all heads are at least. Every segment but a head's last has its sums taken once more than one
/// sweep would, so there are fewer than [`segments`](super::segments) has.
const MIN_SEGMENTS: usize = 8;
/// Tokens that are not worth cutting.
const SHORT: usize = 512;

/// How many segments each of `heads` heads is cut into: its shape says so, not the number of threads.
fn segments(heads: usize, n: usize) -> usize {
    MIN_SEGMENTS.div_ceil(heads.max(1)).min(n.div_ceil(SHORT)).max(1)
}

/// What a causal form does with a segment of tokens.
pub(in crate::attention) trait Scan: Sync {
    /// Elements of the sums that are carried.
    fn sums(&self) -> usize;
    /// Elements of a worker.
    fn each(&self) -> usize;
    /// Sweeps over a segment, with the sums before it if there are any.
    fn sweep(
        &self,
        head: usize,
        tokens: Range<usize>,
        before: Option<&[f32]>,
        target: SweepTarget<'_>,
        space: &mut [f32],
    );
    /// The sums over a segment become what they are together with the sums `before` it.
    fn join(&self, tokens: Range<usize>, before: &[f32], sums: &mut [f32]);
}

/// What a sweep over a segment writes.
pub(in crate::attention) enum SweepTarget<'a> {
    /// The sums over its tokens.
    Sums(&'a mut [f32]),
    /// The output of its queries, and a number of each that is saved, if any are.
    Out(&'a mut [f32], &'a mut [f32]),
}

/// Elements of the work space, for a form of so many sums and so many numbers a worker.
pub(in crate::attention) fn space(size: &Size, sums: usize, each: usize) -> usize {
    let segments = segments(size.heads, size.shape.n);
    let kept = size.heads * (segments - 1) * whole_lines(sums);
    aligned(kept + size.threads.min(size.heads * segments) * whole_lines(each))
}

/// The output of every query; saves a number of each where asked.
pub(in crate::attention) fn run(
    heads: &Flat<'_>,
    scan: &impl Scan,
    saved: Option<&mut Saved>,
    out: &mut [f32],
) {
    let Flat { h, n, d_v, .. } = *heads;
    let segments = segments(h, n);
    let range = |segment: usize| keys(segment, segments, n);
    let (one, each) = (whole_lines(scan.sums()), whole_lines(scan.each()));
    let workers = rayon::current_num_threads().min(h * segments);
    let mut all = Space::new(h * (segments - 1) * one + workers * each);
    let mut rest = all.all();
    let kept = carve(&mut rest, h * (segments - 1) * one);
    let spaces = &mut rest[..workers * each];

    if segments > 1 {
        in_parallel(kept.chunks_exact_mut(one).enumerate(), spaces, each, |(task, sums), space| {
            let (head, segment) = (task / (segments - 1), task % (segments - 1));
            let target = SweepTarget::Sums(&mut sums[..scan.sums()]);
            scan.sweep(head, range(segment), None, target, space);
        });
        for of_head in kept.chunks_exact_mut(one * (segments - 1)) {
            for segment in 1..segments - 1 {
                let (before, sums) = of_head[(segment - 1) * one..].split_at_mut(one);
                scan.join(range(segment), &before[..scan.sums()], &mut sums[..scan.sums()]);
            }
        }
    }

    let kept = &*kept;
    let of_heads = out.chunks_exact_mut(heads.lengths.0 * d_v).enumerate();
    let mut none = Vec::new();
    let rows = saved.map_or(&mut none, |saved| {
        saved.rows = vec![0.0; h * n];
        &mut saved.rows
    });
    let of_segments = rows.chunks_exact_mut(n).flat_map(|rows| split_segments(rows, segments, 1));
    let of_segments = of_segments.chain(std::iter::repeat_with(Default::default));
    let tasks = of_heads.flat_map(|(head, mut out)| {
        (0..segments).map(move |segment| {
            let tokens = keys(segment, segments, n);
            (head, segment, out.split_off_mut(..tokens.len() * d_v).expect("rows of every token"))
        })
    });
    in_parallel(tasks.zip(of_segments), spaces, each, |((head, segment, out), rows), space| {
        let before = segment.checked_sub(1).map(|last| {
            let kept = &kept[(head * (segments - 1) + last) * one..];
            &kept[..scan.sums()]
        });
        scan.sweep(head, range(segment), before, SweepTarget::Out(out, rows), space);
    });
}

/// Copies what stands on and below the diagonal, up to column `until`, after the `at` first numbers of each row of
/// `out`, and zeros in place of the others.
#[inline(always)]
pub(in crate::attention) fn stairs(
    triangle: &[f32],
    (out, ldo, at): (&mut [f32], usize, usize),
    rows: usize,
    until: usize,
) {
    for i in 0..rows {
        let seen = (i + 1).min(until);
        let row = &mut out[i * ldo + at..][..ROWS];
        row[..seen].copy_from_slice(&triangle[i * ROWS..][..seen]);
        row[seen..].fill(0.0);
    }
}

/// Adds rows to `sums` with what rounding lost kept in `lost`, as in [`accumulate`]; `block` is room for their own sum.
#[inline(always)]
pub(in crate::attention) fn accumulate_rows<S: Simd>(
    simd: S,
    rows: &[f32],
    block: &mut [f32],
    sums: &mut [f32],
    lost: &mut [f32],
) {
    let block = &mut block[..sums.len()];
    block.fill(0.0);
    for row in rows.chunks_exact(sums.len()) {
        add_row(simd, block, row);
    }
    let (row, _) = S::as_simd_f32s(block);
    let (sums, _) = S::as_mut_simd_f32s(sums);
    let (lost, _) = S::as_mut_simd_f32s(lost);
    for ((sum, lost), x) in sums.iter_mut().zip(lost).zip(row) {
        kahan(simd, *x, sum, lost);
    }
}

/// Kahan (1965)
#[inline(always)]
fn kahan<S: Simd>(simd: S, x: S::f32s, sum: &mut S::f32s, lost: &mut S::f32s) {
    let more = simd.sub_f32s(x, *lost);
    let after = simd.add_f32s(*sum, more);
    *lost = simd.sub_f32s(simd.sub_f32s(after, *sum), more);
    *sum = after;
}

/// `c += a^T b` with what rounding lost kept in `lost`, so that the length changes no error; `a` and `b` are `depth`
/// rows in whole lines. The lost part has the opposite sign.
#[inline(always)]
pub(in crate::attention) fn accumulate<S: Simd>(
    simd: S,
    depth: usize,
    a: (&[f32], usize),
    (b, ldb): (&[f32], usize),
    c: &mut [f32],
    lost: &mut [f32],
) {
    let mut panel = 0;
    while panel < ldb {
        let b = (&b[panel..], ldb);
        let (c, lost) = (&mut c[panel..], &mut lost[panel..]);
        panel += match (S::F32_LANES, (ldb - panel) / 16) {
            (16, 1) => add::<S, 16, 1>(simd, depth, a, b, c, lost),
            (16, 2) => add::<S, 8, 2>(simd, depth, a, b, c, lost),
            (16, 3) => add::<S, 8, 3>(simd, depth, a, b, c, lost),
            (16, _) => add::<S, 4, 4>(simd, depth, a, b, c, lost),
            (8, _) => add::<S, 4, 2>(simd, depth, a, b, c, lost),
            _ => add::<S, 4, 1>(simd, depth, a, b, c, lost),
        };
    }
}

/// One panel of columns; returns how many there are. `R` divides the width of `a`.
#[inline(always)]
fn add<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    depth: usize,
    (a, lda): (&[f32], usize),
    (b, ldb): (&[f32], usize),
    c: &mut [f32],
    lost: &mut [f32],
) -> usize {
    let mut i = 0;
    while i < lda {
        let found = outers::<S, R, NV>(simd, depth, &a[i..], lda, b, ldb);
        for r in 0..R {
            let at = (i + r) * ldb;
            let (row, lost) = (vectors_mut::<S, NV>(&mut c[at..]), vectors_mut::<S, NV>(&mut lost[at..]));
            for j in 0..NV {
                kahan(simd, found[r][j], &mut row[j], &mut lost[j]);
            }
        }
        i += R;
    }
    NV * S::F32_LANES
}
