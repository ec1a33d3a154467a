//! Nodes and weights from a projection: Gauss's rule, that of Gauss and Radau, and the leading values that stand apart.

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use crate::error::Result;
use crate::linalg::engine::symmetric_eigen;
use crate::linalg::gemm::{Threads, product};

/// An eigenvalue of the projection below this share of the largest is rounding.
const ROUNDING: f64 = 1e-14;
/// A group of leading values stands apart where the gap below it is so many times its largest residual. The sine of the angle
/// to the true eigenvectors is then 1 / 30 at most (Davis and Kahan 1970).
const APART: f64 = 30.0;

/// A quadrature rule for every probe.
pub(super) struct Rule {
    /// Eigenvalues of `B`, largest first.
    pub(super) nodes: Vec<f64>,
    /// Squared coordinates of each probe, shape (nodes, probes).
    pub(super) weights: Array2<f64>,
}

/// Both rules of one operator.
pub(super) struct Rules {
    pub(super) gauss: Rule,
    pub(super) radau: Rule,
    /// How many leading nodes are eigenvalues that count once.
    pub(super) apart: usize,
}

/// The rules of a projection `t` whose last block has this residual; the probes are `probes` (vectors of the first block,
/// probes) in the first coordinates.
///
/// `whole`: the basis is the whole space, so that every node is an eigenvalue. `check` is called between the two rules.
pub(super) fn rules(
    t: ArrayView2<'_, f64>,
    residual: ArrayView2<'_, f64>,
    probes: ArrayView2<'_, f64>,
    whole: bool,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Rules> {
    let size = t.nrows();
    let (values, vectors) = symmetric_eigen(t)?;
    let last = vectors.slice(s![.., size - residual.ncols()..]);
    // Coordinates in the next block of what the residual makes of each eigenvector.
    let tails = product(last, residual.t(), Threads::One);
    let apart = if whole { size } else { apart(&values, &tails, probes.ncols()) };
    let gauss = rule(&values, vectors.view(), probes);
    if residual.nrows() == 0 {
        let radau = Rule { nodes: gauss.nodes.clone(), weights: gauss.weights.clone() };
        return Ok(Rules { gauss, radau, apart });
    }
    check()?;
    // The block that makes the projection singular: with it 0 is an eigenvalue, as many times as the block is wide.
    let floor = ROUNDING * values.last().copied().unwrap_or(0.0);
    let inverse = |value: f64| if value > floor { 1.0 / value } else { 0.0 };
    let scaled = Array2::from_shape_fn(tails.dim(), |(i, j)| tails[[i, j]] * inverse(values[i]).sqrt());
    let corner = product(scaled.t(), scaled.view(), Threads::One);
    let mut side = Array2::zeros((size, residual.nrows()));
    side.slice_mut(s![size - residual.ncols().., ..]).assign(&residual.t());
    let upper = concatenate![Axis(1), t, side];
    let lower = concatenate![Axis(1), side.t(), corner];
    let (values, vectors) = symmetric_eigen(concatenate![Axis(0), upper, lower].view())?;
    let radau = rule(&values, vectors.view(), probes);
    Ok(Rules { gauss, radau, apart })
}

/// The rule of these eigenvalues, in ascending order, with an eigenvector in each row.
fn rule(values: &[f64], vectors: ArrayView2<'_, f64>, probes: ArrayView2<'_, f64>) -> Rule {
    let first = vectors.slice(s![..;-1, ..probes.nrows()]);
    let weights = product(first, probes, Threads::One).mapv_into(|x| x * x);
    Rule { nodes: values.iter().rev().map(|value| value.max(0.0)).collect(), weights }
}

/// How many leading eigenvalues (in ascending order here, with the tails of their residuals in rows) are surely those of the
/// operator, each as often as it has them.
///
/// Values whose residuals reach each other form a group. A group counts where the gap below it is large beside its residuals
/// and it has fewer values than the block has vectors: of a value that the operator has more often, the basis holds only as
/// many vectors as the block, which point along the probes themselves.
fn apart(values: &[f64], tails: &Array2<f64>, block: usize) -> usize {
    let descending = || values.iter().zip(tails.rows()).rev();
    let found: Vec<(f64, f64)> = descending().map(|(value, tail)| (*value, tail.dot(&tail).sqrt())).collect();
    let rounding = 1e-12 * found.first().map_or(0.0, |(value, _)| value.abs());
    let (mut apart, mut largest) = (0, rounding);
    for (i, pair) in found.windows(2).enumerate() {
        let [(value, residual), (below, below_residual)] = [pair[0], pair[1]];
        largest = f64::max(largest, residual);
        if i + 1 - apart >= block {
            break;
        }
        if value - below - below_residual > APART * largest {
            (apart, largest) = (i + 1, rounding);
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    #[test]
    fn groups_count_where_they_stand_apart_and_are_smaller_than_the_block() {
        let values = [0.1, 1.0, 1.1, 4.0, 4.0, 9.0];
        let tails = |each: [f64; 6]| Array1::from_iter(each).insert_axis(Axis(1));
        let converged = tails([0.0; 6]);
        assert_eq!(apart(&values, &converged, 3), 5);
        assert_eq!(apart(&values, &converged, 2), 1, "4 may be there more than twice");
        assert_eq!(apart(&values, &tails([0.0, 0.5, 0.0, 0.0, 0.0, 0.0]), 3), 3, "1 and 1.1 may be one");
        assert_eq!(apart(&values, &tails([0.0, 0.0, 0.0, 0.2, 0.0, 0.0]), 3), 1);
    }

    /// One vector with two steps in a space of three: Gauss's rule has the moments 0 to 3, Radau's 0 to 4 and a node at 0.
    #[test]
    fn rules_have_their_moments() {
        let (b, z) = (array![[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]], array![[2.0]]);
        let moment = |k: i32| (0..k).fold(array![2.0, 0.0, 0.0], |x, _| b.dot(&x))[0] * 2.0;
        let t = b.slice(s![..2, ..2]);
        let found = rules(t, array![[0.0, 0.5]].slice(s![.., 1..]), z.view(), false, &|| Ok(())).unwrap();
        for (rule, exact) in [(&found.gauss, 4), (&found.radau, 5)] {
            let sum = |k: i32| -> f64 {
                rule.nodes
                    .iter()
                    .zip(rule.weights.column(0))
                    .map(|(node, weight)| weight * node.powi(k))
                    .sum()
            };
            for k in 0..exact {
                assert!((sum(k) - moment(k)).abs() < 1e-12, "{k}: {} {}", sum(k), moment(k));
            }
            assert!((sum(exact) - moment(exact)).abs() > 1e-3);
        }
        assert!(found.radau.nodes[2].abs() < 1e-14);
    }
}
