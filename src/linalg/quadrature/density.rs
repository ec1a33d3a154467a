//! The density of a spectrum from the rules of all probes, and the interval of any figure of it.

use ndarray::{Array1, Array2, ArrayView1, s};

use super::rule::{Rule, Rules};
use crate::stats::{Interval, student_quantile};

/// The share of half the distance between the two rules by which intervals are widened. Their mean, which is the estimate, lay
/// within 0.3 of half the distance from the truth on every spectrum that was tried.
const RULES: f64 = 0.5;

/// Differences of this share of `||A||_F^2` are rounding.
const ROUNDING: f64 = 1e-9;

/// All singular values of a matrix as a density: leading ones that count once each, and nodes with weights.
#[derive(Clone)]
pub struct Density {
    rules: [Weighted; 2],
    apart: usize,
    probes: usize,
}

/// A figure of singular values and of how many each stands for.
pub type Figure<'a> = dyn Fn(&[f64], &[f64]) -> Option<f64> + 'a;

/// Nodes, with the weights from all probes and from all probes but one.
#[derive(Clone)]
struct Weighted {
    /// Singular values, largest first.
    sigma: Vec<f64>,
    /// Shape (1 + probes, nodes): of all, and without each.
    weights: Array2<f64>,
}

impl Density {
    /// The density in a space of `size` dimensions; the eigenvalues add up to `energy`.
    pub(super) fn new(rules: &Rules, size: usize, energy: f64) -> Self {
        let weighted = |rule| Weighted::new(rule, rules.apart, size, energy);
        let probes = rules.gauss.weights.ncols();
        Self { rules: [weighted(&rules.gauss), weighted(&rules.radau)], apart: rules.apart, probes }
    }

    /// How many leading values are known as such; the rest is a density.
    pub fn apart(&self) -> usize {
        self.apart
    }

    /// A figure of singular values, largest first, and their weights (how many each stands for; some may be slightly
    /// negative), with its 95 % interval.
    ///
    /// The jackknife over probes, with Student's quantile, and the error of the quadrature. None where the figure is none.
    pub fn figure(&self, of: &Figure<'_>) -> Option<Interval> {
        let with = |row: usize| -> Option<[f64; 2]> {
            let [gauss, radau] = &self.rules;
            Some([gauss.figure(row, of)?, radau.figure(row, of)?])
        };
        let [gauss, radau] = with(0)?;
        let mid = f64::midpoint(gauss, radau);
        let without: Option<Vec<f64>> = (1..=self.probes)
            .map(|row| with(row).map(|[gauss, radau]| f64::midpoint(gauss, radau)))
            .collect();
        let without = without?;
        let mean = crate::stats::mean(&without);
        let squares: f64 = without.iter().map(|one| (one - mean).powi(2)).sum();
        let count = self.probes as f64;
        // One degree of freedom went into the slope of the calibration.
        let quantile = student_quantile(self.probes.saturating_sub(2), 0.95)?;
        let sampling = quantile * ((count - 1.0) / count * squares).sqrt();
        let half = sampling + 0.5 * RULES * (gauss - radau).abs();
        Some(Interval { mid, low: mid - half, high: mid + half })
    }

    /// So many singular values, largest first, whose partial sums are those of the density: the leading ones, and a smooth
    /// curve through the rest.
    pub fn values(&self, size: usize) -> Vec<f64> {
        let [gauss, radau] = self.rules.each_ref().map(|rule| rule.values(size));
        let mut all: Vec<f64> = gauss.iter().zip(radau).map(|(a, b)| f64::midpoint(*a, b)).collect();
        // Where a weight is negative, the curve may rise.
        all.sort_by(|a, b| b.total_cmp(a));
        all
    }
}

impl Weighted {
    fn new(rule: &Rule, apart: usize, size: usize, energy: f64) -> Self {
        let (nodes, probes) = rule.weights.dim();
        let mut rest = rule.weights.slice(s![apart.., ..]).to_owned();
        // Every probe stands for the dimensions that are left: what varies is where it lies in them.
        let dimensions = (size - apart.min(size)) as f64;
        for mut column in rest.columns_mut() {
            let mass = column.sum();
            column *= if mass > 0.0 { dimensions / mass } else { 0.0 };
        }
        let left = energy - rule.nodes[..apart].iter().sum::<f64>();
        let estimates: Array1<f64> = rest.t().dot(&ArrayView1::from(&rule.nodes[apart..]));
        let mut weights = Array2::ones((1 + probes, nodes));
        for (row, mut weights) in weights.rows_mut().into_iter().enumerate() {
            let shares = calibrated(&estimates, left, energy, row.checked_sub(1));
            weights.slice_mut(s![apart..]).assign(&rest.dot(&shares));
        }
        Self { sigma: rule.nodes.iter().map(|node| node.sqrt()).collect(), weights }
    }

    fn figure(&self, row: usize, of: &Figure<'_>) -> Option<f64> {
        of(&self.sigma, self.weights.row(row).to_slice()?)
    }

    fn values(&self, size: usize) -> Vec<f64> {
        let mut values = Vec::with_capacity(size);
        let mut nodes = self.sigma.iter().zip(self.weights.row(0));
        // What is open of the value being filled, and what is left of the node.
        let (mut open, mut sum) = (1.0, 0.0);
        let mut node = nodes.next().map(|(sigma, weight)| (*sigma, *weight));
        while values.len() < size {
            let Some((sigma, weight)) = node else {
                values.push(sum);
                sum = 0.0;
                continue;
            };
            if weight < open {
                sum += weight * sigma;
                open -= weight;
                node = nodes.next().map(|(sigma, weight)| (*sigma, *weight));
            } else {
                values.push((sum + open * sigma).max(0.0));
                node = Some((sigma, weight - open));
                (open, sum) = (1.0, 0.0);
            }
        }
        values
    }
}

/// The share of each probe, one of them left out if it is named: equal shares, tilted so that the weighted mean of the
/// estimates is `known`; equal where the estimates differ by rounding only.
fn calibrated(estimates: &Array1<f64>, known: f64, energy: f64, without: Option<usize>) -> Array1<f64> {
    let counts = Array1::from_shape_fn(estimates.len(), |i| if Some(i) == without { 0.0 } else { 1.0 });
    let count: f64 = counts.sum();
    let mean = estimates.dot(&counts) / count;
    let apart = estimates.mapv(|estimate| estimate - mean) * &counts;
    let squares = apart.dot(&apart);
    let slope = if squares.sqrt() > ROUNDING * energy { (known - mean) / squares } else { 0.0 };
    counts / count + apart * slope
}
