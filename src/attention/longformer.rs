//! Longformer (Beltagy et al. 2020): a sliding window, and a few global tokens that see everything and are seen by all.
//!
//! The paper's tasks choose which tokens are global ([CLS], the question); here they are the leading ones. Its separate
//! projections for global tokens belong to a layer and not to a mechanism on given heads: they are left out. Under the
//! causal mask (the paper's language models have no global tokens) a global query sees what is not ahead of it.

use std::ops::Range;

use super::kernel::windows::window;
use super::reference::pattern::{self, Pattern};
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

struct Longformer {
    l: usize,
    global: usize,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(Longformer { l: params.at_least("l", 1)?, global: params.get("global")? }))
}

impl Longformer {
    fn sees(&self, i: usize, m: usize, mask: Mask) -> Vec<Range<usize>> {
        let visible = mask.visible(i, m);
        if i < self.global {
            let everything = 0..visible;
            return vec![everything];
        }
        pattern::merged(vec![0..self.global.min(visible), window(i, self.l, m, mask)])
    }
}

impl Pattern for Longformer {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> Box<dyn Fn(usize) -> Vec<Range<usize>> + 'a> {
        let (m, mask) = (input.k.nrows(), input.mask);
        Box::new(move |i| self.sees(i, m, mask))
    }

    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let (mask, m) = (Mask::of(shape), shape.m);
        Box::new(move |i| {
            let visible = mask.visible(i, m);
            let window = window(i, self.l, m, mask);
            let leading = self.global.min(visible);
            if i < self.global { visible } else { window.len() + leading.min(window.start) }
        })
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one range is what is meant
mod tests {
    use super::*;

    #[test]
    fn global_tokens_see_and_are_seen_by_all() {
        let longformer = Longformer { l: 4, global: 2 };
        assert_eq!(longformer.sees(1, 10, Mask::Full), [0..10]);
        assert_eq!(longformer.sees(1, 10, Mask::Causal), [0..2]);
        assert_eq!(longformer.sees(7, 10, Mask::Full), [0..2, 5..10]);
        assert_eq!(longformer.sees(7, 10, Mask::Causal), [0..2, 4..8]);
        assert_eq!(longformer.sees(3, 10, Mask::Full), [0..6], "the window reaches the global tokens");
        assert_eq!(longformer.sees(20, 10, Mask::Full), [0..2], "after the last key");
    }
}
