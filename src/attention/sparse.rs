//! Sparse Transformer (Child et al. 2019): each query sees about 2 sqrt(n) keys in two patterns, strided or fixed.
//!
//! Strided: the last `stride` keys and every `stride`-th one after them. Fixed: the keys of the query's own block of
//! `stride`, and the last `c` columns of every block, which stand for their blocks. The paper gives the two patterns to
//! different heads, to alternating layers, or to one head as their union ("merged"); here a head attends to the union.
//!
//! The paper is about language models: its patterns are causal. Without a mask the symmetric reading is taken: a window
//! to both sides and the strides in both directions, and the summary columns of all blocks. The Long Range Arena's
//! code is causal there too, uses the two fixed patterns, and masks a dense matrix.

use std::ops::Range;

use super::kernel::windows::within;
use super::reference::pattern::{self, Pattern, ReadsBy};
use super::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::Shape;
use crate::error::Result;
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "sparse",
    about: "a window and every stride-th key, or the own block and a few columns of every block",
    equation: "softmax over the j of A_i of q_i k_j / sqrt(d_h); strided: i - j <= s or s divides i - j; \
               fixed: j/s = i/s (whole parts) or j mod s >= s - c",
    paper: "Child et al. 2019",
    takes: &[
        Param { name: "kind", default: Some("strided"), about: "strided or fixed" },
        Param {
            name: "stride",
            default: Some("32"),
            about: "stride, or block of the fixed pattern (s); about sqrt(n)",
        },
        Param { name: "c", default: Some("8"), about: "summary columns of a block in the fixed pattern" },
    ],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

enum Sparse {
    Strided { stride: usize },
    Fixed { stride: usize, c: usize },
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let kind: String = params.get("kind")?;
    let stride = params.at_least("stride", 1)?;
    let c = params.at_least("c", 1)?;
    Ok(Box::new(match kind.as_str() {
        "strided" => Sparse::Strided { stride },
        "fixed" if c > stride => return Err(params.refuse("c", &c, &format!("1 to the stride, {stride}"))),
        "fixed" => Sparse::Fixed { stride, c },
        _ => return Err(params.refuse("kind", &kind, "strided or fixed")),
    }))
}

/// How many of the first `end` numbers leave `rest` when divided by `stride`.
fn strides_before(end: usize, stride: usize, rest: usize) -> usize {
    end.saturating_sub(rest).div_ceil(stride)
}

/// How many of the first `end` keys are summary columns, the last `c` of each block.
fn summaries_before(end: usize, stride: usize, c: usize) -> usize {
    end / stride * c + (end % stride).saturating_sub(stride - c)
}

impl Sparse {
    /// The keys beside the query: its window, or its block.
    fn near(&self, i: usize, visible: usize) -> Range<usize> {
        match *self {
            Self::Strided { stride } => within(i, stride, visible),
            Self::Fixed { stride, .. } => {
                let start = i / stride * stride;
                start.min(visible)..start.saturating_add(stride).min(visible)
            }
        }
    }

    fn sees(&self, i: usize, m: usize, mask: Mask) -> Vec<Range<usize>> {
        let visible = mask.visible(i, m);
        let mut ranges = vec![self.near(i, visible)];
        match *self {
            Self::Strided { stride } => {
                ranges.extend((i % stride..visible).step_by(stride).map(|j| j..j + 1));
            }
            Self::Fixed { stride, c } => ranges
                .extend((stride - c..visible).step_by(stride).map(|start| start..(start + c).min(visible))),
        }
        pattern::merged(ranges)
    }

    /// How many keys [`sees`](Self::sees) comes to.
    fn count(&self, i: usize, visible: usize) -> usize {
        let far_before = |end| match *self {
            Self::Strided { stride } => strides_before(end, stride, i % stride),
            Self::Fixed { stride, c } => summaries_before(end, stride, c),
        };
        let near = self.near(i, visible);
        near.len() + far_before(near.start) + far_before(visible) - far_before(near.end)
    }
}

impl Pattern for Sparse {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        let (m, mask) = (input.k.nrows(), input.mask);
        Box::new(move |i, _| self.sees(i, m, mask))
    }

    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let (mask, m) = (Mask::of(shape), shape.m);
        Box::new(move |i| self.count(i, mask.visible(i, m)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sets of the paper (section 4.3), key by key.
    fn paper(sparse: &Sparse, i: usize, j: usize) -> bool {
        match *sparse {
            Sparse::Strided { stride } => i.abs_diff(j) <= stride || i.abs_diff(j).is_multiple_of(stride),
            Sparse::Fixed { stride, c } => i / stride == j / stride || j % stride >= stride - c,
        }
    }

    #[test]
    fn the_ranges_are_the_papers_sets() {
        for sparse in [
            Sparse::Strided { stride: 1 },
            Sparse::Strided { stride: 5 },
            Sparse::Fixed { stride: 6, c: 2 },
            Sparse::Fixed { stride: 3, c: 3 },
        ] {
            for (i, mask) in (0..40).flat_map(|i| [(i, Mask::Full), (i, Mask::Causal)]) {
                let visible = mask.visible(i, 23);
                let expected: Vec<usize> = (0..visible).filter(|j| paper(&sparse, i, *j)).collect();
                let found: Vec<usize> = sparse.sees(i, 23, mask).into_iter().flatten().collect();
                assert_eq!(found, expected, "query {i}, {mask:?}");
                assert_eq!(sparse.count(i, visible), expected.len(), "query {i}, {mask:?}");
            }
        }
    }
}
