//! A symmetric matrix as `Q S Q^T` with a band matrix `S`, where `Q` leaves `e_1` alone.
//!
//! The first of two stages to a tridiagonal matrix (Bischof, Lang and Sun 2000; Haidar, Ltaief and Dongarra 2011): a panel of
//! `B` columns is decomposed below the band, `P = Q R`, and `Q^T A Q` of what is left of the matrix costs two products with it,
//! `A V` and an update of rank 2 `B`, where the reduction in one stage costs a product with a vector for every column.

use pulp::Arch;

use super::gemm::Threads;
use super::householder::{nothing, qr};
use super::symmetric::SymmetricProduct;
use super::tile::{Packed, Sides, UpperUpdate};
use crate::error::Result;

/// A symmetric matrix (n, n) with `B` diagonals on each side of the main one, and room for what a chase needs: entry (i, j) is
/// stored for `j - B <= i <= j + 2 B`, and `2 B` columns of zeros follow the last.
pub(super) struct Band<const B: usize> {
    pub(super) n: usize,
    pub(super) data: Vec<f64>,
    /// The sum of squares that counts as zero.
    pub(super) nothing: f64,
}

impl<const B: usize> Band<B> {
    /// Elements from (i, j) to (i, j + 1).
    pub(super) const STRIDE: usize = 3 * B;

    fn zeros(n: usize, nothing: f64) -> Self {
        Self { n, data: vec![0.0; (n + 2 * B) * (Self::STRIDE + 1) + Self::STRIDE + B], nothing }
    }

    /// The place of an entry.
    #[inline(always)]
    #[allow(clippy::inline_always)] // used within a dispatched function
    pub(super) fn at(i: usize, j: usize) -> usize {
        B + i + j * Self::STRIDE
    }

    fn set(&mut self, i: usize, j: usize, x: f64) {
        self.data[Self::at(i, j)] = x;
        self.data[Self::at(j, i)] = x;
    }
}

/// Reduces the symmetric matrix of which what is on and above the diagonal is in `a` (n, n), row-major. `a` is overwritten.
///
/// `alive` is called for every panel.
pub(super) fn reduce<const B: usize>(
    a: &mut [f64],
    n: usize,
    threads: Threads,
    alive: &dyn Fn() -> Result<()>,
) -> Result<Band<B>> {
    let mut band = Band::<B>::zeros(n, nothing((1..n).map(|i| a[i * n + i].abs()).sum()));
    let mut panel = Panel::<B>::default();
    for start in (0..n).step_by(B) {
        alive()?;
        let after = (start + B).min(n);
        for j in start..after {
            for i in j..after {
                band.set(i, j, a[j * n + i]);
            }
        }
        if after == n {
            break;
        }
        panel.decompose(a, n, start, band.nothing);
        for (i, row) in panel.v.chunks_exact_mut(B).enumerate().take(B) {
            for (c, x) in row.iter_mut().enumerate().skip(i) {
                band.set(after + i, start + c, *x);
                *x = if i == c { 1.0 } else { 0.0 };
            }
        }
        panel.apply(&mut a[after * n + after..], n, threads);
    }
    Ok(band)
}

/// The reflections of a panel, `Q = 1 - V T V^T`, and what it takes to apply them.
struct Panel<const B: usize> {
    arch: Arch,
    v: Vec<f64>,
    t: [[f64; B]; B],
    y: Vec<f64>,
    sums: Vec<f64>,
    x: Vec<f64>,
    /// `[V X]`, (m, 2 B), row-major.
    sides: Vec<f64>,
    packed: Packed,
}

impl<const B: usize> Default for Panel<B> {
    fn default() -> Self {
        Self {
            arch: Arch::new(),
            v: Vec::new(),
            t: [[0.0; B]; B],
            y: Vec::new(),
            sums: Vec::new(),
            x: Vec::new(),
            sides: Vec::new(),
            packed: Packed::default(),
        }
    }
}

impl<const B: usize> Panel<B> {
    /// Decomposes columns `start..start + B` below row `start + B`.
    fn decompose(&mut self, a: &[f64], n: usize, start: usize, nothing: f64) {
        let rows = n - start - B;
        self.v.resize(rows * B, 0.0);
        for c in 0..B {
            let column = &a[(start + c) * n + start + B..][..rows];
            for (v, x) in self.v[c..].iter_mut().step_by(B).zip(column) {
                *v = *x;
            }
        }
        self.t = qr(self.arch, &mut self.v, nothing);
    }

    /// `A = Q^T A Q = A - V X^T - X V^T` with `X = Y T - V S / 2`, `Y = A V`, `S = T^T V^T Y T`.
    fn apply(&mut self, a: &mut [f64], lda: usize, threads: Threads) {
        let Self { arch, v, t, y, sums, x, sides, packed } = self;
        y.resize(v.len(), 0.0);
        SymmetricProduct::<B> { a, lda, v, y, sums }.compute(*arch, threads);

        x.resize(v.len(), 0.0);
        arch.dispatch(Sides::<B> { v, y, t, x });
        sides.clear();
        for (v, x) in v.chunks_exact(B).zip(x.chunks_exact(B)) {
            sides.extend_from_slice(v);
            sides.extend_from_slice(x);
        }
        packed.fill_swapped(sides, 2 * B);
        UpperUpdate { c: a, ldc: lda, k: 2 * B, left: sides, right: packed, alpha: -1.0 }
            .apply(*arch, threads);
    }
}
