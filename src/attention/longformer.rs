//! Longformer (Beltagy et al. 2020): a sliding window, and a few global tokens that see everything and are seen by all.
//!
//! The paper's tasks choose which tokens are global ([CLS], the question); here they are the leading ones. Its separate
//! projections for global tokens belong to a layer and not to a mechanism on given heads: they are left out. Under the
//! causal mask (the paper's language models have no global tokens) a global query sees what is not ahead of it.

use std::ops::Range;

use super::kernel::fused::Fused;
use super::kernel::sinks::Sinks;
use super::reference::pattern::{self, Pattern, ReadsBy};
use super::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::Shape;
use crate::error::Result;
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "longformer",
    about: "sliding window and leading global tokens, which see and are seen by all",
    equation: "softmax over j with |i - j| <= l/2 (causal: 0 <= i - j < l), j < g or i < g of q_i k_j / sqrt(d_h)",
    paper: "Beltagy et al. 2020",
    takes: &[
        Param {
            name: "l",
            default: Some("64"),
            about: "keys of the window: l/2 on each side; causal: its own and the l - 1 before it",
        },
        Param { name: "global", default: Some("1"), about: "leading tokens that are global (g); 0 is local" },
    ],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

struct Longformer(Sinks);

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let (window, leading) = (params.at_least("l", 1)?, params.get("global")?);
    Ok(Box::new(Longformer(Sinks { leading, window, global: true })))
}

impl Pattern for Longformer {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        let (m, mask) = (input.k.nrows(), input.mask);
        Box::new(move |i, _| pattern::merged(self.0.sees(i, m, mask).into()))
    }

    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let (mask, m) = (Mask::of(shape), shape.m);
        Box::new(move |i| self.0.sees(i, m, mask).iter().map(Range::len).sum())
    }

    fn l(&self) -> Option<usize> {
        Some(self.0.window)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, self.0))
    }
}
