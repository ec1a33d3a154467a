//! Register tiles of double-precision products: the part of a reduction to a band that takes its time.
//!
//! Every tile multiplies broadcast elements of one operand by `NV` vectors of the other, and holds `R` rows of the result in
//! registers. Neither a triangle nor a thin panel is packed by faer's products without waste: at n = 512 these are a third
//! faster (`benches/spectra.rs`). `pulp` picks the widest instructions that the machine has at run time.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::gemm::Threads;

/// Terms of a sum that are added one after the other. Where a few terms are large and the others equal (a matrix with one row
/// that is not zero), each addition rounds the same way: sums of 512 terms lose two digits, sums of sums do not.
pub(super) const TERMS: usize = 16;

/// `NV` vectors from the beginning of the slice.
#[inline(always)]
pub(super) fn vectors<S: Simd, const NV: usize>(x: &[f64]) -> &[S::f64s; NV] {
    let (vectors, _) = S::as_simd_f64s(&x[..NV * S::F64_LANES]);
    vectors.first_chunk().expect("NV vectors")
}

/// As [`vectors`], mutable.
#[inline(always)]
pub(super) fn vectors_mut<S: Simd, const NV: usize>(x: &mut [f64]) -> &mut [S::f64s; NV] {
    let (vectors, _) = S::as_mut_simd_f64s(&mut x[..NV * S::F64_LANES]);
    vectors.first_chunk_mut().expect("NV vectors")
}

/// Columns of a packed panel.
const PANEL: usize = 16;

/// Columns whose panels stay in the second-level cache while all rows pass.
const COLUMNS: usize = 256;

/// Most rows of a tile.
const ROWS: usize = 12;

/// A matrix (m, k), of which each [`PANEL`] rows are stored as (k, `PANEL`), the last one filled with zeros.
#[derive(Default)]
pub(super) struct Packed(Vec<f64>);

impl Packed {
    /// Replaces the content by a row-major matrix (m, k).
    pub(super) fn fill(&mut self, rows: &[f64], k: usize) {
        self.fill_from(rows, k, 0);
    }

    /// As [`Self::fill`], with the second half of each row before the first.
    pub(super) fn fill_swapped(&mut self, rows: &[f64], k: usize) {
        self.fill_from(rows, k, k / 2);
    }

    fn fill_from(&mut self, rows: &[f64], k: usize, first: usize) {
        let m = rows.len() / k;
        self.0.clear();
        self.0.resize(m.next_multiple_of(PANEL) * k, 0.0);
        for (panel, rows) in self.0.chunks_exact_mut(PANEL * k).zip(rows.chunks(PANEL * k)) {
            for (c, row) in rows.chunks_exact(k).enumerate() {
                let swapped = row[first..].iter().chain(&row[..first]);
                for (to, x) in panel[c..].iter_mut().step_by(PANEL).zip(swapped) {
                    *to = *x;
                }
            }
        }
    }
}

/// `C += alpha L R^T` for `L` and `R` (m, k), on and above the diagonal of the row-major matrix `c` with `ldc` elements from
/// row to row. What is below the diagonal is written as well, and has no meaning.
pub(super) struct UpperUpdate<'a> {
    pub(super) c: &'a mut [f64],
    pub(super) ldc: usize,
    pub(super) k: usize,
    pub(super) left: &'a [f64],
    pub(super) right: &'a Packed,
    pub(super) alpha: f64,
}

impl UpperUpdate<'_> {
    /// The rows of the result are independent of each other: they are the same to the last bit on any number of threads.
    pub(super) fn apply(self, arch: Arch, threads: Threads) {
        let Self { c, ldc, k, left, right, alpha } = self;
        let m = left.len() / k;
        let parts = match threads {
            Threads::One => 1,
            Threads::All => PARTS_PER_THREAD * rayon::current_num_threads(),
        };
        let mut rest = (c, left);
        let parts: Vec<UpperRows<'_>> = triangle_parts(m, parts, ROWS)
            .map(|rows| {
                let here = rest.0.len().min(rows.len() * ldc);
                let (c, c_after) = std::mem::take(&mut rest.0).split_at_mut(here);
                let (left, left_after) = rest.1.split_at(rows.len() * k);
                rest = (c_after, left_after);
                UpperRows { c, ldc, k, first: rows.start, m, left, right, alpha }
            })
            .collect();
        match threads {
            Threads::One => parts.into_iter().for_each(|part| arch.dispatch(part)),
            Threads::All => parts.into_par_iter().for_each(|part| arch.dispatch(part)),
        }
    }
}

/// Parts of a product for each thread: the last ones to end differ by one part.
const PARTS_PER_THREAD: usize = 4;

/// Rows `0..m` in at most `parts` parts of about the same number of elements on and above the diagonal; each begins at a multiple of
/// `step`.
pub(super) fn triangle_parts(m: usize, parts: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    let end = move |part: usize| {
        let left = 1.0 - part as f64 / parts as f64;
        let row = (m as f64 * (1.0 - left.sqrt())) as usize;
        if part == parts { m } else { row / step * step }
    };
    (0..parts).map(move |part| end(part)..end(part + 1)).filter(|rows| !rows.is_empty())
}

/// Some rows of an [`UpperUpdate`]: `c` and `left` begin with row `first` of `m`.
struct UpperRows<'a> {
    c: &'a mut [f64],
    ldc: usize,
    k: usize,
    first: usize,
    m: usize,
    left: &'a [f64],
    right: &'a Packed,
    alpha: f64,
}

impl WithSimd for UpperRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F64_LANES {
            8 => self.run::<S, ROWS, 2>(simd),
            4 => self.run::<S, 3, 4>(simd),
            _ => self.run::<S, 3, 2>(simd),
        }
    }
}

impl UpperRows<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const NV: usize>(self, simd: S) {
        let Self { c, ldc, k, first, m, left, right, alpha } = self;
        let last = first + left.len() / k;
        for block in (first / COLUMNS * COLUMNS..m).step_by(COLUMNS) {
            let end = (block + COLUMNS).min(m);
            for j in (first..end.min(last)).step_by(R) {
                let rows = R.min(last - j);
                let left = &left[(j - first) * k..][..rows * k];
                for i in (block.max(j / PANEL * PANEL)..end).step_by(PANEL) {
                    let panel = &right.0[i * k..][..PANEL * k];
                    let c = &mut c[(j - first) * ldc + i..];
                    if rows == R && i + PANEL <= m {
                        update::<S, R, NV>(simd, c, ldc, left, panel, alpha);
                        continue;
                    }
                    let mut tile = [0.0; ROWS * PANEL];
                    for (row, left) in left.chunks_exact(k).enumerate() {
                        update::<S, 1, NV>(simd, &mut tile[row * PANEL..], PANEL, left, panel, alpha);
                    }
                    for (row, tile) in tile.chunks_exact(PANEL).enumerate().take(rows) {
                        for (c, x) in c[row * ldc..].iter_mut().zip(&tile[..PANEL.min(m - i)]) {
                            *c += x;
                        }
                    }
                }
            }
        }
    }
}

/// `R` rows of [`UpperRows`] beside one panel.
#[inline(always)]
fn update<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    c: &mut [f64],
    ldc: usize,
    left: &[f64],
    panel: &[f64],
    alpha: f64,
) {
    let rows = split::<R>(left, left.len() / R, left.len() / R);
    let alpha = simd.splat_f64s(alpha);
    for at in (0..PANEL).step_by(NV * S::F64_LANES) {
        let sums = dots::<S, R, NV, PANEL>(simd, &rows, panel, at);
        for r in 0..R {
            let c = vectors_mut::<S, NV>(&mut c[r * ldc + at..]);
            for v in 0..NV {
                c[v] = simd.mul_add_e_f64s(alpha, sums[r][v], c[v]);
            }
        }
    }
}

/// `R` slices of `len` elements, `ld` elements apart.
#[inline(always)]
fn split<const R: usize>(a: &[f64], ld: usize, len: usize) -> [&[f64]; R] {
    let mut rows: [&[f64]; R] = [&[]; R];
    for r in 0..R {
        rows[r] = &a[r * ld..][..len];
    }
    rows
}

/// `a b` for `R` contiguous rows `a`, and as many rows of `b` as they are long, `LD` elements apart: `NV` vectors from
/// column `at` on.
#[inline(always)]
fn dots<S: Simd, const R: usize, const NV: usize, const LD: usize>(
    simd: S,
    a: &[&[f64]; R],
    b: &[f64],
    at: usize,
) -> [[S::f64s; NV]; R] {
    let mut sums = [[simd.splat_f64s(0.0); NV]; R];
    let depth = a[0].len();
    let rows: [&[f64]; R] = {
        let mut rows = *a;
        for row in &mut rows {
            *row = &row[..depth];
        }
        rows
    };
    for (k, b) in b.chunks_exact(LD).enumerate().take(depth) {
        let b = vectors::<S, NV>(&b[at..]);
        for r in 0..R {
            let x = simd.splat_f64s(rows[r][k]);
            for v in 0..NV {
                sums[r][v] = simd.mul_add_e_f64s(x, b[v], sums[r][v]);
            }
        }
    }
    sums
}

/// `a^T b` for the first `R` columns of `a`, whose rows are `lda` elements apart, and rows of `b`, `LD` elements apart:
/// `NV` vectors from column `at` on.
#[inline(always)]
fn outers<S: Simd, const R: usize, const NV: usize, const LD: usize>(
    simd: S,
    a: &[f64],
    lda: usize,
    b: &[f64],
    at: usize,
) -> [[S::f64s; NV]; R] {
    let mut sums = [[simd.splat_f64s(0.0); NV]; R];
    for (b, a) in b.chunks_exact(LD).zip(a.chunks(lda)) {
        let b = vectors::<S, NV>(&b[at..]);
        let a: &[f64; R] = a.first_chunk().expect("R columns");
        for r in 0..R {
            let x = simd.splat_f64s(a[r]);
            for v in 0..NV {
                sums[r][v] = simd.mul_add_e_f64s(x, b[v], sums[r][v]);
            }
        }
    }
    sums
}

/// `y += a v`.
#[inline(always)]
pub(super) fn add_product<S: Simd, const R: usize, const NV: usize, const B: usize>(
    simd: S,
    a: &[f64],
    lda: usize,
    v: &[f64],
    y: &mut [f64],
) {
    let mut done = 0;
    for y in y.chunks_mut(R * B) {
        let a = &a[done * lda..];
        if y.len() == R * B {
            add_rows::<S, R, NV, B>(simd, a, lda, v, y);
        } else {
            for (r, y) in y.chunks_exact_mut(B).enumerate() {
                add_rows::<S, 1, NV, B>(simd, &a[r * lda..], lda, v, y);
            }
        }
        done += R;
    }
}

#[inline(always)]
fn add_rows<S: Simd, const R: usize, const NV: usize, const B: usize>(
    simd: S,
    a: &[f64],
    lda: usize,
    v: &[f64],
    y: &mut [f64],
) {
    let rows = split::<R>(a, lda, v.len() / B);
    for at in (0..B).step_by(NV * S::F64_LANES) {
        let sums = dots::<S, R, NV, B>(simd, &rows, v, at);
        add::<S, R, NV, B>(simd, &mut y[at..], sums);
    }
}

/// `y += a^T v`.
#[inline(always)]
pub(super) fn add_transposed<S: Simd, const R: usize, const NV: usize, const B: usize>(
    simd: S,
    a: &[f64],
    lda: usize,
    v: &[f64],
    y: &mut [f64],
) {
    let mut done = 0;
    for y in y.chunks_mut(R * B) {
        for at in (0..B).step_by(NV * S::F64_LANES) {
            if y.len() == R * B {
                let sums = outers::<S, R, NV, B>(simd, &a[done..], lda, v, at);
                add::<S, R, NV, B>(simd, &mut y[at..], sums);
            } else {
                for (r, y) in y.chunks_exact_mut(B).enumerate() {
                    let sums = outers::<S, 1, NV, B>(simd, &a[done + r..], lda, v, at);
                    add::<S, 1, NV, B>(simd, &mut y[at..], sums);
                }
            }
        }
        done += R;
    }
}

#[inline(always)]
fn add<S: Simd, const R: usize, const NV: usize, const B: usize>(
    simd: S,
    y: &mut [f64],
    sums: [[S::f64s; NV]; R],
) {
    for r in 0..R {
        let y = vectors_mut::<S, NV>(&mut y[r * B..]);
        for v in 0..NV {
            y[v] = simd.add_f64s(y[v], sums[r][v]);
        }
    }
}

/// `X = Y T - V S / 2` with `S = T^T V^T Y T`, for `V`, `Y` and `X` (m, B), row-major, and `T` (B, B).
pub(super) struct Sides<'a, const B: usize> {
    pub(super) v: &'a [f64],
    pub(super) y: &'a [f64],
    pub(super) t: &'a [[f64; B]; B],
    pub(super) x: &'a mut [f64],
}

impl<const B: usize> WithSimd for Sides<'_, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::F64_LANES == 8 {
            self.run::<S, 8, 2>(simd);
        } else {
            self.run::<S, 4, 2>(simd);
        }
    }
}

impl<const B: usize> Sides<'_, B> {
    #[inline(always)]
    #[allow(clippy::large_stack_arrays)] // three of 8 KiB at most
    fn run<S: Simd, const R: usize, const NV: usize>(self, simd: S) {
        let Self { v, y, t, x } = self;
        let t = t.as_flattened();
        let [mut products, mut left, mut s] = [[[0.0; B]; B]; 3];
        for (v, y) in v.chunks(TERMS * B).zip(y.chunks(TERMS * B)) {
            add_transposed::<S, R, NV, B>(simd, v, B, y, products.as_flattened_mut());
        }
        add_transposed::<S, R, NV, B>(simd, t, B, products.as_flattened(), left.as_flattened_mut());
        add_product::<S, R, NV, B>(simd, left.as_flattened(), B, t, s.as_flattened_mut());
        for s in s.as_flattened_mut() {
            *s *= -0.5;
        }
        x.fill(0.0);
        add_product::<S, R, NV, B>(simd, y, B, t, x);
        add_product::<S, R, NV, B>(simd, v, B, s.as_flattened(), x);
    }
}
