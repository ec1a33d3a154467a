//! One block of queries against a range of keys, by online softmax.
//!
//! Queries lie along the vectors: the block is kept transposed, `q^T` (`d_h` x W), and so are its logits (keys x W) and
//! its sums of values (`d_v` x W). Maxima and sums over keys are then plain vector operations, keys and values are read
//! where they are, a number at a time, and nothing but the block itself is ever rearranged.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::share::{carve, whole_lines};
use crate::cost::Tally;
use crate::linalg::lanes::{dots, exp2, outers, vectors, vectors_mut};
use crate::linalg::random_mask::RandomMask;

/// Keys of one tile of logits.
pub(in crate::attention) const TILE: usize = 96;
/// Queries of the widest block.
const MAX_WIDTH: usize = 64;
/// Before any key was seen: finite, so that nothing is subtracted from itself, and below every logit.
const NONE: f32 = -1e30;

/// What a block keeps: `width` queries (16, 32, 48 or 64).
pub(in crate::attention) struct Block<'a> {
    pub(in crate::attention) width: usize,
    /// How many of them are there.
    rows: usize,
    /// Queries with scale and `log2 e` in them, (`d_h`, width).
    pub(in crate::attention) queries: &'a mut [f32],
    /// Logits and then weights of one tile, (TILE, width).
    logits: &'a mut [f32],
    /// Sums of weighted values, (`d_v`, width), and of weighted keys below them where those are asked for.
    pub(in crate::attention) sums: &'a mut [f32],
    /// Largest logit so far, sum of weights, and what the sums shrink by when the largest grows: (width) each.
    pub(in crate::attention) max: &'a mut [f32],
    pub(in crate::attention) total: &'a mut [f32],
    shrink: &'a mut [f32],
    /// The keys that each query sees, from and to: (width) each, as numbers that f32 holds exactly.
    sees: [&'a mut [f32]; 2],
}

/// How many numbers a block takes whose values have `sums` columns altogether.
pub(in crate::attention) const fn space(width: usize, d_h: usize, sums: usize) -> usize {
    whole_lines(width * d_h) + whole_lines(width * TILE) + whole_lines(width * sums) + 5 * whole_lines(width)
}

impl<'a> Block<'a> {
    pub(in crate::attention) fn new(width: usize, d_h: usize, sums: usize, mut space: &'a mut [f32]) -> Self {
        let space = &mut space;
        Self {
            width,
            rows: 0,
            queries: carve(space, width * d_h),
            logits: carve(space, width * TILE),
            sums: carve(space, width * sums),
            max: carve(space, width),
            total: carve(space, width),
            shrink: carve(space, width),
            sees: [carve(space, width), carve(space, width)],
        }
    }

    /// Takes in up to `width` queries (rows of `d_h`) and forgets what was there; the missing ones become zeros.
    pub(in crate::attention) fn begin(&mut self, q: &[f32], d_h: usize, scale: f32) {
        let rows = q.len() / d_h;
        self.rows = rows;
        let factor = scale * std::f32::consts::LOG2_E;
        transpose((q, d_h), (self.queries, self.width), (rows, d_h), |_| factor);
        for row in self.queries.chunks_exact_mut(self.width) {
            row[rows..].fill(0.0);
        }
        self.sums.fill(0.0);
        self.max.fill(NONE);
        self.total.fill(0.0);
    }

    /// Says which keys the block's i-th query sees.
    pub(in crate::attention) fn see(&mut self, keys: impl Fn(usize) -> Range<usize>) {
        let [from, to] = &mut self.sees;
        for (i, (from, to)) in from.iter_mut().zip(&mut **to).enumerate() {
            let keys = keys(i);
            (*from, *to) = (keys.start as f32, keys.end as f32);
        }
    }

    /// How many pairs of a query and a key of the tile are open.
    fn pairs(&self, tile: &Range<usize>) -> usize {
        let [from, to] = &self.sees;
        let seen = from.iter().zip(&**to).take(self.rows);
        seen.map(|(from, to)| tile.end.min(*to as usize).saturating_sub(tile.start.max(*from as usize))).sum()
    }

    /// Writes the weighted means of values as rows of `d_v`; queries that saw no key get zeros.
    pub(in crate::attention) fn finish(&mut self, out: &mut [f32], d_v: usize) {
        for (total, inverse) in self.total.iter().zip(&mut *self.shrink) {
            *inverse = if *total == 0.0 { 0.0 } else { 1.0 / total };
        }
        let rows = out.len() / d_v;
        transpose((self.sums, self.width), (out, d_v), (d_v, rows), |i| self.shrink[i]);
    }
}

/// `out[c, r] = factor(c) a[r, c]` for `rows` x `columns` numbers, by squares of a few cache lines.
pub(in crate::attention) fn transpose(
    (a, lda): (&[f32], usize),
    (out, ldo): (&mut [f32], usize),
    (rows, columns): (usize, usize),
    factor: impl Fn(usize) -> f32,
) {
    const SIDE: usize = 16;
    for r in (0..rows).step_by(SIDE) {
        for c in (0..columns).step_by(SIDE) {
            let (height, breadth) = (SIDE.min(rows - r), SIDE.min(columns - c));
            if height == SIDE && breadth == SIDE {
                let mut square = [[0.0_f32; SIDE]; SIDE];
                for (i, transposed) in square.iter_mut().enumerate() {
                    let row: &[f32; SIDE] =
                        a[(r + i) * lda + c..].first_chunk().expect("a row of the square");
                    *transposed = *row;
                }
                for j in 0..SIDE {
                    let factor = factor(c + j);
                    let row: &mut [f32; SIDE] =
                        out[(c + j) * ldo + r..].first_chunk_mut().expect("a row of the square");
                    for i in 0..SIDE {
                        row[i] = square[i][j] * factor;
                    }
                }
            } else {
                for j in c..c + breadth {
                    let factor = factor(j);
                    for i in r..r + height {
                        out[j * ldo + i] = a[i * lda + j] * factor;
                    }
                }
            }
        }
    }
}

/// Takes keys into a block: rows `keys` of `k` and `v`.
pub(in crate::attention) struct Attend<'a, 'b> {
    pub(in crate::attention) block: &'a mut Block<'b>,
    pub(in crate::attention) k: &'a [f32],
    pub(in crate::attention) v: &'a [f32],
    pub(in crate::attention) d_h: usize,
    pub(in crate::attention) d_v: usize,
    /// Whether keys are weighted and summed as well.
    pub(in crate::attention) pack_keys: bool,
    pub(in crate::attention) keys: Range<usize>,
    /// Which weights are dropped, and the part of the block's first query.
    pub(in crate::attention) dropped: (RandomMask, usize),
    /// Which keys every query of the block sees.
    pub(in crate::attention) open: Range<usize>,
    /// Where multiply-adds are counted, if they are, and how many a pair of a query and a key takes.
    pub(in crate::attention) tally: Option<(&'a Tally, usize)>,
}

impl WithSimd for Attend<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (S::F32_LANES, self.block.width / S::F32_LANES) {
            (16, 1) => self.attend::<S, 8, 16, 1>(simd),
            (16, 4) => self.attend::<S, 6, 6, 4>(simd),
            (16, 2) => self.attend::<S, 8, 8, 2>(simd),
            (16, _) => self.attend::<S, 8, 8, 3>(simd),
            (8, _) => self.attend::<S, 6, 6, 2>(simd),
            _ => self.attend::<S, 4, 4, 1>(simd),
        }
    }
}

impl Attend<'_, '_> {
    #[inline(always)]
    fn attend<S: Simd, const KEYS: usize, const COLUMNS: usize, const NV: usize>(self, simd: S) {
        let Self { block, k, v, d_h, d_v, pack_keys, keys, dropped: (mask, row), open, tally } = self;
        let width = block.width;
        let mut of_queries = [0; MAX_WIDTH];
        if !mask.is_off() {
            for i in 0..width {
                of_queries[i] = mask.part(row + i).key();
            }
        }
        let mut first = keys.start;
        while first < keys.end {
            let tile = first..(first + TILE).min(keys.end);
            let len = tile.len();
            logits::<S, KEYS, NV>(
                simd,
                &k[first * d_h..tile.end * d_h],
                d_h,
                block.queries,
                block.logits,
                width,
            );
            let partly = tile.start < open.start || tile.end > open.end;
            if partly {
                hide::<S>(simd, tile.clone(), block);
            }
            if let Some((tally, each)) = tally {
                let pairs = if partly { block.pairs(&tile) } else { block.rows * len };
                tally.product(pairs, each, 1);
            }
            weights::<S>(simd, len, block);
            if !mask.is_off() {
                for (j, row) in tile.clone().zip(block.logits.chunks_exact_mut(width)) {
                    mask.across(&of_queries[..width], j, row);
                }
            }
            values::<S, COLUMNS, NV>(simd, &v[first * d_v..tile.end * d_v], d_v, 0, block);
            if pack_keys {
                values::<S, COLUMNS, NV>(simd, &k[first * d_h..tile.end * d_h], d_h, d_v, block);
            }
            first = tile.end;
        }
    }
}

/// `k q^T`: a row of logits for each key of the tile.
#[inline(always)]
fn logits<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    k: &[f32],
    d_h: usize,
    queries: &[f32],
    logits: &mut [f32],
    width: usize,
) {
    let keys = k.len() / d_h;
    let mut panel = 0;
    while panel < width {
        let mut j = 0;
        while j < keys {
            let mut rows: [&[f32]; R] = [&[]; R];
            for r in 0..R {
                // The last rows are computed again where fewer than R are left, and not kept.
                rows[r] = &k[(j + r).min(keys - 1) * d_h..][..d_h];
            }
            let found = dots::<S, R, NV>(simd, rows, &queries[panel..], width);
            for r in 0..R {
                if j + r < keys {
                    *vectors_mut::<S, NV>(&mut logits[(j + r) * width + panel..]) = found[r];
                }
            }
            j += R;
        }
        panel += NV * S::F32_LANES;
    }
}

/// Hides the keys of a tile from the queries that do not see them.
#[inline(always)]
fn hide<S: Simd>(simd: S, tile: Range<usize>, block: &mut Block<'_>) {
    let hidden = simd.splat_f32s(f32::NEG_INFINITY);
    for (j, row) in tile.zip(block.logits.chunks_exact_mut(block.width)) {
        let j = simd.splat_f32s(j as f32);
        let (row, _) = S::as_mut_simd_f32s(row);
        let (from, _) = S::as_simd_f32s(block.sees[0]);
        let (to, _) = S::as_simd_f32s(block.sees[1]);
        for ((x, from), to) in row.iter_mut().zip(from).zip(to) {
            *x = simd.select_f32s(simd.less_than_f32s(j, *from), hidden, *x);
            *x = simd.select_f32s(simd.less_than_f32s(j, *to), *x, hidden);
        }
    }
}

/// Logits of `keys` keys become weights under the largest logit so far.
#[inline(always)]
fn weights<S: Simd>(simd: S, keys: usize, block: &mut Block<'_>) {
    let width = block.width;
    let mut lane = 0;
    while lane < width {
        let old = vectors::<S, 1>(&block.max[lane..])[0];
        let mut max = [old; 2];
        for pair in 0..keys / 2 {
            for c in 0..2 {
                let x = vectors::<S, 1>(&block.logits[(2 * pair + c) * width + lane..])[0];
                max[c] = simd.max_f32s(x, max[c]);
            }
        }
        if keys % 2 == 1 {
            max[0] = simd.max_f32s(vectors::<S, 1>(&block.logits[(keys - 1) * width + lane..])[0], max[0]);
        }
        let max = simd.max_f32s(max[0], max[1]);
        let shrink = exp2(simd, simd.sub_f32s(old, max));
        let mut sum = simd.splat_f32s(0.0);
        for j in 0..keys {
            let x = &mut vectors_mut::<S, 1>(&mut block.logits[j * width + lane..])[0];
            *x = exp2(simd, simd.sub_f32s(*x, max));
            sum = simd.add_f32s(sum, *x);
        }
        let total = &mut vectors_mut::<S, 1>(&mut block.total[lane..])[0];
        *total = simd.mul_add_e_f32s(*total, shrink, sum);
        vectors_mut::<S, 1>(&mut block.max[lane..])[0] = max;
        vectors_mut::<S, 1>(&mut block.shrink[lane..])[0] = shrink;
        lane += S::F32_LANES;
    }
}

/// Shrinks the sums from row `at` on and adds `v^T` times the weights.
#[inline(always)]
fn values<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    v: &[f32],
    d_v: usize,
    at: usize,
    block: &mut Block<'_>,
) {
    let mut panel = 0;
    while panel < block.width {
        let mut c = 0;
        while c < d_v {
            if d_v >= R {
                // The last columns are computed again where fewer than R are left, and not added.
                let first = c.min(d_v - R);
                add::<S, R, NV>(simd, (v, d_v), first, at, panel, c - first, block);
                c = first + R;
            } else {
                add::<S, 1, NV>(simd, (v, d_v), c, at, panel, 0, block);
                c += 1;
            }
        }
        panel += NV * S::F32_LANES;
    }
}

/// `R` columns of the values from `first` on, of which `skip` are not added.
#[inline(always)]
fn add<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    (v, d_v): (&[f32], usize),
    first: usize,
    at: usize,
    panel: usize,
    skip: usize,
    block: &mut Block<'_>,
) {
    let width = block.width;
    let found = outers::<S, R, NV>(simd, v.len() / d_v, &v[first..], d_v, &block.logits[panel..], width);
    let shrink = *vectors::<S, NV>(&block.shrink[panel..]);
    for r in 0..R {
        if r >= skip {
            let sums = vectors_mut::<S, NV>(&mut block.sums[(at + first + r) * width + panel..]);
            for c in 0..NV {
                sums[c] = simd.mul_add_e_f32s(sums[c], shrink[c], found[r][c]);
            }
        }
    }
}
