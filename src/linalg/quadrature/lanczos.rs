//! Block Lanczos on a symmetric operator, in f64 with full orthogonalisation; vectors that vanish are left out.

use ndarray::{Array1, Array2, ArrayView2, Axis, ShapeBuilder, s};

use crate::linalg::gemm::{Threads, product, product_into};

/// A vector below this share of the largest image has vanished: what is left of it is rounding.
const VANISHED: f64 = 1e-13;

/// The basis `V`, the projection `T = V^T B V`, and the block that comes next with `B V = V T + next residual E^T`, where E
/// are the last coordinates.
pub(super) struct Lanczos {
    basis: Array2<f64>,
    size: usize,
    pub(super) t: Array2<f64>,
    /// Orthonormal, shape (m, columns); no columns where the basis is invariant.
    pub(super) next: Array2<f64>,
    /// The coordinates in the next block of the images of the last one, shape (next, last).
    pub(super) residual: Array2<f64>,
    /// The norm of the largest image so far.
    scale: f64,
}

impl Lanczos {
    /// Begins with the span of `block` (m, columns); with it come its coordinates, shape (vectors, columns).
    pub(super) fn new(block: Array2<f64>, capacity: usize) -> (Self, Array2<f64>) {
        let m = block.nrows();
        let none = Array2::zeros((m, 0).f());
        let scale = largest_norm(&block);
        let (next, coordinates) = orthonormal(block, none.view(), scale);
        let basis = Array2::zeros((m, capacity.min(m)).f());
        let empty = Array2::zeros((0, 0));
        (Self { basis, size: 0, t: empty.clone(), next, residual: empty, scale: 0.0 }, coordinates)
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing is left to append: the basis is invariant, or the whole space.
    pub(super) fn is_done(&self) -> bool {
        self.next.ncols() == 0
    }

    /// Appends the next block, whose image under the operator is `image`; further vectors (m, more) join the block after it.
    pub(super) fn extend(&mut self, image: Array2<f64>, more: &Array2<f64>) {
        let (old, new) = (self.size, self.size + self.next.ncols());
        self.basis.slice_mut(s![.., old..new]).assign(&self.next);
        self.size = new;
        let basis = self.basis.slice(s![.., ..new]);
        let h = product(basis.t(), image.view(), Threads::All);
        let mut t = Array2::zeros((new, new));
        t.slice_mut(s![..old, ..old]).assign(&self.t);
        t.slice_mut(s![.., old..]).assign(&h);
        t.slice_mut(s![old.., ..]).assign(&h.t());
        let corner = t.slice(s![old.., old..]).to_owned();
        t.slice_mut(s![old.., old..]).assign(&((&corner + &corner.t()) * 0.5));
        self.t = t;
        self.scale = self.scale.max(largest_norm(&image));
        let last = image.ncols();
        let mut block = image;
        if more.ncols() > 0 {
            // Scaled as an image is, so that it vanishes where an image does.
            let norm = largest_norm(more);
            let more = if norm > 0.0 { more * (self.scale / norm) } else { more.clone() };
            let mut both = Array2::zeros((more.nrows(), last + more.ncols()).f());
            both.slice_mut(s![.., ..last]).assign(&block);
            both.slice_mut(s![.., last..]).assign(&more);
            block = both;
        }
        let (mut next, mut residual) = orthonormal(block, basis, self.scale);
        let room = self.basis.nrows() - new;
        if next.ncols() > room {
            (next, residual) =
                (next.slice(s![.., ..room]).to_owned(), residual.slice(s![..room, ..]).to_owned());
        }
        self.next = next;
        self.residual = residual.slice(s![.., ..last]).to_owned();
    }

    /// The coordinates of a vector in the basis.
    pub(super) fn coordinates(&self, w: &Array1<f64>) -> Array1<f64> {
        let w = w.view().insert_axis(Axis(1));
        product(self.basis.slice(s![.., ..self.size]).t(), w, Threads::All).remove_axis(Axis(1))
    }
}

fn largest_norm(x: &Array2<f64>) -> f64 {
    x.columns().into_iter().map(|column| column.dot(&column).sqrt()).fold(0.0, f64::max)
}

/// An orthonormal basis Q of the columns of `x` without their projections onto `basis`, and the coordinates R with
/// `x = ... + Q R`; columns below [`VANISHED`] `scale` are left out.
///
/// Done twice, because the first pass leaves a rounding error that is large beside a column that nearly vanished.
fn orthonormal(mut x: Array2<f64>, basis: ArrayView2<'_, f64>, scale: f64) -> (Array2<f64>, Array2<f64>) {
    let mut r = Array2::eye(x.ncols());
    for vanished in [VANISHED * scale, 1e-3] {
        if basis.ncols() > 0 {
            let inside = product(basis.t(), x.view(), Threads::All);
            product_into(x.view_mut(), 1.0, basis, inside.view(), -1.0, Threads::All);
        }
        let (q, upper) = gram_schmidt(&x, vanished);
        r = upper.dot(&r);
        x = q;
    }
    (x, r)
}

/// Modified Gram-Schmidt, twice for each column; columns that are left with a norm up to `vanished` are left out.
fn gram_schmidt(x: &Array2<f64>, vanished: f64) -> (Array2<f64>, Array2<f64>) {
    let (m, columns) = x.dim();
    let mut q = Array2::zeros((m, columns).f());
    let mut r = Array2::zeros((columns, columns));
    let mut kept = 0;
    for (j, column) in x.columns().into_iter().enumerate() {
        let mut rest = column.to_owned();
        for _ in 0..2 {
            for i in 0..kept {
                let q = q.column(i);
                let along = q.dot(&rest);
                r[[i, j]] += along;
                rest.scaled_add(-along, &q);
            }
        }
        let norm = rest.dot(&rest).sqrt();
        if norm > vanished {
            r[[kept, j]] = norm;
            q.column_mut(kept).assign(&(rest / norm));
            kept += 1;
        }
    }
    let mut kept_q = Array2::zeros((m, kept).f());
    kept_q.assign(&q.slice(s![.., ..kept]));
    (kept_q, r.slice(s![..kept, ..]).to_owned())
}
