//! Causal Luna from weights on, in chunks: forward and backward over (q, k, w, v).
//!
//! With running sums `K_t = sum_{j<=t} k_j^T w_j` (`d_h`, l) and `V_t = sum_{j<=t} w_j^T v_j` (l, `d_v`):
//! ```text
//! A_t  = softmax(s q_t K_t / t)             out_t = A_t V_t / t
//! dS_t = A_t * (G_t V_t^T / t - D_t)        D_t   = G_t . out_t
//! g_t  = s dS_t / t     a_t = A_t / t
//! dq_t = g_t K_t^T
//! ```
//! and with sums over what comes later, `X_j = sum_{t>=j} q_t^T g_t` (`d_h`, l) and `Y_j = sum_{t>=j} G_t^T a_t`
//! (`d_v`, l):
//! ```text
//! dw_j = k_j X_j + v_j Y_j     dk_j = w_j X_j^T     dv_j = w_j Y_j^T
//! ```
//! Tokens are cut into segments, whose sums are taken first; inside a segment the sums run on a chunk at a time, and what
//! is inside a chunk meets under a triangular mask. `g` and `a` (n, l) stay from one sweep to the other.

use std::ops::Range;

use super::size::{self, each};
use crate::attention::kernel::chunk::{CHUNK, chunks, running, split_front, triangle};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::pass::{self, Pass, Upstream, heads, split_segments};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{carve, in_parallel, whole_lines};
use crate::attention::kernel::tiles::{Add, Set, Shares, Softmax, outer, product};

/// Causal Luna over many heads, with the weights of their keys.
pub(in crate::attention) struct Weighted<'a> {
    pass: &'a Pass<'a>,
    /// Weights, heads of so many rows of l numbers in whole cache lines, with zeros after them.
    w: &'a [f32],
    length: usize,
    l: usize,
    wide: usize,
    count: usize,
}

/// Where the gradients go; rows of `w` are as those that were given.
pub(in crate::attention) struct Into<'a> {
    pub(in crate::attention) q: &'a mut [f32],
    pub(in crate::attention) k: &'a mut [f32],
    pub(in crate::attention) w: &'a mut [f32],
    pub(in crate::attention) v: &'a mut [f32],
}

/// The work space of one worker.
struct Workspace<'a> {
    met: &'a mut [f32],
    d_met: &'a mut [f32],
    shares_met: &'a mut [f32],
    k_transposed: &'a mut [f32],
    v_transposed: &'a mut [f32],
    w_transposed: &'a mut [f32],
    shares: &'a mut [f32],
    d_logits: &'a mut [f32],
    keys: &'a mut [f32],
    values: &'a mut [f32],
    keys_transposed: &'a mut [f32],
    values_transposed: &'a mut [f32],
}

/// What the backward pass reads beside the inputs.
struct Back<'a> {
    upstream: &'a Upstream<'a>,
    logs: &'a [f32],
    means: &'a [f32],
}

impl<'a> Weighted<'a> {
    pub(in crate::attention) fn new(pass: &'a Pass<'a>, w: &'a [f32], length: usize, l: usize) -> Self {
        Self { pass, w, length, l, wide: whole_lines(l), count: segments::count(pass.h, pass.n) }
    }

    fn own<'s>(&self, mut space: &'s mut [f32]) -> Workspace<'s> {
        let (d_h, d_v, wide) = (self.pass.d_h, self.pass.d_v, self.wide);
        let mut carve = |len| carve(&mut space, len);
        Workspace {
            met: carve(CHUNK * CHUNK),
            d_met: carve(CHUNK * CHUNK),
            shares_met: carve(CHUNK * CHUNK),
            k_transposed: carve(d_h * CHUNK),
            v_transposed: carve(d_v * CHUNK),
            w_transposed: carve(wide * CHUNK),
            shares: carve(CHUNK * wide),
            d_logits: carve(CHUNK * wide),
            keys: carve(d_h * wide),
            values: carve(wide * d_v),
            keys_transposed: carve(wide * d_h),
            values_transposed: carve(d_v * wide),
        }
    }

    fn w(&self, head: usize) -> &'a [f32] {
        &self.w[head * self.length * self.wide..][..self.pass.m * self.wide]
    }

    /// Keys at the places of queries.
    fn keys_of(&self, queries: &Range<usize>) -> Range<usize> {
        queries.start.min(self.pass.m)..queries.end.min(self.pass.m)
    }

    /// How much a query's means are of the sums.
    fn mean(&self, query: usize) -> f32 {
        1.0 / self.pass.mask.visible(query, self.pass.m) as f32
    }

    /// Keys, weights and values of a range.
    fn rows(&self, head: usize, keys: &Range<usize>) -> [&[f32]; 3] {
        let (d_h, d_v, wide) = (self.pass.d_h, self.pass.d_v, self.wide);
        [(self.pass.k(head), d_h), (self.w(head), wide), (self.pass.v(head), d_v)]
            .map(|(x, d)| &x[keys.start * d..keys.end * d])
    }

    /// Adds a chunk to the running sums K and V.
    fn pack(&self, [k, w, v]: [&[f32]; 3], keys: &mut [f32], values: &mut [f32]) {
        let Pass { d_h, d_v, path, .. } = *self.pass;
        let (rows, wide) = (w.len() / self.wide, self.wide);
        outer(path, (rows, d_h, wide), (k, d_h), (w, wide), (keys, wide));
        outer(path, (rows, self.l, d_v), (w, wide), (v, d_v), (values, d_v));
        self.pass.count(rows * self.l, [1, 1, 0]);
    }

    /// `x y^T` of a chunk, zeros where a query does not see a key; `transposed` is `y^T`.
    fn meet(&self, x: (&[f32], usize, usize), transposed: &[f32], met: &mut [f32]) {
        let (x, ldx, depth) = x;
        let rows = x.len() / ldx;
        product(self.pass.path, (rows, depth, CHUNK), (x, ldx), (transposed, CHUNK), (&mut *met, CHUNK), Set);
        triangle(met, rows);
    }

    /// Logits of a chunk, with the scale and `log2 e` in them, into `shares`; `q k^T` into `met`.
    fn logits(&self, queries: &Range<usize>, q: &[f32], [k, w, _]: [&[f32]; 3], own: &mut Workspace<'_>) {
        let Pass { d_h, path, scale, .. } = *self.pass;
        let (rows, wide, keys) = (queries.len(), self.wide, w.len() / self.wide);
        transpose((k, d_h), (own.k_transposed, CHUNK), (keys, d_h), |_| 1.0);
        self.meet((q, d_h, d_h), own.k_transposed, own.met);
        product(path, (rows, d_h, wide), (q, d_h), (own.keys, wide), (own.shares, wide), Set);
        product(path, (rows, keys, wide), (own.met, CHUNK), (w, wide), (own.shares, wide), Add);
        self.pass.count(rows * keys, [1, 0, self.l]);
        self.pass.count(rows * self.l, [1, 0, 0]);
        for (row, query) in own.shares.chunks_exact_mut(wide).zip(queries.clone()) {
            let factor = scale * std::f32::consts::LOG2_E * self.mean(query);
            for x in row {
                *x *= factor;
            }
        }
    }

    /// The sums that each segment begins with.
    pub(in crate::attention) fn sums(&self, parts: &mut [f32]) {
        let Pass { h, n, d_h, d_v, .. } = *self.pass;
        let Self { wide, count, .. } = *self;
        let piece = wide * (d_h + d_v);
        let mut no_space = vec![0.0; rayon::current_num_threads().min(h * count)];
        in_parallel(parts.chunks_exact_mut(piece).enumerate(), &mut no_space, 1, |(task, part), _| {
            part.fill(0.0);
            let (keys, values) = part.split_at_mut(d_h * wide);
            for chunk in chunks(&self.keys_of(&segments::keys(task % count, count, n))) {
                self.pack(self.rows(task / count, &chunk), keys, values);
            }
        });
        parts.chunks_exact_mut(count * piece).for_each(|sums| running(sums, count, false));
    }

    /// The output of every query; the sums that each segment begins with are kept.
    pub(in crate::attention) fn forward(&self, saved: &mut Saved, out: &mut [f32], space: &mut [f32]) {
        let Pass { h, n, d_h, d_v, path, lengths, .. } = *self.pass;
        let Self { l, wide, count, .. } = *self;
        let piece = wide * (d_h + d_v);
        let each = each(d_h, d_v, wide);
        let spaces = &mut space[..rayon::current_num_threads().min(h * count) * each];
        saved.packs = vec![0.0; size::sums(&self.pass.size(), l)];
        self.sums(&mut saved.packs);
        let parts = &saved.packs;
        saved.rows = vec![0.0; h * n];
        let of_logs = saved.rows.chunks_exact_mut(n).flat_map(|logs| split_segments(logs, count, 1));
        let of_out = heads(out, lengths.0, d_v, n).flat_map(|out| split_segments(out, count, d_v));
        let tasks = of_out.zip(of_logs).zip(parts.chunks_exact(piece)).enumerate();
        in_parallel(tasks, spaces, each, |(task, ((out, logs), part)), space| {
            let (mut own, head, segment) =
                (self.own(space), task / count, segments::keys(task % count, count, n));
            own.keys.copy_from_slice(&part[..d_h * wide]);
            own.values.copy_from_slice(&part[d_h * wide..]);
            for queries in chunks(&segment) {
                let (rows, at) = (queries.len(), queries.start - segment.start);
                let of_keys = self.rows(head, &self.keys_of(&queries));
                let [_, w, v] = of_keys;
                let keys = w.len() / wide;
                let q = &self.pass.q(head)[queries.start * d_h..queries.end * d_h];
                self.logits(&queries, q, of_keys, &mut own);
                let (shares, logs) = (&mut own.shares[..rows * wide], &mut logs[at..][..rows]);
                path.run(Softmax { rows: &mut *shares, width: wide, count: l, factor: 1.0, logs });
                self.pass.dropout.rows(head * n + queries.start, 0, (shares, wide));
                transpose((w, wide), (own.w_transposed, CHUNK), (keys, wide), |_| 1.0);
                self.meet((shares, wide, l), own.w_transposed, own.shares_met);
                let out = &mut out[at * d_v..][..rows * d_v];
                product(path, (rows, l, d_v), (shares, wide), (own.values, d_v), (&mut *out, d_v), Set);
                product(path, (rows, keys, d_v), (own.shares_met, CHUNK), (v, d_v), (&mut *out, d_v), Add);
                self.pass.count(rows * keys, [0, 1, l]);
                self.pass.count(rows * l, [0, 1, 0]);
                for (row, query) in out.chunks_exact_mut(d_v).zip(queries) {
                    let mean = self.mean(query);
                    for x in row {
                        *x *= mean;
                    }
                }
                self.pack(of_keys, own.keys, own.values);
            }
        });
    }

    pub(in crate::attention) fn backward(
        &self,
        (logs, sums): (&[f32], &[f32]),
        upstream: &Upstream<'_>,
        into: Into<'_>,
        mut space: &mut [f32],
    ) {
        let Pass { h, n, m, d_h, d_v, lengths, .. } = *self.pass;
        let Self { wide, count, length, .. } = *self;
        let piece = wide * (d_h + d_v);
        let means = carve(&mut space, h * n);
        let all_d_logits = carve(&mut space, 2 * h * n * wide);
        let parts = carve(&mut space, h * count * piece);
        let each = each(d_h, d_v, wide);
        let spaces = &mut space[..rayon::current_num_threads().min(h * count) * each];
        pass::means(self.pass, upstream, means);
        let back = Back { upstream, logs, means };

        let of_dq = heads(into.q, lengths.0, d_h, n).flat_map(|dq| split_segments(dq, count, d_h));
        let of_d_logits = all_d_logits
            .chunks_exact_mut(2 * n * wide)
            .flat_map(|rows| split_segments(rows, count, 2 * wide));
        let tasks = of_dq.zip(of_d_logits).zip(parts.chunks_exact_mut(piece)).enumerate();
        in_parallel(tasks, spaces, each, |(task, ((dq, d_logits), part)), space| {
            let before = &sums[task * piece..][..piece];
            self.of_dq(&back, task, before, (dq, d_logits, part), &mut self.own(space));
        });
        parts.chunks_exact_mut(count * piece).for_each(|sums| running(sums, count, true));
        let rows_of = heads(into.k, lengths.1, d_h, m)
            .zip(heads(into.w, length, wide, m))
            .zip(heads(into.v, lengths.1, d_v, m));
        let tasks = rows_of.flat_map(|((mut dk, mut dw), mut dv)| {
            // Keys after the last query are in no segment, and have no gradient.
            for (x, d) in [(&mut *dk, d_h), (&mut *dw, wide), (&mut *dv, d_v)] {
                x[n.min(m) * d..].fill(0.0);
            }
            (0..count).map(move |i| {
                let rows = self.keys_of(&segments::keys(i, count, n)).len();
                [
                    split_front(&mut dk, rows * d_h),
                    split_front(&mut dw, rows * wide),
                    split_front(&mut dv, rows * d_v),
                ]
            })
        });
        let tasks = tasks.zip(parts.chunks_exact(piece)).enumerate();
        in_parallel(tasks, spaces, each, |(task, (into, part)), space| {
            let d_logits = &all_d_logits[task / count * 2 * n * wide..][..2 * n * wide];
            self.of_dk(&back, task, (part, d_logits), into, &mut self.own(space));
        });
    }

    /// Gradients of a segment's queries, forward, from the sums before it; g and a of every query; its sums X and Y.
    fn of_dq(
        &self,
        back: &Back<'_>,
        task: usize,
        before: &[f32],
        (dq, all_d_logits, part): (&mut [f32], &mut [f32], &mut [f32]),
        own: &mut Workspace<'_>,
    ) {
        let Pass { n, d_h, d_v, path, scale, .. } = *self.pass;
        let Self { l, wide, count, .. } = *self;
        let (head, segment) = (task / count, segments::keys(task % count, count, n));
        // K is needed both ways, V transposed only.
        own.keys.copy_from_slice(&before[..d_h * wide]);
        transpose((own.keys, wide), (own.keys_transposed, d_h), (d_h, wide), |_| 1.0);
        transpose((&before[d_h * wide..], d_v), (own.values_transposed, wide), (wide, d_v), |_| 1.0);
        part.fill(0.0);
        let (x, y) = part.split_at_mut(d_h * wide);
        for queries in chunks(&segment) {
            let (rows, at) = (queries.len(), queries.start - segment.start);
            let of_keys = self.rows(head, &self.keys_of(&queries));
            let [k, w, v] = of_keys;
            let keys = w.len() / wide;
            let q = &self.pass.q(head)[queries.start * d_h..queries.end * d_h];
            let d_out = &back.upstream.d_out.head(head, n)[queries.start * d_v..queries.end * d_v];
            self.logits(&queries, q, of_keys, own);
            transpose((v, d_v), (own.v_transposed, CHUNK), (keys, d_v), |_| 1.0);
            self.meet((d_out, d_v, d_v), own.v_transposed, own.d_met);
            product(
                path,
                (rows, d_v, wide),
                (d_out, d_v),
                (own.values_transposed, wide),
                (own.d_logits, wide),
                Set,
            );
            product(path, (rows, keys, wide), (own.d_met, CHUNK), (w, wide), (own.d_logits, wide), Add);
            self.pass.dropout.rows(head * n + queries.start, 0, (&mut own.d_logits[..rows * wide], wide));
            for (i, query) in queries.clone().enumerate() {
                let (log, d) = (back.logs[head * n + query], back.means[head * n + query]);
                path.run(Shares {
                    logits: &mut own.shares[i * wide..][..wide],
                    d_logits: &mut own.d_logits[i * wide..][..wide],
                    numbers: [log, d, self.mean(query), scale],
                });
            }
            let (g, a) = all_d_logits[2 * at * wide..][..2 * rows * wide].split_at_mut(rows * wide);
            g.copy_from_slice(&own.d_logits[..rows * wide]);
            a.copy_from_slice(&own.shares[..rows * wide]);
            self.pass.dropout.rows(head * n + queries.start, 0, (a, wide));
            outer(path, (rows, d_h, wide), (q, d_h), (g, wide), (&mut *x, wide));
            outer(path, (rows, d_v, wide), (d_out, d_v), (a, wide), (&mut *y, wide));

            transpose((w, wide), (own.w_transposed, CHUNK), (keys, wide), |_| 1.0);
            self.meet((g, wide, l), own.w_transposed, own.shares_met);
            let dq = &mut dq[at * d_h..][..rows * d_h];
            product(path, (rows, l, d_h), (g, wide), (own.keys_transposed, d_h), (&mut *dq, d_h), Set);
            product(path, (rows, keys, d_h), (own.shares_met, CHUNK), (k, d_h), (dq, d_h), Add);
            outer(path, (keys, d_h, wide), (k, d_h), (w, wide), (own.keys, wide));
            outer(path, (keys, l, d_h), (w, wide), (k, d_h), (own.keys_transposed, d_h));
            outer(path, (keys, d_v, wide), (v, d_v), (w, wide), (own.values_transposed, wide));
            // But for the logits, which count themselves.
            self.pass.count(rows * l, [2, 2, 0]);
            self.pass.count(rows * keys, [1, 1, 2 * l]);
            self.pass.count(keys * l, [2, 1, 0]);
        }
    }

    /// Gradients of a segment's keys, weights and values, backward, from the sums after it.
    fn of_dk(
        &self,
        back: &Back<'_>,
        task: usize,
        (after, d_logits): (&[f32], &[f32]),
        [dk, dw, dv]: [&mut [f32]; 3],
        own: &mut Workspace<'_>,
    ) {
        let Pass { n, d_h, d_v, path, .. } = *self.pass;
        let Self { l, wide, count, .. } = *self;
        let (head, segment) = (task / count, segments::keys(task % count, count, n));
        // X and Y, (d_h, l) and (d_v, l), and both transposed.
        let (of_x, of_y) = after.split_at(d_h * wide);
        own.keys.copy_from_slice(of_x);
        own.values_transposed.copy_from_slice(of_y);
        transpose((of_x, wide), (own.keys_transposed, d_h), (d_h, wide), |_| 1.0);
        transpose((of_y, wide), (own.values, d_v), (d_v, wide), |_| 1.0);
        for queries in chunks(&segment).rev() {
            let keys = self.keys_of(&queries);
            let (rows, at) = (keys.len(), keys.start - self.keys_of(&segment).start);
            let [k, w, v] = self.rows(head, &keys);
            let q = &self.pass.q(head)[queries.start * d_h..queries.end * d_h];
            let d_out = &back.upstream.d_out.head(head, n)[queries.start * d_v..queries.end * d_v];
            let met = queries.len();
            let (g, a) = d_logits[2 * queries.start * wide..][..2 * met * wide].split_at(met * wide);
            let dk = &mut dk[at * d_h..][..rows * d_h];
            let dw = &mut dw[at * wide..][..rows * wide];
            let dv = &mut dv[at * d_v..][..rows * d_v];
            if rows > 0 {
                for (y, transposed, d) in [
                    (k, &mut *own.k_transposed, d_h),
                    (v, &mut *own.v_transposed, d_v),
                    (w, &mut *own.w_transposed, wide),
                ] {
                    transpose((y, d), (transposed, CHUNK), (rows, d), |_| 1.0);
                }
                product(path, (rows, d_h, wide), (k, d_h), (own.keys, wide), (&mut *dw, wide), Set);
                product(
                    path,
                    (rows, d_v, wide),
                    (v, d_v),
                    (own.values_transposed, wide),
                    (&mut *dw, wide),
                    Add,
                );
                self.meet((q, d_h, d_h), own.k_transposed, own.met);
                self.meet((d_out, d_v, d_v), own.v_transposed, own.d_met);
                outer(path, (met, rows, wide), (own.met, CHUNK), (g, wide), (&mut *dw, wide));
                outer(path, (met, rows, wide), (own.d_met, CHUNK), (a, wide), (dw, wide));
                product(path, (rows, l, d_h), (w, wide), (own.keys_transposed, d_h), (&mut *dk, d_h), Set);
                self.meet((g, wide, l), own.w_transposed, own.shares_met);
                outer(path, (met, rows, d_h), (own.shares_met, CHUNK), (q, d_h), (dk, d_h));
                product(path, (rows, l, d_v), (w, wide), (own.values, d_v), (&mut *dv, d_v), Set);
                self.meet((a, wide, l), own.w_transposed, own.shares_met);
                outer(path, (met, rows, d_v), (own.shares_met, CHUNK), (d_out, d_v), (dv, d_v));
            }
            outer(path, (met, d_h, wide), (q, d_h), (g, wide), (own.keys, wide));
            outer(path, (met, l, d_h), (g, wide), (q, d_h), (own.keys_transposed, d_h));
            outer(path, (met, d_v, wide), (d_out, d_v), (a, wide), (own.values_transposed, wide));
            outer(path, (met, l, d_v), (a, wide), (d_out, d_v), (own.values, d_v));
            self.pass.count(met * l, [2, 2, 0]);
            self.pass.count(rows * l, [2, 2, 0]);
            self.pass.count(met * rows, [2, 2, 4 * l]);
        }
    }
}
