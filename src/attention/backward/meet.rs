//! A block of queries against a block of keys that stay in cache, backwards; and forwards against all the keys that
//! there are, where they are few.
//!
//! Keys lie along the vectors: they are kept as rows and transposed, queries are read where they are, a number at a
//! time.

use super::Upstream;
use super::pass::{Pass, cut_segments, gather, heads};
use super::tiles::{Last, Set, Slopes, Softmax, Weights, outer, product};
use crate::attention::fused::flash::transpose;
use crate::attention::fused::segments;
use crate::attention::fused::share::{among, cut, lines};
use crate::linalg::lanes::Path;

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// Queries of a block.
pub(super) const ROWS: usize = 48;

/// Numbers that a block takes against `count` keys.
pub(super) const fn space(count: usize, d_h: usize, d_v: usize) -> usize {
    (d_h + d_v + 2 * ROWS) * lines(count)
}

/// Keys that stay in cache.
pub(super) struct Keys<'a> {
    k: &'a [f32],
    /// Transposed, (`d_h` and `d_v`, whole cache lines).
    k_turned: &'a [f32],
    v_turned: &'a [f32],
    count: usize,
}

/// Queries, and what is known of each.
pub(super) struct Queries<'a> {
    pub(super) q: &'a [f32],
    pub(super) d_out: &'a [f32],
    /// Logarithms (to base 2) of the sums of exponentials.
    pub(super) logs: &'a [f32],
    /// `d_out . out`.
    pub(super) means: &'a [f32],
}

/// Where the gradients of a block go.
pub(super) struct Into<'a> {
    pub(super) dq: &'a mut [f32],
    pub(super) dk: &'a mut [f32],
    pub(super) dv: &'a mut [f32],
}

/// What the products of a block share.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) d_h: usize,
    pub(super) d_v: usize,
    pub(super) scale: f32,
    pub(super) path: Path,
}

impl Frame {
    pub(super) fn of(pass: &Pass<'_>) -> Self {
        Self { d_h: pass.d_h, d_v: pass.d_v, scale: pass.scale, path: pass.path }
    }

    /// Lays keys and values out in a work space of `space(count ..)` numbers; the rest of it is for
    /// [`backward`](Self::backward).
    pub(super) fn keys<'a>(
        &self,
        k: &'a [f32],
        v: &[f32],
        mut space: &'a mut [f32],
    ) -> (Keys<'a>, &'a mut [f32]) {
        let (d_h, d_v) = (self.d_h, self.d_v);
        let count = k.len() / d_h;
        let wide = lines(count);
        let (k_turned, v_turned) = (cut(&mut space, d_h * wide), cut(&mut space, d_v * wide));
        transpose((k, d_h), (k_turned, wide), (count, d_h), |_| 1.0);
        transpose((v, d_v), (v_turned, wide), (count, d_v), |_| 1.0);
        (Keys { k, k_turned, v_turned, count }, space)
    }

    /// The gradients that a block of up to [`ROWS`] queries and the keys give each other: those of keys and values are
    /// added, those of queries set or added, as `last` says. `hide` makes the weights of hidden pairs zeros.
    pub(super) fn backward<E: Last>(
        &self,
        keys: &Keys<'_>,
        queries: &Queries<'_>,
        into: Into<'_>,
        mut space: &mut [f32],
        hide: impl FnOnce(&mut [f32], usize),
        last_of_dq: E,
    ) {
        let Self { d_h, d_v, scale, path } = *self;
        let (rows, count, wide) = (queries.logs.len(), keys.count, lines(keys.count));
        let space = &mut space;
        let weights = cut(space, ROWS * wide);
        let slopes = cut(space, ROWS * wide);
        let last = Weights { logs: queries.logs, factor: scale * LOG2_E };
        product(path, (rows, d_h, wide), (queries.q, d_h), (keys.k_turned, wide), (weights, wide), last);
        hide(weights, wide);
        outer(path, (rows, count, d_v), (weights, wide), (queries.d_out, d_v), (into.dv, d_v));
        let last = Slopes { weights: (weights, wide), means: queries.means, scale };
        product(path, (rows, d_v, wide), (queries.d_out, d_v), (keys.v_turned, wide), (slopes, wide), last);
        outer(path, (rows, count, d_h), (slopes, wide), (queries.q, d_h), (into.dk, d_h));
        product(path, (rows, count, d_h), (slopes, wide), (keys.k, d_h), (into.dq, d_h), last_of_dq);
    }
}

/// Numbers of work space of one worker of [`forward`].
pub(super) const fn forward_space(l: usize) -> usize {
    ROWS * lines(l)
}

/// Workers that [`forward`] has work for.
pub(super) fn workers(threads: usize, heads: usize, n: usize) -> usize {
    threads.min(heads * n.div_ceil(ROWS))
}

/// The output of every query against few keys, and the logarithms of the sums of weights.
///
/// `packs` holds, a piece of `(d_h + d_v) l` numbers a head, rows of keys and then of values; `turned` keys of each head,
/// (`d_h`, l in whole cache lines).
pub(super) fn forward(
    pass: &Pass<'_>,
    l: usize,
    (packs, turned): (&[f32], &[f32]),
    logs: &mut [f32],
    out: &mut [f32],
    spaces: &mut [f32],
) {
    let Pass { n, d_h, d_v, path, .. } = *pass;
    let wide = lines(l);
    let blocks = heads(out, pass.lengths.0, d_v, n).zip(logs.chunks_exact_mut(n)).enumerate();
    let blocks = blocks.flat_map(|(head, (out, logs))| {
        let blocks = out.chunks_mut(ROWS * d_v).zip(logs.chunks_mut(ROWS)).enumerate();
        blocks.map(move |(block, (out, logs))| (head, block * ROWS, out, logs))
    });
    let factor = pass.scale * LOG2_E;
    among(blocks, spaces, forward_space(l), |(head, first, out, logs), weights| {
        let rows = logs.len();
        let q = &pass.q(head)[first * d_h..][..rows * d_h];
        let turned = &turned[head * d_h * wide..][..d_h * wide];
        let values = &packs[head * l * (d_h + d_v)..][l * d_h..l * (d_h + d_v)];
        let weights = &mut weights[..rows * wide];
        product(path, (rows, d_h, wide), (q, d_h), (turned, wide), (weights, wide), Set);
        path.run(Softmax { rows: weights, width: wide, count: l, factor, logs });
        product(path, (rows, l, d_v), (weights, wide), (values, d_v), (out, d_v), Set);
        pass.count(rows * l, [1, 1, 0]);
    });
}

/// Numbers of what [`backward`] finds for few keys and values: a piece a head and a segment of its queries.
pub(super) fn found(heads: usize, n: usize, l: usize, d_h: usize, d_v: usize) -> usize {
    heads * segments::count(heads, n) * l * (d_h + d_v)
}

/// Workers that [`backward`] has work for.
pub(super) fn back_workers(threads: usize, heads: usize, n: usize) -> usize {
    threads.min(heads * segments::count(heads, n))
}

/// What few keys and values got from the upstream gradient of every query, and queries from them.
pub(super) struct Back<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) upstream: &'a Upstream<'a>,
    pub(super) l: usize,
    /// Rows of keys and then of values, a piece a head.
    pub(super) packs: &'a [f32],
    /// The logarithms of the sums of weights, (h, n).
    pub(super) logs: &'a [f32],
    /// `d_out . out`, (h, n).
    pub(super) means: &'a [f32],
}

/// Writes the gradients of queries to `dq`; those of keys and then of values of a head stand in the first of its pieces of
/// `found`. `spaces` are of [`space`] each.
pub(super) fn backward(back: &Back<'_>, dq: &mut [f32], found: &mut [f32], spaces: &mut [f32]) {
    let Back { pass, upstream, l, .. } = *back;
    let Pass { h, n, d_h, d_v, .. } = *pass;
    let frame = Frame::of(pass);
    let count = segments::count(h, n);
    let piece = l * (d_h + d_v);
    let tasks = heads(dq, pass.lengths.0, d_h, n).flat_map(|dq| cut_segments(dq, count, d_h));
    let tasks = tasks.zip(found.chunks_exact_mut(piece)).enumerate();
    among(tasks, spaces, space(l, d_h, d_v), |(task, (dq, found)), space| {
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
            };
            let dq = &mut dq[(first - segment.start) * d_h..][..rows.len() * d_h];
            frame.backward(&keys, &queries, Into { dq, dk, dv }, space, |_, _| (), Set);
            pass.count(rows.len() * l, [3, 2, 0]);
        }
    });
    among(found.chunks_exact_mut(piece * count), &mut [0.0; 1], 1, |pieces, _| gather(pieces, piece));
}
