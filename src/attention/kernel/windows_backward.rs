//! The backward pass of softmax over ranges of keys: exact attention and sliding windows (Dao et al. 2022, algorithm 4).
//!
//! Queries and keys of a head are cut into as many segments each. In stage s the i-th segment of keys meets the (i + s)-th
//! of queries, all of them at once: no two add to the same gradients, and every gradient is added to in one order.

use std::ops::Range;

use super::flat::Size;
use super::meet::{self, Frame, Into, Queries, ROWS};
use super::pass::{self, Pass, Raw, Upstream, heads, split_segments};
use super::saved::Saved;
use super::segments;
use super::share::{carve, in_parallel, whole_lines};
use super::tiles::Add;
use crate::cost::{Cost, Shape};

/// Operations of one head, forward and backward, of so many pairs of a query and a key that it sees.
pub(in crate::attention) fn cost(shape: &Shape, pairs: usize) -> [Cost; 2] {
    let Shape { n, d_h, d_v, .. } = *shape;
    let weights = Cost::product(pairs, d_h, 1);
    let forward = weights + Cost::softmax(n, pairs) + Cost::product(pairs, d_v, 1);
    let backward = weights + Cost::exps(pairs) + Cost::product(n, d_v, 1);
    [forward, backward + Cost::product(pairs, 2 * d_h + 2 * d_v, 1)]
}

/// Keys of a block.
const BLOCK: usize = 64;

/// What the segments of all heads are at least.
const MIN_SEGMENTS: usize = 16;
/// Queries or keys that are not worth cutting: a block of keys is laid out anew for every segment of queries.
const SHORT: usize = 256;

/// How many segments the queries and the keys of each head are cut into.
fn count(heads: usize, n: usize, m: usize) -> usize {
    MIN_SEGMENTS.div_ceil(heads).min(n.min(m).div_ceil(SHORT)).max(1)
}

/// Elements of work space.
pub(in crate::attention) fn space(size: &Size) -> usize {
    let Size { shape: Shape { n, m, d_h, d_v, .. }, heads, threads } = *size;
    let workers = threads.min(heads * count(heads, n, m));
    whole_lines(heads * n) + workers * meet::space(BLOCK, d_h, d_v)
}

/// Gradients of softmax where query i sees the keys `sees(i)`, whose ends never fall from one query to the next.
pub(in crate::attention) fn backward(
    pass: &Pass<'_>,
    saved: &Saved,
    upstream: &Upstream<'_>,
    raw: Raw<'_>,
    mut space: &mut [f32],
    sees: &(dyn Fn(usize) -> Range<usize> + Sync),
) {
    let Pass { h, n, m, d_h, d_v, lengths, .. } = *pass;
    let space = &mut space;
    let means = carve(space, h * n);
    pass::means(pass, upstream, means);
    let count = count(h, n, m);
    let each = meet::space(BLOCK, d_h, d_v);
    for stage in 0..count {
        let of_heads = heads(raw.q, lengths.0, d_h, n)
            .zip(heads(raw.k, lengths.1, d_h, m).zip(heads(raw.v, lengths.1, d_v, m)));
        let tasks = of_heads.enumerate().flat_map(|(head, (dq, (dk, dv)))| {
            let mut dq: Vec<_> = split_segments(dq, count, d_h).collect();
            dq.rotate_left(stage);
            let of_keys = split_segments(dk, count, d_h).zip(split_segments(dv, count, d_v));
            let tasks = dq.into_iter().zip(of_keys).enumerate();
            tasks.map(move |(i, (dq, (dk, dv)))| (head, i, Into { dq, dk, dv })).collect::<Vec<_>>()
        });
        in_parallel(tasks, space, each, |(head, i, into), space| {
            let keys = segments::keys(i, count, m);
            let queries = segments::keys((i + stage) % count, count, n);
            let of_head = Queries {
                q: pass.q(head),
                d_out: upstream.d_out.head(head, n),
                logs: &saved.rows[head * n..][..n],
                means: &means[head * n..][..n],
                drop: None,
            };
            if stage == 0 {
                // Every segment of queries and of keys is in one task of a stage.
                for x in [&mut *into.dq, &mut *into.dk, &mut *into.dv] {
                    x.fill(0.0);
                }
            }
            let task = Task { pass, head, sees, of_head };
            for (block, (dk, dv)) in
                into.dk.chunks_mut(BLOCK * d_h).zip(into.dv.chunks_mut(BLOCK * d_v)).enumerate()
            {
                let first = keys.start + block * BLOCK;
                let keys = first..(first + BLOCK).min(keys.end);
                task.block(keys, queries.clone(), Into { dq: &mut *into.dq, dk, dv }, space);
            }
        });
    }
}

/// One head, in which segments meet.
struct Task<'a> {
    pass: &'a Pass<'a>,
    head: usize,
    sees: &'a (dyn Fn(usize) -> Range<usize> + Sync),
    of_head: Queries<'a>,
}

impl Task<'_> {
    /// A block of keys against a segment of queries.
    fn block(&self, keys: Range<usize>, queries: Range<usize>, into: Into<'_>, space: &mut [f32]) {
        let Pass { d_h, d_v, .. } = *self.pass;
        let frame = Frame::of(self.pass);
        let Into { dq, dk, dv } = into;
        let meets = |i: usize| {
            let sees = (self.sees)(i);
            sees.start.max(keys.start) < sees.end.min(keys.end)
        };
        // The ends of what queries see never fall: those that see any key of the block lie together.
        let Some(first) = queries.clone().find(|i| meets(*i)) else { return };
        let last = queries.clone().rev().find(|i| meets(*i)).unwrap_or(first);
        let k = &self.pass.k(self.head)[keys.start * d_h..keys.end * d_h];
        let v = &self.pass.v(self.head)[keys.start * d_v..keys.end * d_v];
        let (laid, space) = frame.keys(k, v, space);
        for first in (first..=last).step_by(ROWS) {
            let rows = first..(first + ROWS).min(last + 1);
            let drop = |weights: &mut [f32], wide: usize| {
                let first = self.head * self.pass.n + rows.start;
                self.pass.dropout.rows(first, keys.start, (&mut weights[..rows.len() * wide], wide));
            };
            let of_rows = Queries {
                q: &self.of_head.q[rows.start * d_h..rows.end * d_h],
                d_out: &self.of_head.d_out[rows.start * d_v..rows.end * d_v],
                logs: &self.of_head.logs[rows.clone()],
                means: &self.of_head.means[rows.clone()],
                drop: if self.pass.dropout.is_off() { None } else { Some(&drop) },
            };
            let dq = &mut dq[(rows.start - queries.start) * d_h..(rows.end - queries.start) * d_h];
            let into = Into { dq, dk: &mut *dk, dv: &mut *dv };
            let hide = |weights: &mut [f32], wide: usize| {
                let (of_first, of_last) = ((self.sees)(rows.start), (self.sees)(rows.end - 1));
                if of_last.start <= keys.start && keys.end <= of_first.end {
                    return;
                }
                for (i, row) in rows.clone().zip(weights.chunks_exact_mut(wide)) {
                    let sees = (self.sees)(i);
                    let [from, to] =
                        [sees.start, sees.end].map(|at| at.clamp(keys.start, keys.end) - keys.start);
                    row[..from].fill(0.0);
                    row[to.max(from)..].fill(0.0);
                }
            };
            frame.backward(&laid, &of_rows, into, space, hide, Add);
            self.pass.count_pairs([3, 2], || {
                let open = rows.map(|i| {
                    let sees = (self.sees)(i);
                    sees.end.min(keys.end).saturating_sub(sees.start.max(keys.start))
                });
                open.sum()
            });
        }
    }
}
