//! Sliding-window attention: softmax over the keys beside the query (the "local attention" of the Long Range Arena;
//! the window of Beltagy et al. 2020).
//!
//! The Long Range Arena's published code cuts a sequence into blocks instead, and its reshape puts every (n/w)-th token
//! into one block. A window is what the papers describe, and what this is.

use std::ops::Range;

use super::kernel::fused::Fused;
use super::kernel::windows::{Windows, window};
use super::reference::pattern::{Pattern, ReadsBy};
use super::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::Shape;
use crate::error::Result;
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "local",
    about: "sliding window: each query sees the keys around its own position",
    equation: "softmax over j with |i - j| <= l/2 (causal: 0 <= i - j < l) of q_i k_j / sqrt(d_h)",
    paper: "Beltagy et al. 2020 (Longformer's window)",
    takes: &[Param {
        name: "l",
        default: Some("64"),
        about: "keys of the window: l/2 on each side; causal: its own and the l - 1 before it",
    }],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: true,
    fit: None,
    build,
};

struct Local {
    l: usize,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(Local { l: params.at_least("l", 1)? }))
}

impl Local {
    fn sees(&self, i: usize, m: usize, mask: Mask) -> Range<usize> {
        window(i, self.l, m, mask)
    }
}

impl Pattern for Local {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        let (m, mask) = (input.k.nrows(), input.mask);
        Box::new(move |i, _| vec![self.sees(i, m, mask)])
    }

    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let (mask, m) = (Mask::of(shape), shape.m);
        Box::new(move |i| self.sees(i, m, mask).len())
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, Windows(Some(self.l))))
    }
}
