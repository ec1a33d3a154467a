//! Attention by features, `phi(q) (phi(k)^T v) / (phi(q) phi(k)^T 1)`: linear attention and Performer.
//!
//! One sweep over the keys sums `phi(k)^T v` and `phi(k)^T 1` of each head, one over the queries reads them. Features
//! are made a block of rows at a time.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use pulp::{Simd, WithSimd};

use super::maker::{Maker, Map, add, largest, scale};
use super::rows::Rows;
use crate::attention::kernel::few::{ROWS, in_lines, product, workers};
use crate::attention::kernel::flat::{Flat, Size};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{Space, aligned, carve, in_parallel, whole_lines};
use crate::linalg::lanes::{exp2, outers, vectors, vectors_mut};

/// Numbers that a sweep over keys leaves: the sums of values, of features, of values alone, and the largest exponent.
fn part(f: usize, d_v: usize) -> usize {
    whole_lines(f) * whole_lines(d_v) + whole_lines(f) + whole_lines(d_v) + whole_lines(1)
}

/// Elements of a worker's own.
fn each(f: usize, d_v: usize) -> usize {
    ROWS * whole_lines(f) + ROWS * whole_lines(d_v) + whole_lines(f).max(whole_lines(d_v)) + whole_lines(ROWS)
}

/// Elements of the work space for `f` features; `directions` are they that `w` has, 0 without.
pub(super) fn space(size: &Size, f: usize, directions: usize) -> usize {
    let (shape, heads) = (size.shape, size.heads);
    let parts = heads * segments::count(heads, shape.m);
    let most = size.threads.min(parts).max(workers(size.threads, heads, shape.n));
    aligned(parts * part(f, shape.d_v) + shape.d_h * whole_lines(directions) + most * each(f, shape.d_v))
}

/// The output of every query with `f` features.
pub(super) fn attend(heads: &Flat<'_>, f: usize, map: Map<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
    let Flat { h, n, m, d_h, d_v, .. } = *heads;
    let threads = rayon::current_num_threads();
    let segments = segments::count(h, m);
    let directions = if matches!(map, Map::Positive { .. }) { f } else { 0 };
    let (part, each) = (part(f, d_v), each(f, d_v));
    let most = threads.min(h * segments).max(workers(threads, h, n));
    let mut all = Space::new(h * segments * part + d_h * whole_lines(directions) + most * each);
    let mut rest = all.all();
    let parts = carve(&mut rest, h * segments * part);
    let transposed = carve(&mut rest, d_h * whole_lines(directions));
    let maker = Maker::new(heads, f, map, transposed);

    let spaces = &mut rest[..threads.min(h * segments) * each];
    in_parallel(parts.chunks_exact_mut(part).enumerate(), spaces, each, |(task, part), space| {
        let (head, segment) = (task / segments, task % segments);
        let keys = segments::keys(segment, segments, m);
        let k = &heads.k(head)[keys.start * d_h..keys.end * d_h];
        let v = &heads.v(head)[keys.start * d_v..keys.end * d_v];
        let rows = Rows { head, keys: true, first: keys.start };
        heads.path.run(Keys { heads, maker, rows, k, v, part, space });
    });

    let eps = if let Map::Positive { eps, .. } = map { eps } else { 0.0 };
    in_parallel(parts.chunks_exact_mut(part * segments), &mut [0.0; 1], 1, |parts, _| {
        merge(parts, part, f, d_v, eps, m);
    });

    let spaces = &mut rest[..workers(threads, h, n) * each];
    let parts = &*parts;
    let mut none = Vec::new();
    let saved = saved.map_or(&mut none, |saved| {
        save(saved, parts.chunks_exact(part * segments), (f, d_v), directions > 0);
        saved.rows = vec![0.0; h * n];
        &mut saved.rows
    });
    in_parallel(heads.blocks_saving(out, saved, ROWS), spaces, each, |((head, first, out), saved), space| {
        let sums = &parts[head * segments * part..][..part];
        let q = &heads.q(head)[first * d_h..][..out.len() / d_v * d_h];
        let rows = Rows { head, keys: false, first };
        heads.path.run(Queries { heads, maker, rows, q, sums, space, out, saved });
    });
}

/// Saves the sums of each head, a column of the sums of features after those of values, and the largest exponents.
fn save<'a>(
    saved: &mut Saved,
    parts: impl Iterator<Item = &'a [f32]> + Clone,
    (f, d_v): (usize, usize),
    exponents: bool,
) {
    let (width, ldv) = (whole_lines(f), whole_lines(d_v));
    let row_of = |sums: &'a [f32], row: usize| {
        let count = std::iter::once(sums[width * ldv + row]);
        let zeros = std::iter::repeat_n(0.0, whole_lines(1) - 1);
        sums[row * ldv..(row + 1) * ldv].iter().copied().chain(count).chain(zeros)
    };
    let rows = parts.clone().flat_map(|sums| (0..width).flat_map(move |row| row_of(sums, row)));
    saved.packs = rows.collect();
    if exponents {
        saved.pack_rows = parts.map(|sums| sums[width * ldv + width + ldv]).collect();
    }
}

/// Brings the segments of one head together in the first one's place, and adds what eps is worth.
fn merge(parts: &mut [f32], part: usize, f: usize, d_v: usize, eps: f32, m: usize) {
    let len = whole_lines(f) * whole_lines(d_v) + whole_lines(f);
    let top =
        parts.chunks_exact(part).fold(f32::NEG_INFINITY, |top, part| top.max(part[len + whole_lines(d_v)]));
    let (sum, others) = parts.split_at_mut(part);
    let share = (sum[len + whole_lines(d_v)] - top).exp2();
    for x in &mut sum[..len] {
        *x *= share;
    }
    for other in others.chunks_exact(part) {
        let share = (other[len + whole_lines(d_v)] - top).exp2();
        for (x, other) in sum[..len].iter_mut().zip(other) {
            *x += other * share;
        }
        for (x, other) in sum[len..len + whole_lines(d_v)].iter_mut().zip(&other[len..]) {
            *x += other;
        }
    }
    let (weighted, values) = sum.split_at_mut(len);
    let (weighted, counts) = weighted.split_at_mut(whole_lines(f) * whole_lines(d_v));
    for row in weighted.chunks_exact_mut(whole_lines(d_v)).take(f) {
        for (x, value) in row.iter_mut().zip(&*values) {
            *x += eps * value;
        }
    }
    for x in &mut counts[..f] {
        *x += eps * m as f32;
    }
    values[whole_lines(d_v)] = top;
}

struct Keys<'a> {
    heads: &'a Flat<'a>,
    maker: Maker<'a>,
    rows: Rows,
    k: &'a [f32],
    v: &'a [f32],
    part: &'a mut [f32],
    space: &'a mut [f32],
}

impl WithSimd for Keys<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, maker, rows: mut of, k, v, mut part, mut space } = self;
        let d_v = heads.d_v;
        let (width, ldv) = (whole_lines(maker.f), whole_lines(d_v));
        let (part, space) = (&mut part, &mut space);
        part.fill(0.0);
        let weighted = carve(part, width * ldv);
        let counts = carve(part, width);
        let alone = carve(part, ldv);
        let top = carve(part, 1);
        let features = carve(space, ROWS * width);
        let padding = carve(space, ROWS * ldv);
        let block = carve(space, width.max(ldv));
        let ones = carve(space, ROWS);
        ones.fill(1.0);
        let positive = matches!(maker.map, Map::Positive { .. });
        top[0] = if positive { f32::NEG_INFINITY } else { 0.0 };
        for (k, v) in k.chunks(ROWS * maker.width()).zip(v.chunks(ROWS * d_v)) {
            let rows = v.len() / d_v;
            let features = &mut features[..rows * width];
            let v = if ldv == d_v { v } else { in_lines(v, d_v, padding) };
            if positive {
                maker.exponents(simd, k, ones, features);
                heads.count(rows, maker.width(), maker.of_row());
                let max = largest(simd, features);
                if max > top[0] {
                    let shrink = (top[0] - max).exp2();
                    scale(simd, weighted, shrink);
                    scale(simd, counts, shrink);
                    top[0] = max;
                }
                for (row, k) in features.chunks_exact_mut(width).zip(k.chunks_exact(maker.width())) {
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
                maker.plain(of, k, features);
                heads.count(rows, maker.width(), maker.of_row());
            }
            of.first += rows;
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
    rows: Rows,
    q: &'a [f32],
    sums: &'a [f32],
    space: &'a mut [f32],
    out: &'a mut [f32],
    saved: &'a mut [f32],
}

impl WithSimd for Queries<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, maker, rows: of, q, sums, mut space, out, saved } = self;
        let d_v = heads.d_v;
        let (width, ldv) = (whole_lines(maker.f), whole_lines(d_v));
        let (weighted, counts) = sums.split_at(width * ldv);
        let rows = q.len() / maker.width();
        let space = &mut space;
        let features = &mut carve(space, ROWS * width)[..rows * width];
        let inverses = carve(space, ROWS);
        inverses.fill(1.0);
        let more = maker.of_queries(simd, of, q, inverses, features);
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
        saved.iter_mut().zip(&*inverses).for_each(|(saved, inverse)| *saved = *inverse);
        heads.count(rows, maker.width(), maker.of_row());
        heads.count(rows, maker.f, d_v + 1);
        product(simd, (&*features, width, maker.f), (weighted, ldv), inverses, (out, d_v, d_v));
    }
}
