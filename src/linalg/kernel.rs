//! Vectorised loops of the symmetric reduction: products of a triangle and of thin panels with one vector.
//!
//! `pulp` picks the widest instructions that the machine has at run time; on a machine without any, the same loops
//! run on scalars.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched loop is compiled without its instructions

use pulp::{Simd, WithSimd};

/// `y = A x` for a symmetric matrix of which only the lower triangle is read.
///
/// `a` is column-major with `ld` elements from column to column and begins at the diagonal of the first column.
/// Each element is loaded once and used twice, four columns at a time, so half the matrix is read from memory.
pub(super) struct SymmetricProduct<'a> {
    pub(super) a: &'a [f64],
    pub(super) ld: usize,
    pub(super) x: &'a [f64],
    pub(super) y: &'a mut [f64],
}

impl WithSimd for SymmetricProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, ld, x, y } = self;
        let n = x.len();
        y.fill(0.0);
        let mut j = 0;
        while j + 4 <= n {
            let columns: [&[f64]; 4] = std::array::from_fn(|c| &a[(j + c) * ld..][..n]);
            for (c, column) in columns.iter().enumerate() {
                y[j + c] += column[j + c] * x[j + c];
                for r in c + 1..4 {
                    y[j + r] += column[j + r] * x[j + c];
                    y[j + c] += column[j + r] * x[j + r];
                }
            }
            let (head, tail) = y.split_at_mut(j + 4);
            let sums = below(
                simd,
                columns.map(|column| &column[j + 4..]),
                std::array::from_fn(|c| x[j + c]),
                &x[j + 4..],
                tail,
            );
            for (y, sum) in head[j..].iter_mut().zip(sums) {
                *y += sum;
            }
            j += 4;
        }
        for c in j..n {
            let column = &a[c * ld..][..n];
            y[c] += column[c] * x[c];
            for r in c + 1..n {
                y[r] += column[r] * x[c];
                y[c] += column[r] * x[r];
            }
        }
    }
}

/// Four columns below the diagonal block: `y += sum_c columns[c] heads[c]`, and the products `columns[c] . x`.
#[inline(always)]
fn below<S: Simd>(simd: S, columns: [&[f64]; 4], heads: [f64; 4], x: &[f64], y: &mut [f64]) -> [f64; 4] {
    let (xs, x_rest) = S::as_simd_f64s(x);
    let (ys, y_rest) = S::as_mut_simd_f64s(y);
    let len = xs.len();
    let ys = &mut ys[..len];
    let [c0, c1, c2, c3] = columns.map(|column| &S::as_simd_f64s(column).0[..len]);
    let [h0, h1, h2, h3] = heads.map(|head| simd.splat_f64s(head));
    let zero = simd.splat_f64s(0.0);
    let (mut s0, mut s1, mut s2, mut s3) = (zero, zero, zero, zero);
    for i in 0..len {
        let (xi, mut yi) = (xs[i], ys[i]);
        yi = simd.mul_add_f64s(c0[i], h0, yi);
        s0 = simd.mul_add_f64s(c0[i], xi, s0);
        yi = simd.mul_add_f64s(c1[i], h1, yi);
        s1 = simd.mul_add_f64s(c1[i], xi, s1);
        yi = simd.mul_add_f64s(c2[i], h2, yi);
        s2 = simd.mul_add_f64s(c2[i], xi, s2);
        yi = simd.mul_add_f64s(c3[i], h3, yi);
        s3 = simd.mul_add_f64s(c3[i], xi, s3);
        ys[i] = yi;
    }
    let mut sums = [s0, s1, s2, s3].map(|sum| simd.reduce_sum_f64s(sum));
    let done = x.len() - x_rest.len();
    for (i, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
        for c in 0..4 {
            *y += columns[c][done + i] * heads[c];
            sums[c] += columns[c][done + i] * x;
        }
    }
    sums
}

/// `out[c] = panel[:, c] . x`; `panel` is column-major with `ld` elements from column to column.
pub(super) struct PanelDots<'a> {
    pub(super) panel: &'a [f64],
    pub(super) ld: usize,
    pub(super) x: &'a [f64],
    pub(super) out: &'a mut [f64],
}

impl WithSimd for PanelDots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { panel, ld, x, out } = self;
        let (xs, x_rest) = S::as_simd_f64s(x);
        for (c, out) in out.iter_mut().enumerate() {
            let (column, rest) = S::as_simd_f64s(&panel[c * ld..][..x.len()]);
            let mut sums = [simd.splat_f64s(0.0); 4];
            let (mut p, mut q) = (column.chunks_exact(4), xs.chunks_exact(4));
            for (p, q) in (&mut p).zip(&mut q) {
                for lane in 0..4 {
                    sums[lane] = simd.mul_add_f64s(p[lane], q[lane], sums[lane]);
                }
            }
            for (p, q) in p.remainder().iter().zip(q.remainder()) {
                sums[0] = simd.mul_add_f64s(*p, *q, sums[0]);
            }
            let sum = simd.add_f64s(simd.add_f64s(sums[0], sums[1]), simd.add_f64s(sums[2], sums[3]));
            *out = simd.reduce_sum_f64s(sum) + rest.iter().zip(x_rest).map(|(a, b)| a * b).sum::<f64>();
        }
    }
}

/// `y -= V s + W t` for two panels of `s.len()` columns each.
pub(super) struct PanelsApply<'a> {
    pub(super) v: &'a [f64],
    pub(super) w: &'a [f64],
    pub(super) ld: usize,
    pub(super) s: &'a [f64],
    pub(super) t: &'a [f64],
    pub(super) y: &'a mut [f64],
}

impl WithSimd for PanelsApply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { v, w, ld, s, t, y } = self;
        let n = y.len();
        for (c, (s, t)) in s.iter().zip(t).enumerate() {
            let (v, w) = (&v[c * ld..][..n], &w[c * ld..][..n]);
            let (ys, y_rest) = S::as_mut_simd_f64s(y);
            let (vs, v_rest) = S::as_simd_f64s(v);
            let (ws, w_rest) = S::as_simd_f64s(w);
            let (minus_s, minus_t) = (simd.splat_f64s(-s), simd.splat_f64s(-t));
            for ((y, v), w) in ys.iter_mut().zip(vs).zip(ws) {
                *y = simd.mul_add_f64s(*v, minus_s, simd.mul_add_f64s(*w, minus_t, *y));
            }
            for ((y, v), w) in y_rest.iter_mut().zip(v_rest).zip(w_rest) {
                *y -= v * s + w * t;
            }
        }
    }
}
