//! The backward pass of causal Luna from weights on. With G the upstream gradient and `Z_t` as in the forward pass:
//! ```text
//! dS_t = A_t * (G_t V_t^T / Z_t - D_t)      D_t = G_t . out_t
//! g_t  = s dS_t / Z_t     a_t = A_t / Z_t   dq_t = g_t K_t^T
//! ```
//! and with sums over what comes later, `X_j = sum_{t>=j} a^(t-j) q_t^T g_t` (`d_h`, l) and
//! `Y_j = sum_{t>=j} a^(t-j) G_t^T a_t` (`d_v`, l):
//! ```text
//! dw_j = k_j X_j + v_j Y_j     dk_j = w_j X_j^T     dv_j = w_j Y_j^T
//! ```
//! `g` and `a` (n, l) stay from one sweep to the other.

use super::chunked::{Weighted, Workspace};
use super::size::each;
use crate::attention::kernel::chunk::{CHUNK, chunks, split_front};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::pass::{self, Pass, Upstream, heads, split_segments};
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{carve, in_parallel};
use crate::attention::kernel::tiles::{Add, Set, Shares, outer, product};
use crate::attention::luna_causal::decay::Powers;

/// Where the gradients go; rows of `w` are as those that were given.
pub(in crate::attention) struct Into<'a> {
    pub(in crate::attention) q: &'a mut [f32],
    pub(in crate::attention) k: &'a mut [f32],
    pub(in crate::attention) w: &'a mut [f32],
    pub(in crate::attention) v: &'a mut [f32],
}

/// What the backward pass reads beside the inputs.
struct Back<'a> {
    upstream: &'a Upstream<'a>,
    logs: &'a [f32],
    means: &'a [f32],
}

impl Weighted<'_> {
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
        self.join(parts, true);
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
        let (decay, powers) = (self.decay(head), Powers::of(self.decay(head)));
        let first = self.keys_of(&segment).start;
        for queries in chunks(&segment) {
            let (rows, at) = (queries.len(), queries.start - segment.start);
            let of_keys = self.rows(head, &self.keys_of(&queries));
            let [k, w, v] = of_keys;
            let keys = w.len() / wide;
            let q = &self.pass.q(head)[queries.start * d_h..queries.end * d_h];
            let d_out = &back.upstream.d_out.head(head, n)[queries.start * d_v..queries.end * d_v];
            self.logits((head, &powers), &queries, q, of_keys, own);
            transpose((v, d_v), (own.v_transposed, CHUNK), (keys, d_v), |_| 1.0);
            self.meet((&powers, keys), (d_out, d_v, d_v), own.v_transposed, own.d_met);
            product(
                path,
                (rows, d_v, wide),
                (d_out, d_v),
                (own.values_transposed, wide),
                (own.d_logits, wide),
                Set,
            );
            powers.of_queries(keys, &mut own.d_logits[..rows * wide], wide);
            product(path, (rows, keys, wide), (own.d_met, CHUNK), (w, wide), (own.d_logits, wide), Add);
            self.pass.dropout.rows(head * n + queries.start, 0, (&mut own.d_logits[..rows * wide], wide));
            for (i, query) in queries.clone().enumerate() {
                let (log, d) = (back.logs[head * n + query], back.means[head * n + query]);
                path.run(Shares {
                    logits: &mut own.shares[i * wide..][..wide],
                    d_logits: &mut own.d_logits[i * wide..][..wide],
                    numbers: [log, d, self.mean(head, query), scale],
                });
            }
            let (g, a) = all_d_logits[2 * at * wide..][..2 * rows * wide].split_at_mut(rows * wide);
            g.copy_from_slice(&own.d_logits[..rows * wide]);
            a.copy_from_slice(&own.shares[..rows * wide]);
            self.pass.dropout.rows(head * n + queries.start, 0, (a, wide));
            // What the last key before the segment takes from them.
            let before = self.keys_of(&queries).start - first;
            let [of_g, of_a] = [(&*g, &mut *own.d_logits), (&*a, &mut *own.shares)]
                .map(|(rows, space)| powers.faded_queries((keys, decay.power(before)), rows, wide, space));
            outer(path, (rows, d_h, wide), (q, d_h), (of_g, wide), (&mut *x, wide));
            outer(path, (rows, d_v, wide), (d_out, d_v), (of_a, wide), (&mut *y, wide));

            transpose((w, wide), (own.w_transposed, CHUNK), (keys, wide), |_| 1.0);
            self.meet((&powers, keys), (g, wide, l), own.w_transposed, own.shares_met);
            let dq = &mut dq[at * d_h..][..rows * d_h];
            product(path, (rows, l, d_h), (g, wide), (own.keys_transposed, d_h), (&mut *dq, d_h), Set);
            powers.of_queries(keys, dq, d_h);
            product(path, (rows, keys, d_h), (own.shares_met, CHUNK), (k, d_h), (dq, d_h), Add);
            for sums in [&mut *own.keys, &mut *own.keys_transposed, &mut *own.values_transposed] {
                powers.pass(keys, sums);
            }
            let w = powers.faded_keys(w, wide, own.d_logits);
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
        let powers = Powers::of(self.decay(head));
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
                powers.of_keys(rows, dw, wide);
                self.meet((&powers, rows), (q, d_h, d_h), own.k_transposed, own.met);
                self.meet((&powers, rows), (d_out, d_v, d_v), own.v_transposed, own.d_met);
                outer(path, (met, rows, wide), (own.met, CHUNK), (g, wide), (&mut *dw, wide));
                outer(path, (met, rows, wide), (own.d_met, CHUNK), (a, wide), (dw, wide));
                product(path, (rows, l, d_h), (w, wide), (own.keys_transposed, d_h), (&mut *dk, d_h), Set);
                powers.of_keys(rows, dk, d_h);
                self.meet((&powers, rows), (g, wide, l), own.w_transposed, own.shares_met);
                outer(path, (met, rows, d_h), (own.shares_met, CHUNK), (q, d_h), (dk, d_h));
                product(path, (rows, l, d_v), (w, wide), (own.values, d_v), (&mut *dv, d_v), Set);
                powers.of_keys(rows, dv, d_v);
                self.meet((&powers, rows), (a, wide, l), own.w_transposed, own.shares_met);
                outer(path, (met, rows, d_v), (own.shares_met, CHUNK), (d_out, d_v), (dv, d_v));
            }
            for sums in
                [&mut *own.keys, &mut *own.keys_transposed, &mut *own.values, &mut *own.values_transposed]
            {
                powers.pass(rows, sums);
            }
            let [g, a] = [(g, &mut *own.d_logits), (a, &mut *own.shares)]
                .map(|(of, space)| powers.faded_queries((rows, 1.0), of, wide, space));
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
