//! The forward pass of causal Luna from weights on:
//! ```text
//! A_t = softmax(s q_t K_t / Z_t)     out_t = A_t V_t / Z_t
//! ```
//! with `Z_t = t` for the authors' mean; [`Decay`](crate::attention::luna_causal::Decay) has that of a decay.

use super::chunked::Weighted;
use super::size::{self, each};
use crate::attention::kernel::chunk::{CHUNK, chunks};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::pass::{Pass, heads, split_segments};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::in_parallel;
use crate::attention::kernel::tiles::{Add, Set, Softmax, product};
use crate::attention::luna_causal::decay::Powers;

impl Weighted<'_> {
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
            let powers = Powers::of(self.decay(head));
            for queries in chunks(&segment) {
                let (rows, at) = (queries.len(), queries.start - segment.start);
                let of_keys = self.rows(head, &self.keys_of(&queries));
                let [_, w, v] = of_keys;
                let keys = w.len() / wide;
                let q = &self.pass.q(head)[queries.start * d_h..queries.end * d_h];
                self.logits((head, &powers), &queries, q, of_keys, &mut own);
                let (shares, logs) = (&mut own.shares[..rows * wide], &mut logs[at..][..rows]);
                path.run(Softmax { rows: &mut *shares, width: wide, count: l, factor: 1.0, logs });
                self.pass.dropout.rows(head * n + queries.start, 0, (shares, wide));
                transpose((w, wide), (own.w_transposed, CHUNK), (keys, wide), |_| 1.0);
                self.meet((&powers, keys), (shares, wide, l), own.w_transposed, own.shares_met);
                let out = &mut out[at * d_v..][..rows * d_v];
                product(path, (rows, l, d_v), (shares, wide), (own.values, d_v), (&mut *out, d_v), Set);
                powers.of_queries(keys, out, d_v);
                product(path, (rows, keys, d_v), (own.shares_met, CHUNK), (v, d_v), (&mut *out, d_v), Add);
                self.pass.count(rows * keys, [0, 1, l]);
                self.pass.count(rows * l, [0, 1, 0]);
                for (row, query) in out.chunks_exact_mut(d_v).zip(queries) {
                    let mean = self.mean(head, query);
                    for x in row {
                        *x *= mean;
                    }
                }
                self.pack(&powers, of_keys, [own.keys, own.values], own.d_logits);
            }
        });
    }
}
