//! The backward pass of a block of queries against a block of keys that stay in cache.
//!
//! Keys lie along the vectors: they are kept as rows and transposed, queries are read where they are, a number at a
//! time.

use super::flash::transpose;
use super::pass::{Pass, Upstream, gather, heads, split_segments};
use super::segments;
use super::share::{carve, in_parallel, whole_lines};
use super::tiles::{Last, LogitGradients, Set, Weights, outer, product};
use crate::linalg::lanes::Path;

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// Queries of a block.
pub(in crate::attention) const ROWS: usize = 48;

/// Numbers that a block takes against `count` keys.
pub(in crate::attention) const fn space(count: usize, d_h: usize, d_v: usize) -> usize {
    (d_h + d_v + 2 * ROWS) * whole_lines(count)
}

/// Keys that stay in cache.
pub(in crate::attention) struct Keys<'a> {
    k: &'a [f32],
    /// Transposed, (`d_h` and `d_v`, whole cache lines).
    k_transposed: &'a [f32],
    v_transposed: &'a [f32],
    count: usize,
}

/// Drops from rows of numbers of a distance.
type DropRows<'a> = &'a dyn Fn(&mut [f32], usize);

/// Queries, and what is known of each.
pub(in crate::attention) struct Queries<'a> {
    pub(in crate::attention) q: &'a [f32],
    pub(in crate::attention) d_out: &'a [f32],
    /// Logarithms (to base 2) of the sums of exponentials.
    pub(in crate::attention) logs: &'a [f32],
    /// `d_out . out`.
    pub(in crate::attention) means: &'a [f32],
    /// Drops from rows of weights (of a distance), if anything is dropped.
    pub(in crate::attention) drop: Option<DropRows<'a>>,
}

/// Where the gradients of a block go.
pub(in crate::attention) struct Into<'a> {
    pub(in crate::attention) dq: &'a mut [f32],
    pub(in crate::attention) dk: &'a mut [f32],
    pub(in crate::attention) dv: &'a mut [f32],
}

/// What the products of a block share.
#[derive(Clone, Copy)]
pub(in crate::attention) struct Frame {
    pub(in crate::attention) d_h: usize,
    pub(in crate::attention) d_v: usize,
    pub(in crate::attention) scale: f32,
    pub(in crate::attention) path: Path,
}

impl Frame {
    pub(in crate::attention) fn of(pass: &Pass<'_>) -> Self {
        Self { d_h: pass.d_h, d_v: pass.d_v, scale: pass.scale, path: pass.path }
    }

    /// Lays keys and values out in a work space of `space(count ..)` numbers; the rest of it is for
    /// [`backward`](Self::backward).
    pub(in crate::attention) fn keys<'a>(
        &self,
        k: &'a [f32],
        v: &[f32],
        mut space: &'a mut [f32],
    ) -> (Keys<'a>, &'a mut [f32]) {
        let (d_h, d_v) = (self.d_h, self.d_v);
        let count = k.len() / d_h;
        let wide = whole_lines(count);
        let (k_transposed, v_transposed) = (carve(&mut space, d_h * wide), carve(&mut space, d_v * wide));
        transpose((k, d_h), (k_transposed, wide), (count, d_h), |_| 1.0);
        transpose((v, d_v), (v_transposed, wide), (count, d_v), |_| 1.0);
        (Keys { k, k_transposed, v_transposed, count }, space)
    }

    /// The gradients that a block of up to [`ROWS`] queries and the keys give each other: those of keys and values are
    /// added, those of queries set or added, as `last` says. `hide` makes the weights of hidden pairs zeros.
    pub(in crate::attention) fn backward<E: Last>(
        &self,
        keys: &Keys<'_>,
        queries: &Queries<'_>,
        into: Into<'_>,
        mut space: &mut [f32],
        hide: impl FnOnce(&mut [f32], usize),
        last_of_dq: E,
    ) {
        let Self { d_h, d_v, scale, path } = *self;
        let (rows, count, wide) = (queries.logs.len(), keys.count, whole_lines(keys.count));
        let space = &mut space;
        let weights = carve(space, ROWS * wide);
        let d_logits = carve(space, ROWS * wide);
        let last = Weights { logs: queries.logs, factor: scale * LOG2_E };
        product(path, (rows, d_h, wide), (queries.q, d_h), (keys.k_transposed, wide), (weights, wide), last);
        hide(weights, wide);
        let d_weights = ((queries.d_out, d_v), (keys.v_transposed, wide));
        if let Some(drop) = queries.drop {
            product(path, (rows, d_v, wide), d_weights.0, d_weights.1, (&mut *d_logits, wide), Set);
            drop(d_logits, wide);
            let both = d_logits.chunks_exact_mut(wide).zip(weights.chunks_exact(wide));
            for ((slopes, weights), mean) in both.zip(queries.means) {
                for (slope, weight) in slopes.iter_mut().zip(weights) {
                    *slope = scale * weight * (*slope - mean);
                }
            }
            drop(weights, wide);
        } else {
            let last = LogitGradients { weights: (weights, wide), means: queries.means, scale };
            product(path, (rows, d_v, wide), d_weights.0, d_weights.1, (&mut *d_logits, wide), last);
        }
        outer(path, (rows, count, d_v), (weights, wide), (queries.d_out, d_v), (into.dv, d_v));
        outer(path, (rows, count, d_h), (d_logits, wide), (queries.q, d_h), (into.dk, d_h));
        product(path, (rows, count, d_h), (d_logits, wide), (keys.k, d_h), (into.dq, d_h), last_of_dq);
    }
}

/// Elements of what [`backward`] finds for few keys and values: a piece a head and a segment of its queries.
pub(in crate::attention) fn found(heads: usize, n: usize, l: usize, d_h: usize, d_v: usize) -> usize {
    heads * segments::count(heads, n) * l * (d_h + d_v)
}

/// Workers that [`backward`] has work for.
pub(in crate::attention) fn back_workers(threads: usize, heads: usize, n: usize) -> usize {
    threads.min(heads * segments::count(heads, n))
}

/// What few keys and values got from the upstream gradient of every query, and queries from them.
pub(in crate::attention) struct Back<'a> {
    pub(in crate::attention) pass: &'a Pass<'a>,
    pub(in crate::attention) upstream: &'a Upstream<'a>,
    pub(in crate::attention) l: usize,
    /// Rows of keys and then of values, a piece a head.
    pub(in crate::attention) packs: &'a [f32],
    /// The logarithms of the sums of weights, (h, n).
    pub(in crate::attention) logs: &'a [f32],
    /// `d_out . out`, (h, n).
    pub(in crate::attention) means: &'a [f32],
}

/// Writes the gradients of queries to `dq`; those of keys and then of values of a head stand in the first of its pieces of
/// `found`. `spaces` are of [`space`] each.
pub(in crate::attention) fn backward(back: &Back<'_>, dq: &mut [f32], found: &mut [f32], spaces: &mut [f32]) {
    let Back { pass, upstream, l, .. } = *back;
    let Pass { h, n, d_h, d_v, .. } = *pass;
    let frame = Frame::of(pass);
    let count = segments::count(h, n);
    let piece = l * (d_h + d_v);
    let tasks = heads(dq, pass.lengths.0, d_h, n).flat_map(|dq| split_segments(dq, count, d_h));
    let tasks = tasks.zip(found.chunks_exact_mut(piece)).enumerate();
    in_parallel(tasks, spaces, space(l, d_h, d_v), |(task, (dq, found)), space| {
        let (head, segment) = (task / count, segments::keys(task % count, count, n));
        let (k, v) = back.packs[head * piece..][..piece].split_at(l * d_h);
        let (keys, space) = frame.keys(k, v, space);
        found.fill(0.0);
        let (dk, dv) = found.split_at_mut(l * d_h);
        for first in segment.clone().step_by(ROWS) {
            let rows = first..(first + ROWS).min(segment.end);
            let queries = Queries {
                q: &pass.q(head)[rows.start * d_h..rows.end * d_h],
                d_out: &upstream.d_out.head(head, n)[rows.start * d_v..rows.end * d_v],
                logs: &back.logs[head * n..][rows.clone()],
                means: &back.means[head * n..][rows.clone()],
                drop: None,
            };
            let dq = &mut dq[(first - segment.start) * d_h..][..rows.len() * d_h];
            frame.backward(&keys, &queries, Into { dq, dk, dv }, space, |_, _| (), Set);
            pass.count(rows.len() * l, [3, 2, 0]);
        }
    });
    in_parallel(found.chunks_exact_mut(piece * count), &mut [0.0; 1], 1, |pieces, _| gather(pieces, piece));
}
