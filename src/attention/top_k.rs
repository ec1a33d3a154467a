//! The l most probable keys of each query: the bound of the sparse half of the list, as `svd` is that of the low-rank half.
//!
//! No other choice of l keys a row, renormalised, has a smaller total variation from softmax: it is the mass dropped, and
//! that is least where the largest probabilities stay. It needs the exact probabilities first: a floor under the errors of
//! other choices, and no way to make attention cheaper.

use super::reference::pattern::{Pattern, ReadsBy, runs};
use super::softmax::rows::highest;
use super::{Input, Kind, Mechanism, Origin, Term, Under};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "top-k",
    about: "the l most probable keys of each query: the floor under what any choice of l keys can do",
    equation: "softmax over the l keys of the largest q_i k_j / sqrt(d_h); of equal ones the first",
    paper: "Gupta et al. 2021",
    takes: &[
        Param { name: "l", default: Some("64"), about: "keys that a query keeps" },
        Param {
            name: "renormalise",
            default: Some("true"),
            about: "false: the exact probabilities, rows sum to the mass kept",
        },
    ],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: Term::ALL,
    by_default: false,
    fit: None,
    build,
};

struct TopK {
    l: usize,
    renormalise: bool,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(TopK { l: params.at_least("l", 1)?, renormalise: params.get("renormalise")? }))
}

impl TopK {
    /// Pairs of a query and a key that it sees and does not keep.
    fn others(&self, shape: &Shape) -> usize {
        shape.pairs() - (0..shape.n).map(self.counts(shape)).sum::<usize>()
    }
}

impl Pattern for TopK {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        Box::new(move |i, exact| runs(&highest(&exact.row(i), input.sees(i).collect(), self.l)))
    }

    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let shape = *shape;
        Box::new(move |i| self.l.min(shape.sees(i).len()))
    }

    /// The logits of the other keys, and their exponentials where they count in the sum.
    fn choosing(&self, shape: &Shape) -> Option<Cost> {
        let others = self.others(shape);
        let exps = if self.renormalise { 0 } else { others };
        Some(Cost::product(others, shape.d_h, 1) + Cost::exps(exps))
    }

    /// The other keys.
    fn scanned(&self, shape: &Shape) -> usize {
        self.others(shape) * shape.d_h
    }

    fn renormalises(&self) -> bool {
        self.renormalise
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }
}
