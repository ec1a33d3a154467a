//! The product of a symmetric matrix, of which one triangle is stored, with a thin panel: half of the time of a reduction to a band.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::gemm::Threads;
use super::tile::{add_product, add_transposed, triangle_parts};

/// Rows and columns of the square of `A` that [`SymmetricProduct`] holds in the first-level cache.
const SQUARE: usize = 48;

/// `Y = A V` for a symmetric matrix (m, m) and `V` (m, B), row-major.
///
/// Only what is on and above the diagonal of `a` is read, with `lda` elements from row to row, and each element once: a
/// square above the diagonal is multiplied from both sides while it is in the cache.
pub(super) struct SymmetricProduct<'a, const B: usize> {
    pub(super) a: &'a [f64],
    pub(super) lda: usize,
    pub(super) v: &'a [f64],
    pub(super) y: &'a mut [f64],
    /// Sums of parts of the matrix: memory to be used again.
    pub(super) sums: &'a mut Vec<f64>,
}

/// Rows of a matrix whose product is summed in more than one part: one part for each of so many.
const PART: usize = 512;

impl<const B: usize> SymmetricProduct<'_, B> {
    /// The parts of the sum are the same on any number of threads.
    pub(super) fn compute(self, arch: Arch, threads: Threads) {
        let Self { a, lda, v, y, sums } = self;
        let m = v.len() / B;
        y.fill(0.0);
        // An even number, for two threads.
        let parts = m / (2 * PART) * 2;
        if parts == 0 {
            arch.dispatch(SymmetricRows::<B> { a, lda, v, y, rows: 0..m });
            return;
        }
        sums.clear();
        sums.resize((parts - 1) * v.len(), 0.0);
        let parts: Vec<SymmetricRows<'_, B>> = triangle_parts(m, parts, SQUARE)
            .zip(std::iter::once(&mut *y).chain(sums.chunks_exact_mut(v.len())))
            .map(|(rows, y)| SymmetricRows { a, lda, v, y, rows })
            .collect();
        match threads {
            Threads::One => parts.into_iter().for_each(|part| arch.dispatch(part)),
            Threads::All => parts.into_par_iter().for_each(|part| arch.dispatch(part)),
        }
        for sums in sums.chunks_exact(v.len()) {
            y.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum);
        }
    }
}

/// What some rows of the matrix on and above its diagonal, and their mirror image, add to a [`SymmetricProduct`].
struct SymmetricRows<'a, const B: usize> {
    a: &'a [f64],
    lda: usize,
    v: &'a [f64],
    y: &'a mut [f64],
    rows: Range<usize>,
}

impl<const B: usize> WithSimd for SymmetricRows<'_, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if B == 4 * S::F64_LANES {
            self.run::<S, 6, 4>(simd);
        } else if S::F64_LANES == 8 {
            self.run::<S, 12, 2>(simd);
        } else {
            self.run::<S, 6, 2>(simd);
        }
    }
}

impl<const B: usize> SymmetricRows<'_, B> {
    #[inline(always)]
    #[allow(clippy::large_stack_arrays)] // 18 KiB, of the size of the first-level cache on purpose
    fn run<S: Simd, const R: usize, const NV: usize>(self, simd: S) {
        let Self { a, lda, v, y, rows: Range { start, end } } = self;
        let m = v.len() / B;
        let mut square = [0.0; SQUARE * SQUARE];
        for j in (start..end).step_by(SQUARE) {
            let rows = SQUARE.min(end - j);
            let (y, y_after) = y[j * B..].split_at_mut(rows * B);
            let v_here = &v[j * B..][..rows * B];
            for r in 0..rows {
                for c in r..rows {
                    let x = a[(j + r) * lda + j + c];
                    square[r * rows + c] = x;
                    square[c * rows + r] = x;
                }
            }
            add_product::<S, R, NV, B>(simd, &square, rows, v_here, y);
            for i in (j + rows..m).step_by(SQUARE) {
                let columns = SQUARE.min(m - i);
                let a = &a[j * lda + i..];
                add_product::<S, R, NV, B>(simd, a, lda, &v[i * B..][..columns * B], y);
                let y = &mut y_after[(i - j - rows) * B..][..columns * B];
                add_transposed::<S, R, NV, B>(simd, a, lda, v_here, y);
            }
        }
    }
}
