//! A sparse part and a low-rank part (after Scatterbrain, Chen et al. 2021), as a bound: sinks and a window exactly, and of
//! what is left the best matrix of a rank.
//!
//! Scatterbrain estimates the rest by random features; here it is the truncated decomposition of the exact rest, so that the
//! question is about heads and not about features: once window and sinks are taken out, is the remainder low-rank? As with
//! `svd`, the exact matrix comes first, and under the causal mask the low-rank part is not triangular.

use ndarray::{Array2, ArrayView2};

use super::reference::pattern::Pattern;
use super::reference::work::Work;
use super::sink_window::{SINK, SinkWindow};
use super::softmax::rows::ExactRows;
use super::svd::{exact, truncated};
use super::{Input, Kind, Mechanism, Origin, Under, softmax};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::linalg::gemm::{Threads, product};
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "sparse-low-rank",
    about: "first keys and window exactly, and the best matrix of a rank for the rest",
    equation: "(M A + U_r S_r V_r^T) v, A = softmax(q k^T / sqrt(d_h)), M the pattern of sink-window, U S V^T = A - M A",
    paper: "Chen et al. 2021 (Scatterbrain)",
    takes: &[
        Param {
            name: "l",
            default: Some("64"),
            about: "keys of a query in the sparse part: sinks and window",
        },
        SINK,
        Param {
            name: "rank",
            default: Some("16"),
            about: "rank of the other part (r); 0 leaves the window alone",
        },
    ],
    full: Under::Honoured,
    causal: Under::Leaks("has a low-rank part that is not causal: its rows reach ahead"),
    stochastic: false,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

struct SparseLowRank {
    pattern: SinkWindow,
    rank: usize,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(SparseLowRank { pattern: SinkWindow::read(params)?, rank: params.get("rank")? }))
}

impl SparseLowRank {
    /// How many singular triplets there are at a shape.
    fn kept(&self, n: usize, m: usize) -> usize {
        self.rank.min(n).min(m)
    }

    /// The exact probabilities on the pattern, and the factors (n, r) and (r, m) of the rest.
    fn parts(&self, input: &Input<'_>) -> Result<(Array2<f32>, [Array2<f32>; 2])> {
        let mut rest = softmax::matrix_of(input);
        let mut sparse = Array2::zeros(rest.dim());
        let (reads, exact) = (self.pattern.reads(input), ExactRows::of(input));
        for i in 0..rest.nrows() {
            for j in reads(i, &exact).into_iter().flatten() {
                sparse[[i, j]] = rest[[i, j]] as f32;
                rest[[i, j]] = 0.0;
            }
        }
        let kept = self.kept(rest.nrows(), rest.ncols());
        Ok((sparse, truncated(rest.view(), kept)?))
    }

    /// Pairs of the sparse part.
    fn pairs(&self, shape: &Shape) -> usize {
        (0..shape.n).map(self.pattern.counts(shape)).sum()
    }
}

impl Mechanism for SparseLowRank {
    /// Counted are the exact matrix and the products with the parts; the decomposition is not.
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let shape = input.shape(v.ncols());
        let (sparse, [left, right]) = self.parts(input)?;
        work.count(exact(&shape) + Cost::product(self.pairs(&shape), 1, shape.d_v));
        let values = work.product(right.view(), v);
        Ok(work.product(left.view(), values.view()) + product(sparse.view(), v, Threads::One))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let (sparse, [left, right]) = self.parts(input)?;
        Ok(sparse + product(left.view(), right.view(), Threads::One))
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let kept = self.kept(shape.n, shape.m);
        exact(shape)
            + Cost::product(self.pairs(shape), 1, shape.d_v)
            + Cost::product(kept, shape.m + shape.n, shape.d_v)
    }

    fn l(&self) -> Option<usize> {
        Pattern::l(&self.pattern)
    }
}
