//! Householder reflections, and the QR decomposition of a thin panel by them.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions
#![allow(clippy::needless_range_loop)] // nor are the closures of iterators inlined there

use pulp::{Arch, Simd, WithSimd};

use super::tile::{TERMS, vectors, vectors_mut};

/// The reflection `1 - tau v v^T` that maps `x` to `beta e_1`: `v` is `x` times `scale` with a first element of 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reflection {
    pub(super) tau: f64,
    pub(super) beta: f64,
    pub(super) scale: f64,
}

/// What counts as zero: a sum of squares below this share of the matrix, squared. It is far below the rounding of the matrix.
/// Without a bound, columns of a matrix of low rank shrink with every reflection until their squares underflow.
const NOTHING: f64 = 1e-44;

/// The largest sum of squares that counts as zero in a positive semidefinite matrix with this trace; the first row and column, which
/// may be much larger than all others, do not count.
pub(super) fn nothing(trace: f64) -> f64 {
    (NOTHING * trace * trace).max(f64::MIN_POSITIVE / f64::EPSILON)
}

impl Reflection {
    /// From the first element and the sum of squares of the others, which are zero up to `nothing`.
    #[inline(always)]
    pub(super) fn new(first: f64, others: f64, nothing: f64) -> Self {
        if others <= nothing {
            return Self { tau: 0.0, beta: first, scale: 0.0 };
        }
        let beta = -(first * first + others).sqrt().copysign(first);
        Self { tau: (beta - first) / beta, beta, scale: 1.0 / (first - beta) }
    }

    /// Of a whole vector, which becomes `v`.
    #[inline(always)]
    pub(super) fn of(x: &mut [f64], nothing: f64) -> Self {
        let found = Self::new(x[0], x[1..].iter().map(|x| x * x).sum(), nothing);
        for x in &mut x[1..] {
            *x *= found.scale;
        }
        x[0] = 1.0;
        found
    }
}

/// Replaces the row-major panel `p` (m, B) by the `R` of its QR decomposition on and above the diagonal and the vectors `v`
/// below it; returns the upper triangular `T` with `Q = 1 - V T V^T`. Sums of squares up to `nothing` count as zero.
pub(super) fn qr<const B: usize>(arch: Arch, p: &mut [f64], nothing: f64) -> [[f64; B]; B] {
    let mut t = [[0.0; B]; B];
    // The column that holds the vector of the reflection before, the scale that it lacks, and `tau v^T P`: none at first.
    let (mut old, mut old_scale, mut z) = (0, 1.0, [0.0; B]);
    for c in 0..B.min(p.len() / B) {
        let (row, below) = p[c * B..].split_at_mut(B);
        let v = row[old] * old_scale;
        for (x, z) in row.iter_mut().zip(&z) {
            *x -= v * z;
        }
        row[old] = v;
        let mut products = arch.dispatch(Pass::<B> { rows: below, old, scale: old_scale, z: &z, column: c });
        products[old] *= old_scale;
        let Reflection { tau, beta, scale } = Reflection::new(row[c], products[c], nothing);
        for ((z, x), product) in z.iter_mut().zip(&*row).zip(&products) {
            *z = tau * (x + scale * product);
        }
        for r in 0..c {
            t[r][c] = -(r..c).map(|k| t[r][k] * z[k]).sum::<f64>();
        }
        t[c][c] = tau;
        for (x, z) in row.iter_mut().zip(&z).skip(c + 1) {
            *x -= z;
        }
        row[c] = beta;
        z[..=c].fill(0.0);
        (old, old_scale) = (c, scale);
    }
    for row in p.chunks_exact_mut(B).skip(old + 1) {
        row[old] *= old_scale;
    }
    t
}

/// One pass over the rows below a pivot: applies the reflection before, and returns the products of the pivot's column with
/// every column.
struct Pass<'a, const B: usize> {
    rows: &'a mut [f64],
    /// The column that holds the vector of the reflection before, and the scale that it lacks.
    old: usize,
    scale: f64,
    /// `tau v^T P` of that reflection, zero up to its column.
    z: &'a [f64; B],
    /// The pivot's column.
    column: usize,
}

impl<const B: usize> WithSimd for Pass<'_, B> {
    type Output = [f64; B];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; B] {
        match B / S::F64_LANES {
            2 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            8 => self.run::<S, 8>(simd),
            16 => self.run::<S, 16>(simd),
            _ => self.run::<S, 32>(simd),
        }
    }
}

impl<const B: usize> Pass<'_, B> {
    #[inline(always)]
    fn run<S: Simd, const NV: usize>(self, simd: S) -> [f64; B] {
        let zs = *vectors::<S, NV>(self.z);
        let mut products = [0.0; B];
        for rows in self.rows.chunks_mut(TERMS * B) {
            // Two rows at a time, each with sums of its own, hide the latency of the additions.
            let mut sums = [[simd.splat_f64s(0.0); NV]; 2];
            let mut pairs = rows.chunks_exact_mut(2 * B);
            for pair in &mut pairs {
                let (first, second) = pair.split_at_mut(B);
                pass_row(simd, first, &zs, self.old, self.scale, self.column, &mut sums[0]);
                pass_row(simd, second, &zs, self.old, self.scale, self.column, &mut sums[1]);
            }
            let last = pairs.into_remainder();
            if !last.is_empty() {
                pass_row(simd, last, &zs, self.old, self.scale, self.column, &mut sums[0]);
            }
            let total = vectors_mut::<S, NV>(&mut products);
            for k in 0..NV {
                total[k] = simd.add_f64s(total[k], simd.add_f64s(sums[0][k], sums[1][k]));
            }
        }
        products
    }
}

#[inline(always)]
fn pass_row<S: Simd, const NV: usize>(
    simd: S,
    row: &mut [f64],
    zs: &[S::f64s; NV],
    old: usize,
    scale: f64,
    column: usize,
    sums: &mut [S::f64s; NV],
) {
    let v = row[old] * scale;
    let minus_v = simd.splat_f64s(-v);
    let vectors = vectors_mut::<S, NV>(row);
    for k in 0..NV {
        vectors[k] = simd.mul_add_e_f64s(minus_v, zs[k], vectors[k]);
    }
    // Read back: where almost nothing is left of a column, another rounding of it would be another vector.
    let x = simd.splat_f64s(row[column]);
    let vectors = vectors_mut::<S, NV>(row);
    for k in 0..NV {
        sums[k] = simd.mul_add_e_f64s(x, vectors[k], sums[k]);
    }
    row[old] = v;
}
