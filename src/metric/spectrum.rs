//! The singular values that the metrics read.

use crate::linalg::rounding::Rounding;

/// The largest fraction of a sum of singular values (or of `||.||_F`) that may be rounding error; above it, shares and ranks
/// are not reported.
const ROUNDING: f64 = 0.05;

/// Singular values of one matrix: all of them, the leading ones, or all as a density.
#[derive(Clone, Copy, Debug)]
pub struct Spectrum<'a> {
    /// Values, largest first; all min(n, m), the leading ones that are known, or the nodes of a density.
    pub sigma: &'a [f64],
    /// Of a density: how many values each node stands for. Counts of values are then real numbers: a part of a node is a part
    /// of its values.
    pub weights: Option<&'a [f64]>,
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
        Self {
            sigma,
            weights: None,
            size: n.min(m),
            longest: n.max(m),
            energy,
            epsilon,
            rounding: Rounding::default(),
        }
    }

    /// The whole spectrum of a matrix of shape (n, m), or of the centred matrix, with this rounding error.
    pub fn rounded(sigma: &'a [f64], shape: (usize, usize), rounding: Rounding) -> Self {
        Self { rounding, ..Self::whole(sigma, shape, rounding.epsilon) }
    }

    /// Whether every value is known, or all are as a density.
    pub fn is_whole(&self) -> bool {
        self.weights.is_some() || self.sigma.len() == self.size
    }

    /// The largest value; 0 of an empty matrix.
    pub fn first(&self) -> f64 {
        self.sigma.first().copied().unwrap_or(0.0)
    }

    /// Every value with how often it counts, largest first.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + ExactSizeIterator + use<'a> {
        let (sigma, weights) = (self.sigma, self.weights);
        (0..sigma.len()).map(move |i| (sigma[i], weights.map_or(1.0, |weights| weights[i])))
    }

    /// The sum over the known values.
    pub fn sum(&self, of: impl Fn(f64) -> f64) -> f64 {
        self.values().map(|(s, weight)| weight * of(s)).sum()
    }

    /// The sum over the first k values.
    pub fn sum_to(&self, k: usize, of: impl Fn(f64) -> f64) -> f64 {
        let mut open = k as f64;
        self.values()
            .map(|(s, weight)| {
                let counted = weight.min(open);
                open -= counted;
                counted * of(s)
            })
            .sum()
    }

    /// How many leading values it takes for their sum to reach `goal`: a whole number, of a density a real one; none where the
    /// known values do not reach it.
    pub fn reach(&self, goal: f64, of: impl Fn(f64) -> f64) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0.0);
        for (s, weight) in self.values() {
            let more = weight * of(s);
            if sum + more >= goal {
                let is_part = self.weights.is_some() && more > 0.0;
                return Some(count + if is_part { weight * (goal - sum) / more } else { weight });
            }
            sum += more;
            count += weight;
        }
        None
    }

    /// The sum of all values, if all are known.
    pub fn l1(&self) -> Option<f64> {
        self.is_whole().then(|| self.sum(|s| s))
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
    use crate::metric::{self, Of};

    /// A density whose nodes are the values gives every figure that the values give.
    #[test]
    fn nodes_that_are_the_values_have_their_figures() {
        let sigma = [4.0, 2.0, 2.0, 1.0, 0.5, 0.5];
        let (nodes, weights) = ([4.0, 2.0, 1.0, 0.5], [1.0, 2.0, 1.0, 2.0]);
        let whole = Spectrum::whole(&sigma, (6, 8), 0.0);
        let density = Spectrum { sigma: &nodes, weights: Some(&weights), ..whole };
        for metric in metric::ALL {
            match metric.of {
                Of::Spectrum(of) if metric.name == "numerical_rank" => assert_eq!(of(&density), None),
                Of::Spectrum(of) if metric.integer => {
                    let (exact, found) = (of(&whole).unwrap(), of(&density).unwrap());
                    assert!(found.ceil() == exact, "{}: {found} and not {exact}", metric.name);
                }
                Of::Spectrum(of) => {
                    let (exact, found) = (of(&whole).unwrap(), of(&density).unwrap());
                    assert!((found - exact).abs() < 1e-12, "{}: {found} and not {exact}", metric.name);
                }
                Of::SpectrumAt(of) => {
                    for k in 1..6 {
                        if metric.name == "best_rel_spectral_at" {
                            assert_eq!(of(&density, k), None, "the second node stands for two");
                            continue;
                        }
                        let (exact, found) = (of(&whole, k).unwrap(), of(&density, k).unwrap());
                        assert!(
                            (found - exact).abs() < 1e-12,
                            "{} {k}: {found} and not {exact}",
                            metric.name
                        );
                    }
                }
                Of::Rows(_) | Of::RowsAt(_) | Of::Pair(_) | Of::Output(_) => {}
            }
        }
    }

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
