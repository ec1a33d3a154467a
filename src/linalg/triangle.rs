//! The triangle of a QR decomposition: what a tall matrix is up to a rotation of its rows.

use ndarray::{Array2, ArrayView2};

use super::convert::{by_faer, view};

/// R of `x = Q R` with orthonormal columns Q: shape (min(n, d), d) for x (n, d), zero below the diagonal.
pub fn triangle(x: ArrayView2<'_, f64>) -> Array2<f64> {
    let qr = by_faer(|| view(x).qr());
    let upper = qr.thin_R();
    let at = |(i, j)| if i <= j { upper[(i, j)] } else { 0.0 };
    Array2::from_shape_fn((upper.nrows(), upper.ncols()), at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{normal, stream};

    #[test]
    fn products_of_columns_are_kept() {
        for (n, d) in [(9, 4), (4, 9), (1, 1)] {
            let x = normal(&mut stream(1, "triangle"), n, d).mapv(f64::from);
            let r = triangle(x.view());
            assert_eq!(r.dim(), (n.min(d), d));
            let far = (x.t().dot(&x) - r.t().dot(&r)).fold(0.0_f64, |far, x| far.max(x.abs()));
            assert!(far < 1e-12, "{n} x {d}: {far}");
        }
    }
}
