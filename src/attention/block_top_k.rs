//! Blocks of keys that are chosen by bounds of their scores (Quest, Tang et al. 2024).
//!
//! A block is judged by the largest q k that its keys could have: that of a key which in every dimension takes the larger
//! product of the block's minimum and maximum. Quest chooses for one token at a time; here every query chooses.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, concatenate, s};

use super::kernel::chosen::{Chooses, Chosen, ROWS};
use super::kernel::flat::Size;
use super::kernel::form::BOTH;
use super::kernel::fused::Fused;
use super::reference::pattern::{self, Pattern, ReadsBy};
use super::softmax::rows::highest;
use super::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::linalg::gemm::{Threads, product};
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "block-top-k",
    about: "the query's own block of keys, and the blocks whose keys could have the largest logits (Quest)",
    equation: "softmax over the blocks of the largest sum_d max(q_d min_d, q_d max_d) of q_i k_j / sqrt(d_h)",
    paper: "Tang et al. 2024",
    takes: &[
        Param {
            name: "l",
            default: Some("64"),
            about: "keys that a query reads: l / block blocks, one at least",
        },
        Param { name: "block", default: Some("16"), about: "consecutive keys of a block" },
    ],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

#[derive(Clone, Copy, Debug)]
struct BlockTopK {
    l: usize,
    block: usize,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(BlockTopK { l: params.at_least("l", 1)?, block: params.at_least("block", 1)? }))
}

/// Elementwise minimum and maximum of the keys of each block, in f64: shapes (blocks, `d_h`).
fn bounds(k: ArrayView2<'_, f32>, block: usize) -> [Array2<f64>; 2] {
    let of = |pick: fn(f64, f64) -> f64, start: f64| {
        let mut all = Array2::from_elem((k.nrows().div_ceil(block), k.ncols()), start);
        for (mut bound, keys) in all.rows_mut().into_iter().zip(k.axis_chunks_iter(Axis(0), block)) {
            for key in keys.rows() {
                bound.zip_mut_with(&key, |bound, x| *bound = pick(*bound, f64::from(*x)));
            }
        }
        all
    };
    [of(f64::min, f64::INFINITY), of(f64::max, f64::NEG_INFINITY)]
}

/// The bound of the logits of each of the first `blocks` blocks, without the scale.
fn scores(q: ArrayView1<'_, f32>, [low, high]: &[Array2<f64>; 2], blocks: usize) -> Vec<f64> {
    let (low, high) = (low.slice(s![..blocks, ..]), high.slice(s![..blocks, ..]));
    let score = |(low, high): (ArrayView1<'_, f64>, ArrayView1<'_, f64>)| {
        let products = q.iter().zip(low).zip(high).map(|((q, low), high)| {
            let q = f64::from(*q);
            (q * low).max(q * high)
        });
        products.sum()
    };
    low.rows().into_iter().zip(high.rows()).map(score).collect()
}

impl BlockTopK {
    /// How many blocks a query reads.
    fn kept(&self) -> usize {
        (self.l / self.block).max(1)
    }

    /// The block of position i, if there is one among m keys, and how many blocks hold a key that a query there sees.
    fn blocks(&self, i: usize, m: usize, mask: Mask) -> (Option<usize>, usize) {
        ((i < m).then(|| i / self.block), mask.visible(i, m).div_ceil(self.block))
    }

    /// The keys that query i reads of m, by the scores of the blocks that it sees.
    fn read(&self, scores: &[f64], i: usize, m: usize, mask: Mask) -> Vec<Range<usize>> {
        let (own, seen) = self.blocks(i, m, mask);
        let others = (0..seen).filter(|block| own != Some(*block)).collect();
        let left = self.kept() - usize::from(own.is_some());
        let mut chosen = highest(scores, others, left);
        chosen.extend(own);
        let visible = mask.visible(i, m);
        pattern::merged(chosen.into_iter().map(|block| self.keys(block, visible)).collect())
    }

    fn keys(&self, block: usize, visible: usize) -> Range<usize> {
        let start = block * self.block;
        start..start.saturating_add(self.block).min(visible)
    }
}

impl Pattern for BlockTopK {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        let m = input.k.nrows();
        let bounds = bounds(input.k, self.block.min(m));
        Box::new(move |i, _| {
            let (_, seen) = self.blocks(i, m, input.mask);
            self.read(&scores(input.q.row(i), &bounds, seen), i, m, input.mask)
        })
    }

    /// Without a mask the last block may be shorter than the others, which is known only when it is chosen.
    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let (mask, m) = (Mask::of(shape), shape.m);
        Box::new(move |i| {
            let (own, seen) = self.blocks(i, m, mask);
            let visible = mask.visible(i, m);
            let own_keys = own.map_or(0, |own| self.keys(own, visible).len());
            let others = (self.kept() - usize::from(own.is_some())).min(seen - usize::from(own.is_some()));
            others.saturating_mul(self.block).min(visible - own_keys) + own_keys
        })
    }

    /// Two products for each dimension of each block that holds a key which the query sees.
    fn choosing(&self, shape: &Shape) -> Option<Cost> {
        Some(Cost::product(self.scanned(shape), 1, 1))
    }

    /// Minimum and maximum of each such block.
    fn scanned(&self, shape: &Shape) -> usize {
        let mask = Mask::of(shape);
        (0..shape.n).map(|i| self.blocks(i, shape.m, mask).1 * 2 * shape.d_h).sum()
    }

    fn l(&self) -> Option<usize> {
        Some(self.l)
    }

    fn fused(&self) -> Option<Fused> {
        Some(Fused::new(KIND.name, Chosen(*self)))
    }
}

/// `max(q low, q high)` summed over dimensions is `max(q, 0) high + min(q, 0) low`: the scores of many queries are a product.
impl Chooses for BlockTopK {
    /// Maxima above minima of the blocks: shape (2 `d_h`, blocks).
    type On = Array2<f64>;

    fn masks(&self) -> &'static [Mask] {
        BOTH
    }

    fn on(&self, input: &Input<'_>) -> Array2<f64> {
        let [low, high] = bounds(input.k, self.block.min(input.k.nrows()));
        concatenate![Axis(0), high.t(), low.t()]
    }

    fn choose(&self, on: &Array2<f64>, input: &Input<'_>, queries: Range<usize>) -> Vec<Vec<Range<usize>>> {
        let (m, mask) = (input.k.nrows(), input.mask);
        let seen = queries.clone().next_back().map_or(0, |last| self.blocks(last, m, mask).1);
        let q = input.q.slice(s![queries.clone(), ..]).mapv(f64::from);
        let signs = concatenate![Axis(1), q.mapv(|q| q.max(0.0)), q.mapv(|q| q.min(0.0))];
        let scores = product(signs.view(), on.slice(s![.., ..seen]), Threads::One);
        let rows = queries.zip(scores.rows());
        rows.map(|(i, scores)| {
            self.read(scores.to_slice().expect("rows of a product lie together"), i, m, mask)
        })
        .collect()
    }

    fn bytes(&self, size: &Size) -> [usize; 2] {
        let blocks = size.shape.m.div_ceil(self.block);
        // Bounds with the two parts that they are made of; queries with their signs, scores, and what a choice is made among.
        let row = 5 * size.shape.d_h + blocks;
        [4 * size.shape.d_h * blocks, ROWS * row + 2 * blocks].map(|numbers| numbers * size_of::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_score_bounds_every_logit_of_its_block() {
        let k = array![[1.0, -2.0], [-3.0, 0.5], [0.25, 0.5]];
        let bounds = bounds(k.view(), 2);
        assert_eq!(bounds, [array![[-3.0, -2.0], [0.25, 0.5]], array![[1.0, 0.5], [0.25, 0.5]]]);
        assert_eq!(scores(array![2.0, -1.0].view(), &bounds, 2), [4.0, 0.0]);
        assert_eq!(scores(array![-2.0, 1.0].view(), &bounds, 1), [6.5]);
    }
}
