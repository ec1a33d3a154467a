//! A symmetric matrix as `Q T Q^T` with `T` tridiagonal and a first column of `Q` given by the caller.
//!
//! Householder's reduction in panels (the shape of LAPACK's `dsytrd`): inside a panel every column costs one product
//! with the triangle that is left, and the panel's reflections are applied to that triangle in one matrix product.
//! What is not in the textbooks here is the start: a reflection that maps a chosen unit vector to `e_1` comes first,
//! as one more column of the first panel, and every later reflection leaves `e_1` alone. So `Q e_1` is the chosen
//! vector, and projecting that vector out of the matrix is deleting the first row and column of `T`
//! (see [`super::spectra`]).

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Arch;

use super::kernel::{PanelDots, PanelsApply, SymmetricProduct};

/// Columns in a panel. At n = 512 on AVX2, 16 to 24 are equally good and 48 is 15 % slower.
const PANEL: usize = 20;

/// Diagonal (n) and off-diagonal (n - 1) of a symmetric tridiagonal matrix.
#[derive(Clone, Debug)]
pub(super) struct Tridiagonal {
    pub(super) diagonal: Vec<f64>,
    pub(super) off_diagonal: Vec<f64>,
}

/// The reflections of the current panel: `A` denotes `A - V W^T - W V^T`.
struct Panel {
    arch: Arch,
    n: usize,
    columns: usize,
    v: Vec<f64>,
    w: Vec<f64>,
    s: Vec<f64>,
    t: Vec<f64>,
}

impl Panel {
    fn new(n: usize) -> Self {
        // A last panel may be half as long again, and the first holds the starting reflection as well.
        let capacity = PANEL + PANEL / 2 + 1;
        Self {
            arch: Arch::new(),
            n,
            columns: 0,
            v: vec![0.0; n * capacity],
            w: vec![0.0; n * capacity],
            s: vec![0.0; capacity],
            t: vec![0.0; capacity],
        }
    }

    /// Adds the reflection `1 - tau x x^T` with `x` in rows `from..n`: works out its column of `w`.
    fn push(&mut self, a: &[f64], from: usize, x: &[f64], tau: f64) {
        let (n, k) = (self.n, self.columns);
        let (v_before, v) = self.v.split_at_mut(k * n);
        let (w_before, w) = self.w.split_at_mut(k * n);
        v[..from].fill(0.0);
        v[from..n].copy_from_slice(x);
        w[..from].fill(0.0);
        let y = &mut w[from..n];
        self.arch.dispatch(SymmetricProduct { a: &a[from * n + from..], ld: n, x, y });
        if k > 0 {
            let (v, w, s, t) = (&v_before[from..], &w_before[from..], &mut self.s[..k], &mut self.t[..k]);
            self.arch.dispatch(PanelDots { panel: w, ld: n, x, out: s });
            self.arch.dispatch(PanelDots { panel: v, ld: n, x, out: t });
            self.arch.dispatch(PanelsApply { v, w, ld: n, s, t, y });
        }
        let half = -0.5 * tau * tau * x.iter().zip(&*y).map(|(x, y)| x * y).sum::<f64>();
        for (y, x) in y.iter_mut().zip(x) {
            *y = tau * *y + half * x;
        }
        self.columns += 1;
    }

    /// Subtracts the panel's reflections from `column`, which holds rows `row..n` of column `row`.
    fn update_column(&mut self, row: usize, column: &mut [f64]) {
        let (n, k) = (self.n, self.columns);
        for c in 0..k {
            self.s[c] = self.w[c * n + row];
            self.t[c] = self.v[c * n + row];
        }
        let (s, t) = (&self.s[..k], &self.t[..k]);
        self.arch.dispatch(PanelsApply { v: &self.v[row..], w: &self.w[row..], ld: n, s, t, y: column });
    }

    /// Applies the reflections to the lower triangle from row and column `from` on, and forgets them.
    ///
    /// One product of the stacked panels, `[V W] [W V]^T`, reads and writes the triangle once.
    fn apply(&mut self, a: &mut [f64], from: usize, stacked: &mut [Vec<f64>; 2]) {
        let (n, k) = (self.n, self.columns);
        let [left, right] = stacked;
        left.clear();
        right.clear();
        for (first, second) in [(&self.v, &self.w), (&self.w, &self.v)] {
            for c in 0..k {
                left.extend_from_slice(&first[c * n + from..(c + 1) * n]);
                right.extend_from_slice(&second[c * n + from..(c + 1) * n]);
            }
        }
        let rows = n - from;
        let left = MatRef::from_column_major_slice(left, rows, 2 * k);
        let right = MatRef::from_column_major_slice(right, rows, 2 * k);
        triangular::matmul(
            MatMut::from_column_major_slice_with_stride_mut(&mut a[from * n + from..], rows, rows, n),
            BlockStructure::TriangularLower,
            Accum::Add,
            left,
            BlockStructure::Rectangular,
            right.transpose(),
            BlockStructure::Rectangular,
            -1.0,
            Par::Seq,
        );
        self.columns = 0;
    }
}

/// Reduces the symmetric matrix whose lower triangle is in `a` (n x n, column-major), which is overwritten.
///
/// `first` (length n, any length of vector but zero) becomes, up to sign and scale, the first column of `Q`.
pub(super) fn reduce(a: &mut [f64], n: usize, first: &[f64]) -> Tridiagonal {
    let mut diagonal = vec![0.0; n];
    let mut off_diagonal = vec![0.0; n.saturating_sub(1)];
    let mut panel = Panel::new(n);
    let mut column = first.to_vec();
    let (tau, _) = reflection(&mut column);
    panel.push(a, 0, &column, tau);

    let mut stacked = [Vec::new(), Vec::new()];
    let mut start = 0;
    while start < n {
        let last = n - start <= PANEL + PANEL / 2;
        let end = if last { n } else { start + PANEL };
        for j in start..end {
            let column = &mut column[j..];
            column.copy_from_slice(&a[j * n + j..(j + 1) * n]);
            panel.update_column(j, column);
            diagonal[j] = column[0];
            if j + 1 < n {
                let (tau, beta) = reflection(&mut column[1..]);
                off_diagonal[j] = beta;
                if j + 1 < n - 1 {
                    panel.push(a, j + 1, &column[1..], tau);
                }
            }
        }
        if !last {
            panel.apply(a, end, &mut stacked);
        }
        start = end;
    }
    Tridiagonal { diagonal, off_diagonal }
}

/// Turns `x` into the vector `v` (with `v[0] = 1`) of the reflection `1 - tau v v^T` that maps it to `beta e_1`.
fn reflection(x: &mut [f64]) -> (f64, f64) {
    let alpha = x[0];
    let tail: f64 = x[1..].iter().map(|x| x * x).sum();
    x[0] = 1.0;
    if tail == 0.0 {
        return (0.0, alpha);
    }
    let beta = -(alpha * alpha + tail).sqrt().copysign(alpha);
    let scale = 1.0 / (alpha - beta);
    for x in &mut x[1..] {
        *x *= scale;
    }
    ((beta - alpha) / beta, beta)
}
