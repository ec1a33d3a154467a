//! Sinkhorn attention (Tay et al. 2020, "Sparse Sinkhorn Attention"): each block of queries sees its own block of keys
//! and one that was sorted to it.
//!
//! `R` (blocks x blocks) is made doubly stochastic by Sinkhorn's iterations; the block of keys sorted to block a is
//! `sum_b R_ab K_b`, position by position, and its values likewise. Softmax runs over both blocks together.
//!
//! The paper's sort network is learned. Given heads have none: the logits of R are the scaled products of the mean
//! query of block a and the mean key of block b (`AttentionSortNet` of lucidrains/sinkhorn-transformer), without Gumbel
//! noise. The iterations end with the rows, so that the weights of a query sum to 1 (the published codes end with the
//! columns). The last block may be short: at the positions that it lacks, R is its softmax over the other blocks. The
//! Long Range Arena's code sums blocks and R apart, so that every sorted key is one sum of all blocks; not so here. The
//! matrix holds the weights of sorted keys carried back to the keys that they are made of.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};

use super::reference::work::Work;
use super::{Input, Kind, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "sinkhorn",
    about: "each block sees itself and a mixture of blocks, sorted to it by Sinkhorn's iterations",
    equation: "softmax(q_a [K_a; sum_b R_ab K_b]^T / sqrt(d_h)) [V_a; sum_b R_ab V_b], \
               R = Sinkhorn(mean q_a . mean k_b)",
    paper: "Tay et al. 2020 (Sparse Sinkhorn Attention)",
    takes: &[
        Param { name: "block", default: Some("16"), about: "tokens a block; the last may be short" },
        Param {
            name: "iterations",
            default: Some("5"),
            about: "of columns and rows; 0 is a softmax of rows alone",
        },
    ],
    full: Under::Honoured,
    causal: Under::Refused("local"),
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

struct Sinkhorn {
    block: usize,
    iterations: usize,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    Ok(Box::new(Sinkhorn {
        block: params.at_least("block", 1)?,
        iterations: params.within("iterations", 0, 1000)?,
    }))
}

/// Blocks of `block` rows out of n; the last may be short.
fn blocks(n: usize, block: usize) -> Vec<Range<usize>> {
    (0..n).step_by(block).map(|start| start..(start + block).min(n)).collect()
}

/// log sum e^x, of numbers of any finite size.
fn log_sum_exp(x: ndarray::ArrayView1<'_, f64>) -> f64 {
    let max = x.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
    max + x.mapv(|x| (x - max).exp()).sum().ln()
}

/// Which blocks a sorted block is made of: R for the positions that every block has, and for the others.
struct Mix {
    blocks: Vec<Range<usize>>,
    /// Positions that the last block has.
    short: usize,
    /// Positions of a sorted block.
    width: usize,
    /// R, shape (blocks, blocks).
    all: Array2<f32>,
    /// R without the last block, shape (blocks, blocks - 1), if that is short.
    whole: Option<Array2<f32>>,
}

impl Mix {
    /// The rows sorted to each block: one array (blocks, d) a position.
    fn sorted(&self, x: ArrayView2<'_, f32>, work: &mut Work) -> Vec<Array2<f32>> {
        (0..self.width)
            .map(|t| {
                let weights = self.at(t);
                let rows: Vec<usize> =
                    self.blocks.iter().take(weights.ncols()).map(|b| b.start + t).collect();
                work.product(weights, x.select(Axis(0), &rows).view())
            })
            .collect()
    }

    /// The weights of blocks at position t.
    fn at(&self, t: usize) -> ArrayView2<'_, f32> {
        self.whole.as_ref().filter(|_| t >= self.short).unwrap_or(&self.all).view()
    }
}

/// Row `a` of each position's array, after the rows of the block itself.
fn with_own(own: ArrayView2<'_, f32>, sorted: &[Array2<f32>], a: usize) -> Array2<f32> {
    let mut both = Array2::zeros((own.nrows() + sorted.len(), own.ncols()));
    both.slice_mut(s![..own.nrows(), ..]).assign(&own);
    for (mut row, sorted) in both.rows_mut().into_iter().skip(own.nrows()).zip(sorted) {
        row.assign(&sorted.row(a));
    }
    both
}

impl Sinkhorn {
    fn mix(&self, input: &Input<'_>, work: &mut Work) -> Result<Mix> {
        let (n, m) = (input.q.nrows(), input.k.nrows());
        if n != m {
            return Err(Error::Shape {
                what: "keys of attention 'sinkhorn'".into(),
                found: input.k.shape().to_vec(),
                expected: format!("as many as queries, {n}: it is self-attention"),
            });
        }
        let blocks = blocks(n, self.block);
        let means = |x: ArrayView2<'_, f32>| {
            let mean = |b: &Range<usize>| x.slice(s![b.clone(), ..]).sum_axis(Axis(0)) / b.len() as f32;
            let means: Vec<Array1<f32>> = blocks.iter().map(mean).collect();
            let means: Vec<_> = means.iter().map(|mean| mean.view().insert_axis(Axis(0))).collect();
            concatenate(Axis(0), &means).expect("rows of one width")
        };
        let logits = work.scaled(means(input.q).view(), means(input.k).t(), input.scale);
        let log_r = self.normalised(logits.mapv(f64::from), work);
        let (short, width) = (blocks.last().map_or(0, Range::len), blocks[0].len());
        let whole = log_r.slice(s![.., ..blocks.len() - 1]).to_owned();
        let whole = (short < width).then(|| work.softmax(whole));
        Ok(Mix { short, width, all: work.softmax(log_r), whole, blocks })
    }

    /// log R before its last softmax over rows: columns and rows in turn.
    fn normalised(&self, mut log_r: Array2<f64>, work: &mut Work) -> Array2<f32> {
        for _ in 0..self.iterations {
            work.count(Cost::exps(2 * log_r.len()));
            log_r.columns_mut().into_iter().for_each(|mut column| column -= log_sum_exp(column.view()));
            log_r.rows_mut().into_iter().for_each(|mut row| row -= log_sum_exp(row.view()));
        }
        log_r.mapv(|x| x as f32)
    }
}

/// Each block's weights (its queries, its own keys and the sorted ones).
fn weights(input: &Input<'_>, mix: &Mix, work: &mut Work) -> Vec<Array2<f32>> {
    let sorted = mix.sorted(input.k, work);
    let of_block = |(a, block): (usize, &Range<usize>)| {
        let keys = with_own(input.k.slice(s![block.clone(), ..]), &sorted, a);
        let logits = work.scaled(input.q.slice(s![block.clone(), ..]), keys.t(), input.scale);
        work.softmax(logits)
    };
    mix.blocks.iter().enumerate().map(of_block).collect()
}

impl Mechanism for Sinkhorn {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let mix = self.mix(input, work)?;
        let weights = weights(input, &mix, work);
        let sorted = mix.sorted(v, work);
        let mut out = Array2::zeros((input.q.nrows(), v.ncols()));
        for (a, (block, weights)) in mix.blocks.iter().zip(weights).enumerate() {
            let values = with_own(v.slice(s![block.clone(), ..]), &sorted, a);
            out.slice_mut(s![block.clone(), ..]).assign(&work.product(weights.view(), values.view()));
        }
        Ok(out)
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let mut work = Work::default();
        let mix = self.mix(input, &mut work)?;
        let mut matrix = Array2::zeros((input.q.nrows(), input.k.nrows()));
        for (a, (block, weights)) in mix.blocks.iter().zip(weights(input, &mix, &mut work)).enumerate() {
            let (own, sorted) = weights.view().split_at(Axis(1), block.len());
            matrix.slice_mut(s![block.clone(), block.clone()]).assign(&own);
            for (t, weight) in sorted.columns().into_iter().enumerate() {
                for (other, share) in mix.blocks.iter().zip(mix.at(t).row(a)) {
                    matrix.slice_mut(s![block.clone(), other.start + t]).scaled_add(*share, &weight);
                }
            }
        }
        Ok(matrix)
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, d_h, d_v, .. } = *shape;
        let width = self.block.min(n);
        let (count, rest) = (n.div_ceil(width), n % width);
        let (short, lacking) = if rest == 0 { (width, 0) } else { (rest, width - rest) };
        let mut r = Cost::product(count, d_h, count)
            + Cost::exps(2 * count * count) * self.iterations
            + Cost::softmax(count, count * count);
        if lacking > 0 {
            r += Cost::softmax(count, count * (count - 1));
        }
        let sorting = Cost::product(count, count, short * (d_h + d_v))
            + Cost::product(count, count - 1, lacking * (d_h + d_v));
        // Each query before its own block and a sorted one.
        let own = n / width * width * width + rest * rest;
        let pairs = own + n * width;
        r + sorting + Cost::product(pairs, d_h + d_v, 1) + Cost::softmax(n, pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Mask;
    use crate::rng::{normal, stream};

    fn mix(n: usize, iterations: usize) -> Mix {
        let mut rng = stream(8, "sinkhorn");
        let (q, k) = (normal(&mut rng, n, 4) * 3.0, normal(&mut rng, n, 4) * 3.0);
        let input = Input::new(q.view(), k.view(), Mask::Full);
        Sinkhorn { block: 4, iterations }.mix(&input, &mut Work::default()).unwrap()
    }

    #[test]
    fn iterations_make_r_doubly_stochastic() {
        let uneven = |r: &Array2<f32>| (r.sum_axis(Axis(0)) - 1.0).fold(0.0_f32, |far, x| far.max(x.abs()));
        let rows = |r: &Array2<f32>| (r.sum_axis(Axis(1)) - 1.0).fold(0.0_f32, |far, x| far.max(x.abs()));
        let (none, many) = (mix(20, 0).all, mix(20, 100).all);
        assert!(rows(&none) < 1e-6 && rows(&many) < 1e-6);
        assert!(uneven(&none) > 0.1, "{}", uneven(&none));
        assert!(uneven(&many) < 1e-3, "{}", uneven(&many));
    }

    #[test]
    fn a_short_last_block_lends_only_the_positions_it_has() {
        let mix = mix(22, 5);
        assert_eq!((mix.short, mix.width), (2, 4));
        assert_eq!((mix.at(1).dim(), mix.at(2).dim()), ((6, 6), (6, 5)));
        let (all, whole) = (mix.at(1), mix.at(2));
        for (all, whole) in all.rows().into_iter().zip(whole.rows()) {
            let share = 1.0 - all[5];
            let off = (&all.slice(s![..5]) / share - whole).fold(0.0_f32, |far, x| far.max(x.abs()));
            assert!(off < 1e-5, "{off}");
        }
    }

    #[test]
    fn one_block_is_softmax() {
        let mut rng = stream(9, "sinkhorn");
        let (q, k) = (normal(&mut rng, 10, 4), normal(&mut rng, 10, 4));
        let input = Input::new(q.view(), k.view(), Mask::Full);
        let found = Sinkhorn { block: 16, iterations: 5 }.matrix(&input).unwrap();
        let exact = crate::attention::softmax::matrix(q.view(), k.view(), input.scale, Mask::Full);
        let off = (&found - &exact).fold(0.0_f32, |far, x| far.max(x.abs()));
        assert!(off < 1e-6, "{off}");
    }
}
