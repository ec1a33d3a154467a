//! Softmax attention (Vaswani et al. 2017): `A = softmax(q k^T / sqrt(d_h))`, rows over the keys.

use ndarray::{Array2, ArrayView2};

use super::matrix::matrix;
use super::terms;
use crate::attention::kernel::fused::Fused;
use crate::attention::kernel::windows::Windows;
use crate::attention::reference::pattern::{self, Pattern, ReadsBy};
use crate::attention::reference::work::Work;
use crate::attention::{Choice, Input, Kind, Mechanism, Origin, Term, Under};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::name::Params;

/// Its entry in the list.
pub(in crate::attention) const KIND: Kind = Kind {
    name: "softmax",
    about: "exact attention, the reference of all others",
    equation: "softmax(q k^T / sqrt(d_h)) v",
    paper: "Vaswani et al. 2017",
    takes: &[],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: Term::ALL,
    by_default: false,
    fit: None,
    build: |_: &Params<'_>, _: &Origin<'_>| Ok(Box::new(Softmax)),
};

struct Softmax;

/// What it reads: every key that a query sees.
struct Every;

impl Pattern for Every {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        Box::new(|i, _| std::iter::once(input.sees(i)).collect())
    }

    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let shape = *shape;
        Box::new(move |i| shape.sees(i).len())
    }
}

impl Mechanism for Softmax {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        if input.terms.set().next().is_some() {
            return Ok(terms::forward(input, v, work));
        }
        Ok(pattern::forward(input, v, &|i| std::iter::once(input.sees(i)).collect(), work))
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        if input.terms.set().next().is_some() {
            return Ok(terms::matrix_f64(input).mapv(|x| x as f32));
        }
        Ok(matrix(input.q, input.k, input.scale, input.mask))
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let pairs = shape.pairs();
        Cost::product(pairs, shape.d_h, 1)
            + Cost::softmax(shape.n, pairs)
            + Cost::product(pairs, 1, shape.d_v)
    }

    /// Every key and value that a query sees.
    fn cache_reads(&self, shape: &Shape) -> Option<u64> {
        Some(shape.pairs() as u64 * (shape.d_h + shape.d_v) as u64)
    }

    fn rank(&self, _: &Shape) -> Option<usize> {
        None
    }

    fn choice(&self) -> Option<Choice<'_>> {
        Some(Choice(&Every))
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, Windows(None)))
    }
}
