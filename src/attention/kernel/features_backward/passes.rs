//! The backward pass of attention by features, full and causal in chunks.
//!
//! The forward pass saves what divides each query and, without a mask, the sums over all keys. Under the causal mask the sums
//! that each segment begins with are taken again.
//!
//! With features `x = phi(q)` (n, f), `y = phi(k)` (m, f), and a column of ones after the values, `v' = [v 1]`:
//! ```text
//! S    = y^T v'                    (f, d_v + 1)      out = x S, its first columns divided by the last (+ eps)
//! c    = 1 / (last column + eps)   (n)               D   = rowsum(G * out)
//! G'   = [c G, -c D]               (n, d_v + 1)      T   = x^T G'      (f, d_v + 1)
//! dx   = G' S^T                    dy  = v' T^T      dv  = y T, its first columns
//! ```
//! Under the causal mask S is the sum over the keys up to the query and T that over the queries from the key on. Rows are
//! cut into segments, whose sums are taken first; inside a segment running sums go forward for `dx`, backward for `dy`
//! and `dv`, a chunk at a time, and what is inside a chunk meets under a triangular mask.

use std::ops::Range;

use super::size::{LINE, count, each};
use crate::attention::Mask;
use crate::attention::kernel::chunk::{CHUNK, chunks, running, split_front, triangle};
use crate::attention::kernel::features::{Features, Rows};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::pass::{self, Pass, Raw, Upstream, gather, heads, split_segments};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{carve, in_parallel, whole_lines};
use crate::attention::kernel::tiles::{Add, Set, outer, product};

/// Attention by features over many heads.
pub(in crate::attention) struct ByFeatures<'a, F> {
    pass: &'a Pass<'a>,
    features: &'a F,
    /// Features, and how many there are in whole cache lines.
    narrow: usize,
    f: usize,
    /// Width of values with a column of ones after them, in whole cache lines.
    w: usize,
    count: usize,
    causal: bool,
}

/// The work space of one worker.
struct Workspace<'a> {
    x: &'a mut [f32],
    y: &'a mut [f32],
    d_x: &'a mut [f32],
    values: &'a mut [f32],
    d_rows: &'a mut [f32],
    met: &'a mut [f32],
    d_met: &'a mut [f32],
    y_transposed: &'a mut [f32],
    values_transposed: &'a mut [f32],
    state: &'a mut [f32],
    state_transposed: &'a mut [f32],
}

impl<'a, F: Features> ByFeatures<'a, F> {
    pub(in crate::attention) fn new(pass: &'a Pass<'a>, features: &'a F, narrow: usize) -> Self {
        let causal = pass.mask == Mask::Causal;
        let count = count(causal, pass.h, pass.n, pass.m);
        Self { pass, features, narrow, f: whole_lines(narrow), w: pass.d_v + LINE, count, causal }
    }

    /// Queries and keys of a segment. Under the causal mask they are at the same places, and keys after the last query
    /// count for nothing.
    fn segment(&self, i: usize) -> (Range<usize>, Range<usize>) {
        let (n, m) = (self.pass.n, self.pass.m);
        let queries = segments::keys(i, self.count, n);
        let keys = if self.causal {
            queries.start.min(m)..queries.end.min(m)
        } else {
            segments::keys(i, self.count, m)
        };
        (queries, keys)
    }

    fn own<'s>(&self, mut space: &'s mut [f32]) -> Workspace<'s> {
        let Self { f, w, .. } = *self;
        let mut carve = |len| carve(&mut space, len);
        Workspace {
            x: carve(CHUNK * f),
            y: carve(CHUNK * f),
            d_x: carve(CHUNK * f),
            values: carve(CHUNK * w),
            d_rows: carve(CHUNK * w),
            met: carve(CHUNK * CHUNK),
            d_met: carve(CHUNK * CHUNK),
            y_transposed: carve(CHUNK * f),
            values_transposed: carve(CHUNK * w),
            state: carve(f * w),
            state_transposed: carve(f * w),
        }
    }

    /// Sums of every segment become what each segment begins with: the sums before it, or all of them without a mask.
    fn begin(&self, parts: &mut [f32], backward: bool) {
        let piece = self.f * self.w;
        for parts in parts.chunks_exact_mut(self.count * piece) {
            if !self.causal {
                gather(parts, piece);
                let (all, others) = parts.split_at_mut(piece);
                others.chunks_exact_mut(piece).for_each(|other| other.copy_from_slice(all));
                continue;
            }
            running(parts, self.count, backward, |_| 1.0);
        }
    }

    /// Rows of features of keys and of values with ones after them.
    fn of_keys(&self, head: usize, keys: &Range<usize>, own: &mut Workspace<'_>) {
        let Pass { d_h, d_v, path, .. } = *self.pass;
        let (f, w) = (self.f, self.w);
        let k = &self.pass.k(head)[keys.start * d_h..keys.end * d_h];
        self.features.make(
            path,
            Rows { head, keys: true, first: keys.start },
            k,
            &mut own.y[..keys.len() * f],
        );
        self.pass.count(keys.len(), [0, 0, self.features.macs()[0]]);
        let v = self.pass.v(head)[keys.start * d_v..keys.end * d_v].chunks_exact(d_v);
        for (row, v) in own.values.chunks_exact_mut(w).zip(v) {
            row[..d_v].copy_from_slice(v);
            row[d_v] = 1.0;
            row[d_v + 1..].fill(0.0);
        }
    }

    fn of_queries(&self, head: usize, queries: &Range<usize>, x: &mut [f32]) {
        let Pass { d_h, path, .. } = *self.pass;
        let q = &self.pass.q(head)[queries.start * d_h..queries.end * d_h];
        self.features.make(
            path,
            Rows { head, keys: false, first: queries.start },
            q,
            &mut x[..queries.len() * self.f],
        );
        self.pass.count(queries.len(), [0, 0, self.features.macs()[0]]);
    }

    /// Rows of `[c G, -c D]`.
    fn d_rows(&self, back: &Back<'_>, head: usize, queries: &Range<usize>, d_rows: &mut [f32]) {
        let Pass { n, d_v, .. } = *self.pass;
        let d_out = &back.upstream.d_out.head(head, n)[queries.start * d_v..];
        let factors = &back.saved.rows[head * n..][queries.clone()];
        let means = &back.means[head * n..][queries.clone()];
        let rows = d_rows.chunks_exact_mut(self.w).zip(d_out.chunks_exact(d_v));
        for ((row, d_out), (factor, mean)) in rows.zip(factors.iter().zip(means)) {
            for (x, d_out) in row.iter_mut().zip(d_out) {
                *x = factor * d_out;
            }
            row[d_v] = -factor * mean;
            row[d_v + 1..].fill(0.0);
        }
    }

    /// Under the causal mask, the state that each segment begins with.
    fn states(&self, parts: &mut [f32], spaces: &mut [f32]) {
        let Self { f, w, count, .. } = *self;
        in_parallel(parts.chunks_exact_mut(f * w).enumerate(), spaces, each(f, w), |(task, part), space| {
            let (mut own, keys) = (self.own(space), self.segment(task % count).1);
            part.fill(0.0);
            for chunk in chunks(&keys) {
                self.of_keys(task / count, &chunk, &mut own);
                outer(self.pass.path, (chunk.len(), f, w), (own.y, f), (own.values, w), (&mut *part, w));
                self.tally_rows(chunk.len(), 1, 0);
            }
        });
        self.begin(parts, false);
    }

    /// Counts products of rows of features with values and a column of ones, so many times, and with values alone.
    fn tally_rows(&self, rows: usize, with_ones: usize, without: usize) {
        self.pass.count(rows * self.narrow, [0, with_ones + without, with_ones]);
    }

    /// Counts products of pairs along features, along values and a column of ones, and along values alone.
    fn tally_met(&self, pairs: usize, features: usize, [with_ones, without]: [usize; 2]) {
        self.pass.count(pairs, [0, with_ones + without, with_ones + features * self.narrow]);
    }

    /// Keys at the places of a chunk of queries.
    fn keys_of(&self, queries: &Range<usize>) -> Range<usize> {
        queries.start.min(self.pass.m)..queries.end.min(self.pass.m)
    }

    /// `x y^T` of a chunk, zeros where a query does not see a key.
    fn meet(&self, rows: usize, keys: usize, own: &mut Workspace<'_>) {
        let f = self.f;
        transpose((own.y, f), (own.y_transposed, CHUNK), (keys, f), |_| 1.0);
        let transposed = (&*own.y_transposed, CHUNK);
        product(self.pass.path, (rows, f, CHUNK), (own.x, f), transposed, (own.met, CHUNK), Set);
        triangle(own.met, rows);
    }

    /// `G' v'^T` of a chunk, zeros where a query does not see a key.
    fn meet_gradients(&self, rows: usize, keys: usize, own: &mut Workspace<'_>) {
        let w = self.w;
        transpose((own.values, w), (own.values_transposed, CHUNK), (keys, w), |_| 1.0);
        let transposed = (&*own.values_transposed, CHUNK);
        product(self.pass.path, (rows, w, CHUNK), (own.d_rows, w), transposed, (own.d_met, CHUNK), Set);
        triangle(own.d_met, rows);
    }

    pub(in crate::attention) fn backward(
        &self,
        saved: &Saved,
        upstream: &Upstream<'_>,
        raw: Raw<'_>,
        mut space: &mut [f32],
    ) {
        let Pass { h, n, m, d_h, d_v, lengths, .. } = *self.pass;
        let Self { f, w, count, .. } = *self;
        let means = carve(&mut space, h * n);
        let parts = carve(&mut space, h * count * f * w);
        let states = carve(&mut space, if self.causal { h * count * f * w } else { 0 });
        let each = each(f, w);
        let spaces = &mut space[..rayon::current_num_threads().min(h * count) * each];
        pass::means(self.pass, upstream, means);
        if self.causal {
            self.states(states, spaces);
        }
        let states = &*states;
        let back = Back { saved, upstream, means };

        let of_dq = heads(raw.q, lengths.0, d_h, n).flat_map(|dq| split_segments(dq, count, d_h));
        let tasks = of_dq.zip(parts.chunks_exact_mut(f * w)).enumerate();
        in_parallel(tasks, spaces, each, |(task, (dq, part)), space| {
            let before =
                if self.causal { &states[task * f * w..] } else { &saved.packs[task / count * f * w..] };
            self.of_dq(&back, task, (&before[..f * w], part), dq, &mut self.own(space));
        });
        self.begin(parts, true);
        let tasks = heads(raw.k, lengths.1, d_h, m)
            .zip(heads(raw.v, lengths.1, d_v, m))
            .flat_map(|(mut dk, mut dv)| {
                if self.causal {
                    // Keys after the last query are in no segment, and have no gradient.
                    dk[(n * d_h).min(m * d_h)..].fill(0.0);
                    dv[(n * d_v).min(m * d_v)..].fill(0.0);
                }
                (0..count).map(move |i| {
                    let rows = self.segment(i).1.len();
                    (split_front(&mut dk, rows * d_h), split_front(&mut dv, rows * d_v))
                })
            })
            .zip(parts.chunks_exact(f * w))
            .enumerate();
        in_parallel(tasks, spaces, each, |(task, ((dk, dv), part)), space| {
            self.of_dk(&back, task, part, (dk, dv), &mut self.own(space));
        });
    }

    /// Gradients of a segment's queries, forward, from the state before it; its part of T.
    fn of_dq(
        &self,
        back: &Back<'_>,
        task: usize,
        (before, part): (&[f32], &mut [f32]),
        dq: &mut [f32],
        own: &mut Workspace<'_>,
    ) {
        let Pass { d_h, path, .. } = *self.pass;
        let Self { f, w, count, .. } = *self;
        let (head, segment) = (task / count, self.segment(task % count).0);
        transpose((before, w), (own.state_transposed, f), (f, w), |_| 1.0);
        part.fill(0.0);
        for queries in chunks(&segment) {
            let rows = queries.len();
            self.of_queries(head, &queries, own.x);
            self.d_rows(back, head, &queries, own.d_rows);
            product(path, (rows, w, f), (own.d_rows, w), (own.state_transposed, f), (own.d_x, f), Set);
            outer(path, (rows, f, w), (own.x, f), (own.d_rows, w), (&mut *part, w));
            self.tally_rows(rows, 2, 0);
            if self.causal {
                let keys = self.keys_of(&queries);
                self.of_keys(head, &keys, own);
                self.meet_gradients(rows, keys.len(), own);
                product(path, (rows, keys.len(), f), (own.d_met, CHUNK), (own.y, f), (own.d_x, f), Add);
                outer(path, (keys.len(), w, f), (own.values, w), (own.y, f), (own.state_transposed, f));
                self.tally_met(rows * keys.len(), 1, [1, 0]);
                self.tally_rows(keys.len(), 1, 0);
            }
            let q = &self.pass.q(head)[queries.start * d_h..queries.end * d_h];
            let dq = &mut dq[(queries.start - segment.start) * d_h..][..rows * d_h];
            let rows_of = Rows { head, keys: false, first: queries.start };
            self.features.back(path, rows_of, q, &own.x[..rows * f], &mut own.d_x[..rows * f], dq);
            self.pass.count(rows, [0, 0, self.features.macs()[1]]);
        }
    }

    /// Gradients of a segment's keys and values, backward, from the state after it.
    fn of_dk(
        &self,
        back: &Back<'_>,
        task: usize,
        after: &[f32],
        (dk, dv): (&mut [f32], &mut [f32]),
        own: &mut Workspace<'_>,
    ) {
        let Pass { d_h, d_v, path, .. } = *self.pass;
        let Self { f, w, count, .. } = *self;
        let (head, (queries, segment)) = (task / count, self.segment(task % count));
        own.state.copy_from_slice(after);
        transpose((after, w), (own.state_transposed, f), (f, w), |_| 1.0);
        let places = if self.causal { queries } else { segment.clone() };
        for place in chunks(&places).rev() {
            let keys = if self.causal { self.keys_of(&place) } else { place.clone() };
            let rows = keys.len();
            self.of_keys(head, &keys, own);
            let at = keys.start - segment.start;
            let dv = &mut dv[at * d_v..][..rows * d_v];
            product(path, (rows, w, f), (own.values, w), (own.state_transposed, f), (own.d_x, f), Set);
            product(path, (rows, f, d_v), (own.y, f), (own.state, w), (&mut *dv, d_v), Set);
            self.tally_rows(rows, 1, 1);
            if self.causal {
                self.of_queries(head, &place, own.x);
                self.d_rows(back, head, &place, own.d_rows);
                self.meet(place.len(), rows, own);
                self.meet_gradients(place.len(), rows, own);
                let d_rows = (&*own.d_rows, w);
                outer(path, (place.len(), rows, f), (own.d_met, CHUNK), (own.x, f), (own.d_x, f));
                outer(path, (place.len(), rows, d_v), (own.met, CHUNK), d_rows, (dv, d_v));
                outer(path, (place.len(), f, w), (own.x, f), d_rows, (own.state, w));
                outer(path, (place.len(), w, f), d_rows, (own.x, f), (own.state_transposed, f));
                self.tally_met(place.len() * rows, 2, [1, 1]);
                self.tally_rows(place.len(), 2, 0);
            }
            let k = &self.pass.k(head)[keys.start * d_h..keys.end * d_h];
            let dk = &mut dk[at * d_h..][..rows * d_h];
            let rows_of = Rows { head, keys: true, first: keys.start };
            self.features.back(path, rows_of, k, &own.y[..rows * f], &mut own.d_x[..rows * f], dk);
            self.pass.count(rows, [0, 0, self.features.macs()[1]]);
        }
    }
}

/// What comes from above and from the forward pass.
struct Back<'a> {
    saved: &'a Saved,
    upstream: &'a Upstream<'a>,
    /// `d_out . out`, (h, n).
    means: &'a [f32],
}
