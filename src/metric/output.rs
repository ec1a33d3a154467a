//! Errors of an output against the output of softmax attention.

use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::linalg::engine::symmetric_eigenvalues;
use crate::stats;

/// An output of softmax attention with its norms.
#[derive(Clone, Debug)]
pub struct Output {
    o: Array2<f32>,
    fro: f64,
    spectral: f64,
}

/// How an output O' (n, `d_v`) differs from O, that of softmax attention.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutputProfile {
    /// `||O - O'||_F / ||O||_F`.
    pub rel_fro: f64,
    /// `||O - O'||_2 / ||O||_2`.
    pub rel_spectral: f64,
    /// Mean of the cosine between a row of O and the same row of O', over the rows of O that are not 0; 0 for a row of zeros
    /// in O'.
    pub cosine: Option<f64>,
}

impl Output {
    /// Of an output (n, `d_v`).
    pub fn new(o: Array2<f32>) -> Self {
        let exact = o.mapv(f64::from);
        Self { fro: fro(&exact), spectral: spectral(&exact), o }
    }

    /// The output.
    pub fn array(&self) -> ArrayView2<'_, f32> {
        self.o.view()
    }

    /// Compares an output of the same shape.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn compare(&self, other: ArrayView2<'_, f32>) -> OutputProfile {
        assert_eq!(self.o.dim(), other.dim(), "two outputs of one shape");
        let (o, other) = (self.o.mapv(f64::from), other.mapv(f64::from));
        let difference = &o - &other;
        let share = |part: f64, whole: f64| if part == 0.0 { 0.0 } else { part / whole };
        let length = |row: ArrayView1<'_, f64>| row.dot(&row).sqrt();
        let directed = o.rows().into_iter().zip(other.rows()).filter(|(a, _)| length(*a) > 0.0);
        let cosines: Vec<f64> = directed.map(|(a, b)| share(a.dot(&b), length(a) * length(b))).collect();
        OutputProfile {
            rel_fro: share(fro(&difference), self.fro),
            rel_spectral: share(spectral(&difference), self.spectral),
            cosine: (!cosines.is_empty()).then(|| stats::mean(&cosines)),
        }
    }
}

fn fro(x: &Array2<f64>) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The largest singular value, from the smaller Gram matrix: accurate to about 1e-8 of it.
fn spectral(x: &Array2<f64>) -> f64 {
    let gram = if x.ncols() <= x.nrows() { x.t().dot(x) } else { x.dot(&x.t()) };
    let values = symmetric_eigenvalues(gram.view()).unwrap_or_default();
    values.last().map_or(0.0, |value| value.max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::engine::{Engine, singular_values};
    use crate::rng::{normal, stream};

    #[test]
    fn rows_of_zeros_have_no_direction() {
        let o = ndarray::array![[0.0_f32, 0.0], [1.0, 2.0], [3.0, 0.0]];
        let found = |other: &Array2<f32>| Output::new(o.clone()).compare(other.view()).cosine;
        assert!((found(&o).unwrap() - 1.0).abs() < 1e-12);
        let other = ndarray::array![[5.0_f32, 1.0], [1.0, 2.0], [0.0, 0.0]];
        assert!((found(&other).unwrap() - 0.5).abs() < 1e-12);
        let zeros = Array2::zeros((3, 2));
        assert_eq!(Output::new(zeros.clone()).compare(o.view()).cosine, None);
    }

    #[test]
    fn figures_equal_their_definitions() {
        for (n, d) in [(1, 1), (40, 8), (5, 16)] {
            let mut rng = stream(1, &format!("output {n} {d}"));
            let (a, b) = (normal(&mut rng, n, d), normal(&mut rng, n, d));
            let found = Output::new(a.clone()).compare(b.view());
            let norms = |x: &Array2<f32>| {
                let sigma = singular_values(x.mapv(f64::from).view(), Engine::Faer).unwrap();
                (sigma[0], sigma.iter().map(|s| s * s).sum::<f64>().sqrt())
            };
            let (whole, part) = (norms(&a), norms(&(&a - &b)));
            assert!((found.rel_spectral - part.0 / whole.0).abs() < 1e-6, "{n} {d}");
            assert!((found.rel_fro - part.1 / whole.1).abs() < 1e-6, "{n} {d}");
            assert!(found.cosine.unwrap().abs() <= 1.0);
            let itself = Output::new(a.clone()).compare(a.view());
            assert!(itself.rel_fro == 0.0 && (itself.cosine.unwrap() - 1.0).abs() < 1e-6);
            let opposite = Output::new(a.clone()).compare((-a).view());
            assert!((opposite.rel_fro - 2.0).abs() < 1e-6 && (opposite.cosine.unwrap() + 1.0).abs() < 1e-6);
        }
    }
}
