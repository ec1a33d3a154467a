//! `BigBird` (Zaheer et al. 2020): blocks that see a window of blocks, global blocks, and some random ones.
//!
//! This is the paper's internal form (ITC): the first and the last blocks are global. They see everything and are seen
//! by all; every other block of queries sees the `window` blocks around it and `random` further blocks, drawn once for
//! a head among those that are neither global nor in its window (all of them, where there are no more). The
//! Long Range Arena's published code draws them from the first 1024 tokens only; here they come from everywhere.
//!
//! The paper has no causal form. The one here is that of later use (`BigBirdSparsityConfig` of `DeepSpeed`, "unidirectional"):
//! all global blocks are leading ones, random blocks are drawn among those before the query's own, and a query sees nothing
//! ahead of itself. There the window is half as many blocks; here, as in the other causal windows of this crate, it is the
//! own block and the `window - 1` before it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::reference::pattern::{self, Pattern, ReadsBy};
use super::{Input, Kind, Mask, Mechanism, Origin, Under};
use crate::cost::Shape;
use crate::error::Result;
use crate::name::{Param, Params};
use crate::rng::{Rng, below};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "bigbird",
    about: "blocks that see a window of blocks, the first and last ones, and random ones",
    equation: "softmax over the j in window, global and random blocks of q_i k_j / sqrt(d_h)",
    paper: "Zaheer et al. 2020; causal: Rasley et al. 2020 (DeepSpeed)",
    takes: &[
        Param {
            name: "block",
            default: Some("16"),
            about: "tokens a block (the paper: 64); the last may be short",
        },
        Param {
            name: "window",
            default: Some("3"),
            about: "blocks around the query's own, itself counted; odd; causal: its own and those before it",
        },
        Param {
            name: "global",
            default: Some("2"),
            about: "global blocks: first, last, second, and so on in turn; causal: the first ones",
        },
        Param { name: "random", default: Some("3"), about: "random blocks for each block of queries" },
    ],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

struct BigBird {
    block: usize,
    window: usize,
    global: usize,
    random: usize,
    rng: Rng,
}

fn build(params: &Params<'_>, origin: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let block = params.at_least("block", 1)?;
    let window: usize = params.get("window")?;
    if window.is_multiple_of(2) {
        return Err(params.refuse("window", &window, "an odd number of blocks, 1 or more"));
    }
    let (global, random) = (params.get("global")?, params.get("random")?);
    let piece =
        format!("bigbird random blocks, block={block}, window={window}, global={global}, random={random}");
    Ok(Box::new(BigBird { block, window, global, random, rng: origin.stream(&piece) }))
}

impl BigBird {
    /// Whether block `b` of `blocks` is global: the first and the last ones, the first having one more if odd.
    fn is_global(&self, b: usize, blocks: usize) -> bool {
        b < self.global.div_ceil(2) || b + self.global / 2 >= blocks
    }

    /// The blocks of keys that a block of queries sees without a draw: sorted ranges that do not touch. Under the causal mask
    /// `blocks` are those up to its own.
    fn near(&self, row: usize, blocks: usize, mask: Mask) -> Vec<Range<usize>> {
        if mask == Mask::Causal {
            let window = row.saturating_add(1).saturating_sub(self.window).min(blocks)..blocks;
            return pattern::merged(vec![0..self.global.min(blocks), window]);
        }
        let half = self.window / 2;
        let (first, last) = (self.global.div_ceil(2).min(blocks), blocks.saturating_sub(self.global / 2));
        let window = row.saturating_sub(half).min(blocks)..row.saturating_add(half + 1).min(blocks);
        pattern::merged(vec![0..first, window, last..blocks])
    }

    /// The keys that each block of queries sees; under the causal mask those that its last query would see in a block that is
    /// whole.
    fn plan(&self, n: usize, m: usize, mask: Mask) -> Vec<Vec<Range<usize>>> {
        let (query_blocks, all) = (n.div_ceil(self.block), m.div_ceil(self.block));
        let keys = |b: usize| b * self.block..((b + 1) * self.block).min(m);
        let mut rng = self.rng.clone();
        let rows = (0..query_blocks).map(|row| {
            if mask == Mask::Full && self.is_global(row, query_blocks) {
                let everything = 0..m;
                return vec![everything];
            }
            let blocks = if mask == Mask::Causal { all.min(row + 1) } else { all };
            let near = self.near(row, blocks, mask);
            let mut seen: Vec<usize> = near.iter().cloned().flatten().collect();
            // A shuffle of the others that is never written out: closed forms ask for lengths of millions.
            let mut left = blocks - seen.len();
            let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
            for _ in 0..self.random.min(left) {
                let at = below(&mut rng, left);
                left -= 1;
                let last = moved.remove(&left).unwrap_or(left);
                let drawn = if at == left { last } else { moved.insert(at, last).unwrap_or(at) };
                seen.push(outside(&near, drawn));
            }
            pattern::merged(seen.into_iter().map(keys).collect())
        });
        rows.collect()
    }
}

/// The number that has `rank` numbers before it that lie in none of the sorted ranges.
fn outside(ranges: &[Range<usize>], rank: usize) -> usize {
    ranges.iter().fold(rank, |at, range| if at >= range.start { at + range.len() } else { at })
}

impl Pattern for BigBird {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        let plan = self.plan(input.q.nrows(), input.k.nrows(), input.mask);
        Box::new(move |i, _| {
            let visible = input.mask.visible(i, input.k.nrows());
            let ranges = plan[i / self.block].iter().map(|range| range.start..range.end.min(visible));
            ranges.collect()
        })
    }

    /// How many keys a block sees depends on the draw where the last block is short: the same draw decides here.
    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let (mask, m) = (Mask::of(shape), shape.m);
        let plan = self.plan(shape.n, m, mask);
        let keys: Vec<(usize, usize)> = plan
            .iter()
            .map(|ranges| {
                let end = ranges.last().map_or(0, |range| range.end);
                (ranges.iter().map(Range::len).sum(), end)
            })
            .collect();
        Box::new(move |i| {
            let (keys, end) = keys[i / self.block];
            // Only the query's own block, the last one, may reach ahead of it.
            keys - end.saturating_sub(mask.visible(i, m))
        })
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one range is what is meant
mod tests {
    use super::*;
    use crate::rng::stream;

    fn bigbird(window: usize, global: usize, random: usize) -> BigBird {
        BigBird { block: 4, window, global, random, rng: stream(1, "bigbird") }
    }

    #[test]
    fn blocks_without_random_ones_are_window_and_global() {
        let plan = bigbird(3, 2, 0).plan(38, 38, Mask::Full);
        assert_eq!(plan.len(), 10);
        assert_eq!(plan[0], [0..38], "the first block is global");
        assert_eq!(plan[9], [0..38], "and the last, which is short");
        assert_eq!(plan[4], [0..4, 12..24, 36..38]);
        assert_eq!(bigbird(1, 0, 0).plan(38, 38, Mask::Full)[9], [36..38]);
        assert_eq!(
            bigbird(1, 3, 0).plan(38, 38, Mask::Full)[4],
            [0..8, 16..20, 36..38],
            "the first is ahead when odd"
        );
    }

    #[test]
    fn blocks_are_drawn_as_from_a_list_of_all_that_are_left() {
        for (n, m, window, global, random) in
            [(40, 40, 3, 2, 3), (37, 90, 5, 3, 4), (90, 37, 1, 0, 7), (16, 8, 3, 2, 2), (50, 50, 7, 1, 99)]
        {
            let bigbird = bigbird(window, global, random);
            let (rows, blocks) = (usize::div_ceil(n, 4), usize::div_ceil(m, 4));
            let mut rng = bigbird.rng.clone();
            for (row, ranges) in bigbird.plan(n, m, Mask::Full).into_iter().enumerate() {
                if bigbird.is_global(row, rows) {
                    continue;
                }
                let near = |b: usize| bigbird.is_global(b, blocks) || b.abs_diff(row) <= window / 2;
                let (mut seen, mut others): (Vec<usize>, Vec<usize>) = (0..blocks).partition(|b| near(*b));
                for _ in 0..random.min(others.len()) {
                    seen.push(others.swap_remove(below(&mut rng, others.len())));
                }
                let keys = seen.into_iter().map(|b| 4 * b..(4 * b + 4).min(m));
                assert_eq!(ranges, pattern::merged(keys.collect()), "{n} x {m}, row {row}");
            }
        }
    }

    #[test]
    fn causal_blocks_are_the_first_those_before_and_some_of_the_past() {
        let plan = bigbird(3, 2, 0).plan(38, 38, Mask::Causal);
        assert_eq!(plan[0], [0..4]);
        assert_eq!(plan[3], [0..16]);
        assert_eq!(plan[6], [0..8, 16..28]);
        assert_eq!(plan[9], [0..8, 28..38]);
        for (row, ranges) in bigbird(3, 1, 2).plan(60, 60, Mask::Causal).iter().enumerate() {
            let blocks = ranges.iter().map(Range::len).sum::<usize>() / 4;
            assert_eq!(blocks, (row + 1).min(6), "{ranges:?}");
            assert_eq!(ranges.last().map(|range| range.end), Some(4 * row + 4), "the own block");
        }
        let behind = bigbird(3, 1, 0).plan(40, 8, Mask::Causal);
        assert_eq!((&behind[3][..], &behind[9][..]), (&[0..8][..], &[0..4][..]), "after the last key");
    }

    #[test]
    fn what_millions_of_tokens_cost_is_known_at_once() {
        let n = 1 << 22;
        let cost = bigbird(3, 2, 3).cost(&Shape::square(n, 8));
        let global = 2 * 4 * n;
        let pairs = global + (n / 4 - 2) * 4 * 4 * 8;
        // Beside a global block the window sees one block less.
        assert_eq!(cost.exps as usize, pairs - 2 * 4 * 4);
    }

    #[test]
    fn random_blocks_are_further_ones_and_as_many_as_there_are() {
        let blocks = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).sum::<usize>() / 4;
        for (row, ranges) in
            bigbird(3, 2, 2).plan(40, 40, Mask::Full).iter().enumerate().filter(|(row, _)| row % 9 != 0)
        {
            // Beside the first and the last block the window takes in a global one.
            let certain = if row == 1 || row == 8 { 4 } else { 5 };
            assert_eq!(blocks(ranges), certain + 2, "row {row}: {ranges:?}");
        }
        assert!(bigbird(3, 2, 99).plan(40, 40, Mask::Full).iter().all(|ranges| ranges == &[0..40]));
        let plans: Vec<_> = (0..40)
            .map(|seed| {
                let rng = stream(seed, "bigbird");
                BigBird { rng, ..bigbird(1, 0, 1) }.plan(40, 40, Mask::Full)
            })
            .collect();
        for b in 1..10 {
            let drawn =
                plans.iter().filter(|plan| plan[0].iter().any(|keys| keys.contains(&(4 * b)))).count();
            assert!((1..=14).contains(&drawn), "block {b} was drawn {drawn} times of 40");
        }
    }
}
