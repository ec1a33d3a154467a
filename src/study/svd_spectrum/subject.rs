//! What is decomposed: the attention matrix, or what it is made from.

use clap::ValueEnum;
use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};
use crate::linalg::engine::{Engine, singular_values};
use crate::linalg::gemm::{Threads, product};
use crate::linalg::rounding::{self, Rounding};
use crate::linalg::spectra::{Spectra, centred};
use crate::linalg::triangle;
use crate::study::input::{Body, Head};

/// What of a head is decomposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// The attention matrix (n x m)
    #[default]
    Attention,
    /// The products q k^T times the scale, before mask, softcap and bias (n x m; the rank is at most the
    /// head width)
    Logits,
    /// The queries (n x head width), after rotary positions
    Queries,
    /// The keys (m x head width), after rotary positions
    Keys,
    /// The values (m x their width)
    Values,
}

/// A matrix that is small, or the product of two that are: `left`, or `left right^T`.
pub(super) struct Factors {
    pub(super) left: Array2<f32>,
    pub(super) right: Option<Array2<f32>>,
    /// The factor on the product.
    pub(super) scale: f64,
}

impl Subject {
    /// What titles call it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
    }

    /// The matrix or the factors of a head; refuses a head that has none.
    pub(super) fn factors(self, head: &Head) -> Result<Factors> {
        let one = |x: &Array2<f32>| Factors { left: x.clone(), right: None, scale: 1.0 };
        if let Body::Projected { q, k, v, scale, .. } = &head.body {
            match self {
                Self::Logits => {
                    return Ok(Factors { left: q.clone(), right: Some(k.clone()), scale: *scale });
                }
                Self::Queries => return Ok(one(q)),
                Self::Keys => return Ok(one(k)),
                Self::Values if v.ncols() > 0 => return Ok(one(v)),
                Self::Values | Self::Attention => {}
            }
        }
        if let (Self::Logits, Body::Logits(logits)) = (self, &head.body) {
            return Ok(one(&logits.mapv(|x| x as f32)));
        }
        let accepted = format!("attention: this input has no {} of '{}'", self.name(), head.label);
        Err(Error::value("--of", self.name(), accepted))
    }
}

impl Factors {
    /// The longer and the shorter side, the latter as far as the rank can reach.
    pub(super) fn shape(&self) -> (usize, usize) {
        let (n, d) = self.left.dim();
        match &self.right {
            None => (n, d),
            Some(right) => (n.max(right.nrows()), d.min(n).min(right.nrows())),
        }
    }

    /// Both spectra in f64, of as many values as the rank can be: no n x m array is made.
    pub(super) fn spectra(&self, engine: Engine) -> Result<Spectra> {
        let left = self.left.mapv(f64::from);
        let Some(right) = &self.right else {
            let rounding = Rounding::of(self.left.view(), rounding::unit(self.left.view()));
            let centred = singular_values(centred(left.view()).view(), engine)?;
            return Ok(Spectra { plain: singular_values(left.view(), engine)?, centred, rounding });
        };
        // With left = Q R and right = P S, both by orthonormal columns, the values of the product are those of R S^T.
        let right_triangle = triangle(right.mapv(f64::from).view());
        let of = |left: ArrayView2<'_, f64>| {
            let small = product(triangle(left).view(), right_triangle.t(), Threads::One) * self.scale;
            singular_values(small.view(), engine)
        };
        let rounding = self.rounding(right, right_triangle.view(), engine)?;
        // The mean row of left right^T is the mean row of left times right^T.
        Ok(Spectra { plain: of(left.view())?, centred: of(centred(left.view()).view())?, rounding })
    }

    /// Of the product, to the first order: the rounding of either factor times the other.
    fn rounding(
        &self,
        right: &Array2<f32>,
        right_triangle: ArrayView2<'_, f64>,
        engine: Engine,
    ) -> Result<Rounding> {
        let left_triangle = triangle(self.left.mapv(f64::from).view());
        let largest = |x: ArrayView2<'_, f64>| -> Result<f64> {
            Ok(self.scale.abs() * singular_values(x, engine)?.first().copied().unwrap_or(0.0))
        };
        let (of_left, of_right) = (largest(left_triangle.view())?, largest(right_triangle)?);
        let [a, b] = [self.left.view(), right.view()].map(|x| Rounding::of(x, rounding::unit(x)));
        let both = |norm: fn(&Rounding) -> f64| norm(&a) * of_right + of_left * norm(&b);
        Ok(Rounding {
            epsilon: a.epsilon.max(b.epsilon),
            spectral: both(|x| x.spectral),
            nuclear: both(|x| x.nuclear),
            frobenius: both(|x| x.frobenius),
        })
    }

    /// The same factors with every matrix replaced.
    pub(super) fn map(&self, mut of: impl FnMut(&Array2<f32>) -> Array2<f32>) -> Self {
        Self { left: of(&self.left), right: self.right.as_ref().map(of), scale: self.scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::spectra;
    use crate::rng::{normal, stream};

    /// The logits of any shape have the spectra of the matrix that is their product.
    #[test]
    fn spectra_of_products_are_those_of_the_matrix() {
        let mut rng = stream(4, "factors");
        for (n, m, d) in [(40, 40, 8), (30, 50, 8), (50, 20, 8), (5, 40, 8), (1, 1, 3)] {
            let (left, right) = (normal(&mut rng, n, d) + 0.5, normal(&mut rng, m, d));
            let product = left.mapv(f64::from).dot(&right.mapv(f64::from).t()) * 0.3;
            let factors = Factors { left, right: Some(right), scale: 0.3 };
            let expected = spectra::of_f64(product.view(), Engine::Faer, &spectra::uninterrupted).unwrap();
            let found = factors.spectra(Engine::Faer).unwrap();
            assert_eq!((found.plain.len(), factors.shape()), (d.min(n).min(m), (n.max(m), d.min(n).min(m))));
            for (found, exact) in [(&found.plain, &expected.plain), (&found.centred, &expected.centred)] {
                for (at, exact) in exact.iter().enumerate() {
                    let found = found.get(at).copied().unwrap_or(0.0);
                    assert!((found - exact).abs() <= 1e-12 * expected.plain[0], "{n} x {m}: {found} {exact}");
                }
            }
        }
    }

    /// Rounding both factors to f32 moves the product's values by what is estimated, and not by far less.
    #[test]
    fn the_rounding_of_a_product_is_estimated() {
        let mut rng = stream(5, "rounding of factors");
        let [q, k] =
            [(); 2].map(|()| normal(&mut rng, 96, 16).mapv(|x| f64::from(x) + f64::from(x).powi(3) / 7.0));
        let factors = Factors { left: q.mapv(|x| x as f32), right: Some(k.mapv(|x| x as f32)), scale: 0.25 };
        let rounded = factors.left.mapv(f64::from).dot(&k.mapv(|x| f64::from(x as f32)).t());
        let noise = (rounded - q.dot(&k.t())) * 0.25;
        let sigma = singular_values(noise.view(), Engine::Faer).unwrap();
        let found = factors.spectra(Engine::Faer).unwrap().rounding;
        for (estimate, exact) in [(found.spectral, sigma[0]), (found.nuclear, sigma.iter().sum::<f64>())] {
            assert!((1.0..12.0).contains(&(estimate / exact)), "{estimate:e} for {exact:e}");
        }
    }
}
