//! Causal Luna from weights on, in chunks: the running sums that both passes carry, and what meets inside a chunk.
//!
//! With a head's decay a (1 for the authors' mean) the sums are `K_t = sum_{j<=t} a^(t-j) k_j^T w_j` (`d_h`, l) and
//! `V_t = sum_{j<=t} a^(t-j) w_j^T v_j` (l, `d_v`).
//!
//! Tokens are cut into segments, whose sums are taken first; inside a segment the sums run on a chunk at a time, and what
//! is inside a chunk meets under a triangular mask of the powers of a. A query reads the sums before its chunk times what
//! is left of them ([`Powers::of_queries`]), and a key enters the sums after its chunk with what is left of it
//! ([`Powers::of_keys`]).

use std::ops::Range;

use crate::attention::kernel::chunk::{CHUNK, chunks, running, triangle};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::pass::Pass;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{carve, in_parallel, whole_lines};
use crate::attention::kernel::tiles::{Add, Set, outer, product};
use crate::attention::luna_causal::decay::{Decay, Powers};

/// Causal Luna over many heads, with the weights of their keys.
pub(in crate::attention) struct Weighted<'a> {
    pub(super) pass: &'a Pass<'a>,
    /// Weights, heads of so many rows of l numbers in whole cache lines, with zeros after them.
    w: &'a [f32],
    pub(super) length: usize,
    pub(super) l: usize,
    pub(super) wide: usize,
    pub(super) count: usize,
    /// Of every head, or of as many heads as each of them goes for.
    decays: &'a [Decay],
}

/// The work space of one worker.
pub(super) struct Workspace<'a> {
    pub(super) met: &'a mut [f32],
    pub(super) d_met: &'a mut [f32],
    pub(super) shares_met: &'a mut [f32],
    pub(super) k_transposed: &'a mut [f32],
    pub(super) v_transposed: &'a mut [f32],
    pub(super) w_transposed: &'a mut [f32],
    pub(super) shares: &'a mut [f32],
    pub(super) d_logits: &'a mut [f32],
    pub(super) keys: &'a mut [f32],
    pub(super) values: &'a mut [f32],
    pub(super) keys_transposed: &'a mut [f32],
    pub(super) values_transposed: &'a mut [f32],
}

impl<'a> Weighted<'a> {
    pub(in crate::attention) fn new(
        pass: &'a Pass<'a>,
        w: &'a [f32],
        length: usize,
        l: usize,
        decays: &'a [Decay],
    ) -> Self {
        let (wide, count) = (whole_lines(l), segments::count(pass.h, pass.n));
        Self { pass, w, length, l, wide, count, decays }
    }

    pub(super) fn own<'s>(&self, mut space: &'s mut [f32]) -> Workspace<'s> {
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
    pub(super) fn keys_of(&self, queries: &Range<usize>) -> Range<usize> {
        queries.start.min(self.pass.m)..queries.end.min(self.pass.m)
    }

    /// The decay of a head.
    pub(super) fn decay(&self, head: usize) -> Decay {
        self.decays[head / (self.pass.h / self.decays.len())]
    }

    /// How much a query's averages are of the sums.
    pub(super) fn mean(&self, head: usize, query: usize) -> f32 {
        1.0 / self.decay(head).total(self.pass.mask.visible(query, self.pass.m)) as f32
    }

    /// What a segment leaves of the sums on its other side.
    fn left(&self, head: usize, segment: usize) -> f32 {
        let keys = self.keys_of(&segments::keys(segment, self.count, self.pass.n)).len();
        self.decay(head).power(keys)
    }

    /// The sums over every segment become those that each begins with, from the front or from the back.
    pub(super) fn join(&self, parts: &mut [f32], backward: bool) {
        let of_head = self.count * self.wide * (self.pass.d_h + self.pass.d_v);
        for (head, sums) in parts.chunks_exact_mut(of_head).enumerate() {
            running(sums, self.count, backward, |segment| self.left(head, segment));
        }
    }

    /// Keys, weights and values of a range.
    pub(super) fn rows(&self, head: usize, keys: &Range<usize>) -> [&[f32]; 3] {
        let (d_h, d_v, wide) = (self.pass.d_h, self.pass.d_v, self.wide);
        [(self.pass.k(head), d_h), (self.w(head), wide), (self.pass.v(head), d_v)]
            .map(|(x, d)| &x[keys.start * d..keys.end * d])
    }

    /// Takes a chunk into the running sums K and V; `space` holds its weights times what is left of them.
    pub(super) fn pack(
        &self,
        powers: &Powers,
        [k, w, v]: [&[f32]; 3],
        [keys, values]: [&mut [f32]; 2],
        space: &mut [f32],
    ) {
        let Pass { d_h, d_v, path, .. } = *self.pass;
        let (rows, wide) = (w.len() / self.wide, self.wide);
        powers.pass(rows, keys);
        powers.pass(rows, values);
        let w = powers.faded_keys(w, wide, space);
        outer(path, (rows, d_h, wide), (k, d_h), (w, wide), (keys, wide));
        outer(path, (rows, self.l, d_v), (w, wide), (v, d_v), (values, d_v));
        self.pass.count(rows * self.l, [1, 1, 0]);
    }

    /// `x y^T` of a chunk of so many keys times what is left of each, zeros where a query does not see a key; `transposed`
    /// is `y^T`.
    pub(super) fn meet(
        &self,
        (powers, keys): (&Powers, usize),
        x: (&[f32], usize, usize),
        transposed: &[f32],
        met: &mut [f32],
    ) {
        let (x, ldx, depth) = x;
        let rows = x.len() / ldx;
        product(self.pass.path, (rows, depth, CHUNK), (x, ldx), (transposed, CHUNK), (&mut *met, CHUNK), Set);
        triangle(met, rows);
        powers.of_pairs(keys, &mut met[..rows * CHUNK], CHUNK);
    }

    /// Logits of a chunk, with the scale and `log2 e` in them, into `shares`; `q k^T` into `met`.
    pub(super) fn logits(
        &self,
        (head, powers): (usize, &Powers),
        queries: &Range<usize>,
        q: &[f32],
        [k, w, _]: [&[f32]; 3],
        own: &mut Workspace<'_>,
    ) {
        let Pass { d_h, path, scale, .. } = *self.pass;
        let (rows, wide, keys) = (queries.len(), self.wide, w.len() / self.wide);
        transpose((k, d_h), (own.k_transposed, CHUNK), (keys, d_h), |_| 1.0);
        self.meet((powers, keys), (q, d_h, d_h), own.k_transposed, own.met);
        product(path, (rows, d_h, wide), (q, d_h), (own.keys, wide), (own.shares, wide), Set);
        powers.of_queries(keys, &mut own.shares[..rows * wide], wide);
        product(path, (rows, keys, wide), (own.met, CHUNK), (w, wide), (own.shares, wide), Add);
        self.pass.count(rows * keys, [1, 0, self.l]);
        self.pass.count(rows * self.l, [1, 0, 0]);
        for (row, query) in own.shares.chunks_exact_mut(wide).zip(queries.clone()) {
            let factor = scale * std::f32::consts::LOG2_E * self.mean(head, query);
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
            let powers = Powers::of(self.decay(task / count));
            let mut space = vec![0.0; if powers.is_none() { 0 } else { CHUNK * wide }];
            for chunk in chunks(&self.keys_of(&segments::keys(task % count, count, n))) {
                self.pack(&powers, self.rows(task / count, &chunk), [keys, values], &mut space);
            }
        });
        self.join(parts, false);
    }
}
