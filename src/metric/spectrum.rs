//! The singular values that the metrics read.

use crate::linalg::rounding::Rounding;

/// The largest fraction of a sum of singular values (or of `||.||_F`) that may be rounding error; above it, shares and ranks
/// are not reported.
const ROUNDING: f64 = 0.05;

/// Singular values of one matrix, all of them or the leading ones.
#[derive(Clone, Copy, Debug)]
pub struct Spectrum<'a> {
    /// Values, largest first; all min(n, m), or the leading ones that are known.
    pub sigma: &'a [f64],
    /// min(n, m): how many values there are in all.
    pub size: usize,
    /// max(n, m): the longer side, for the tolerance of the numerical rank.
    pub longest: usize,
    /// The sum of all squares, `||A||_F^2`.
    pub energy: f64,
    /// The rounding unit of the matrix's entries (2^-23 for f32, 2^-52 for f64).
    pub epsilon: f64,
    /// The estimated rounding error.
    pub rounding: Rounding,
}

impl<'a> Spectrum<'a> {
    /// The whole spectrum of a matrix of shape (n, m).
    pub fn whole(sigma: &'a [f64], (n, m): (usize, usize), epsilon: f64) -> Self {
        let energy = sigma.iter().map(|s| s * s).sum();
        Self { sigma, size: n.min(m), longest: n.max(m), energy, epsilon, rounding: Rounding::default() }
    }

    /// The whole spectrum of a matrix of shape (n, m), or of the centred matrix, with this rounding error.
    pub fn rounded(sigma: &'a [f64], shape: (usize, usize), rounding: Rounding) -> Self {
        Self { rounding, ..Self::whole(sigma, shape, rounding.epsilon) }
    }

    /// Whether every value is known.
    pub fn is_whole(&self) -> bool {
        self.sigma.len() == self.size
    }

    /// The largest value; 0 of an empty matrix.
    pub fn first(&self) -> f64 {
        self.sigma.first().copied().unwrap_or(0.0)
    }

    /// The sum of all values, if all are known.
    pub fn l1(&self) -> Option<f64> {
        self.is_whole().then(|| self.sigma.iter().sum())
    }

    /// The fraction of the sum of all values that may be rounding error; `None` if not all values are known.
    pub fn rounding_share(&self) -> Option<f64> {
        let all = self.l1()?;
        Some(if all > 0.0 { self.rounding.nuclear / all } else { 0.0 })
    }

    /// A metric of the values and their sum; `None` if the matrix is zero (every fraction would be 0 / 0) or the values are
    /// mostly rounding error.
    pub fn of_sum(&self, figure: impl FnOnce(f64) -> f64) -> Option<f64> {
        let all = self.l1()?;
        (all > 0.0 && self.rounding.nuclear <= ROUNDING * all).then(|| figure(all))
    }

    /// As [`of_sum`](Self::of_sum), for a metric of the squares, which depend little on small values.
    pub fn of_squares(&self, figure: impl FnOnce() -> f64) -> Option<f64> {
        let is_one = self.first() > 0.0 && self.rounding.frobenius <= ROUNDING * self.energy.sqrt();
        is_one.then(figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_rounding_are_none() {
        let sigma = [3.0, 1.0];
        let rounding = |size: f64| Rounding { epsilon: 0.0, spectral: size, nuclear: size, frobenius: size };
        let with = |size| Spectrum::rounded(&sigma, (2, 2), rounding(size));
        assert_eq!((with(0.0).of_sum(|all| all), with(0.19).of_sum(|all| all)), (Some(4.0), Some(4.0)));
        assert_eq!((with(0.21).of_sum(|all| all), with(0.21).rounding_share()), (None, Some(0.0525)));
        assert_eq!((with(0.15).of_squares(|| 1.0), with(0.16).of_squares(|| 1.0)), (Some(1.0), None));
        let zero = Spectrum::whole(&[0.0, 0.0], (2, 2), 0.0);
        assert_eq!(
            (zero.of_sum(|all| all), zero.of_squares(|| 1.0), zero.rounding_share()),
            (None, None, Some(0.0))
        );
    }
}
