//! Luna backward: unpack and pack attention (Ma et al. 2021, eq. 5 and 6), each by its own logarithms.
//!
//! ```text
//! A_p = softmax(s p k^T)     y_k = A_p k    y_v = A_p v        (l, m), (l, d_h), (l, d_v)
//! A   = softmax(s q y_k^T)   out = A y_v                       (n, l), (n, d_v)
//! ```
//! Backward the queries meet the packed rows, which gives `dq`, `dy_k` and `dy_v` (5 products of n l numbers), then the
//! keys meet p:
//! ```text
//! dA_p = dy_k k^T + dy_v v^T         D_p = rowsum(dy_k * y_k + dy_v * y_v)
//! dS_p = A_p * (dA_p - D_p)          dp  = s dS_p k
//! dk   = s dS_p^T p + A_p^T dy_k     dv  = A_p^T dy_v
//! ```
//! (7 products of m l numbers). p lies along the vectors there and keys are read where they are, so that nothing of
//! length m is rearranged.

use super::fused::Luna;
use crate::attention::Mask;
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::flat::Size;
use crate::attention::kernel::form::Backward;
use crate::attention::kernel::meet::{self, Back, ROWS};
use crate::attention::kernel::pass::{self, Pass, Raw, Stack, Upstream, gather, heads, split_segments};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{carve, in_parallel, whole_lines};
use crate::attention::kernel::tiles::{Add, LogitGradientsAcross, Set, WeightsAcross, outer, product};
use crate::cost::{Cost, Shape};

impl Backward for Luna {
    fn masks(&self) -> &'static [Mask] {
        &[Mask::Full]
    }

    fn backward(
        &self,
        pass: &Pass<'_>,
        arrays: &Arrays<'_>,
        saved: &Saved,
        upstream: &Upstream<'_>,
        raw: Raw<'_>,
        space: &mut [f32],
    ) {
        backward(pass, &Stack::of(arrays.cube("p")), (saved, upstream), raw, self.l.min(pass.n), space);
    }

    fn space(&self, size: &Size) -> usize {
        space(size, self.l)
    }

    fn saved(&self, size: &Size) -> usize {
        let Shape { n, d_h, d_v, .. } = size.shape;
        let l = self.l.min(n);
        size.heads * (l * (d_h + d_v) + l + n)
    }

    fn cost(&self, shape: &Shape) -> [Cost; 2] {
        cost(shape, self.l)
    }
}

fn cost(shape: &Shape, l: usize) -> [Cost; 2] {
    let Shape { n, m, d_h, d_v, .. } = *shape;
    let l = l.min(n);
    let pack = Cost::product(l, d_h, m) + Cost::softmax(l, l * m) + Cost::product(l, m, d_h + d_v);
    let unpack = Cost::product(n, d_h, l) + Cost::softmax(n, n * l) + Cost::product(n, l, d_v);
    let means = Cost::product(n, d_v, 1) + Cost::product(l, d_h + d_v, 1);
    let unpacking = Cost::product(n, l, 3 * d_h + 2 * d_v) + Cost::exps(n * l);
    let packing = Cost::product(l, m, 5 * d_h + 2 * d_v) + Cost::exps(l * m);
    [pack + unpack, means + unpacking + packing]
}

/// Elements of p and of the gradients of the packed rows of one head, transposed, and two numbers of each row.
fn transposed(l: usize, d_h: usize, d_v: usize) -> usize {
    (2 * d_h + d_v + 2) * whole_lines(l)
}

fn space(size: &Size, l: usize) -> usize {
    let Size { shape: Shape { n, m, d_h, d_v, .. }, heads, threads } = *size;
    let l = l.min(n);
    let segments = segments::count(heads, m);
    let of_p = heads * segments * l * d_h;
    let unpacking = meet::back_workers(threads, heads, n) * meet::space(l, d_h, d_v);
    let packing = threads.min(heads * segments) * 2 * ROWS * whole_lines(l);
    let found = whole_lines(meet::found(heads, n, l, d_h, d_v)) + whole_lines(of_p);
    whole_lines(heads * n) + found + heads * transposed(l, d_h, d_v) + unpacking.max(packing)
}

fn backward(
    pass: &Pass<'_>,
    p: &Stack<'_>,
    (saved, upstream): (&Saved, &Upstream<'_>),
    mut raw: Raw<'_>,
    l: usize,
    mut space: &mut [f32],
) {
    let Pass { h, n, m, d_h, d_v, lengths, .. } = *pass;
    let d_p = raw.take("p");
    let threads = rayon::current_num_threads();
    let means = carve(&mut space, h * n);
    let found = carve(&mut space, meet::found(h, n, l, d_h, d_v));
    let segments = segments::count(h, m);
    let of_p = carve(&mut space, h * segments * l * d_h);
    let transposed_of_all = carve(&mut space, h * transposed(l, d_h, d_v));

    pass::means(pass, upstream, means);
    let back = Back { pass, upstream, l, packs: &saved.packs, logs: &saved.rows, means };
    let workers = meet::back_workers(threads, h, n);
    meet::backward(&back, raw.q, found, &mut space[..workers * meet::space(l, d_h, d_v)]);

    let piece = l * (d_h + d_v);
    let found_of = |head: usize| &found[head * segments::count(h, n) * piece..][..piece];
    for (head, mut space) in transposed_of_all.chunks_exact_mut(transposed(l, d_h, d_v)).enumerate() {
        let (d_pack, pack) = (found_of(head), &saved.packs[head * piece..][..piece]);
        let wide = whole_lines(l);
        let (logs, means) = (carve(&mut space, wide), carve(&mut space, wide));
        logs[..l].copy_from_slice(&saved.pack_rows[head * l..][..l]);
        for (row, mean) in means[..l].iter_mut().enumerate() {
            *mean = dot(&d_pack[row * d_h..][..d_h], &pack[row * d_h..][..d_h])
                + dot(&d_pack[l * d_h + row * d_v..][..d_v], &pack[l * d_h + row * d_v..][..d_v]);
        }
        pass.count(l, [1, 1, 0]);
        let (d_keys, d_values) = d_pack.split_at(l * d_h);
        for (x, d) in [(p.head(head, l), d_h), (d_keys, d_h), (d_values, d_v)] {
            transpose((x, d), (carve(&mut space, d * wide), wide), (l, d), |_| 1.0);
        }
    }

    let of_keys = heads(raw.k, lengths.1, d_h, m).flat_map(|dk| split_segments(dk, segments, d_h));
    let of_values = heads(raw.v, lengths.1, d_v, m).flat_map(|dv| split_segments(dv, segments, d_v));
    let tasks = of_keys.zip(of_values).zip(of_p.chunks_exact_mut(l * d_h)).enumerate();
    let each = 2 * ROWS * whole_lines(l);
    let spaces = &mut space[..threads.min(h * segments) * each];
    in_parallel(tasks, spaces, each, |(task, ((dk, dv), dp)), space| {
        let (head, keys) = (task / segments, segments::keys(task % segments, segments, m));
        let of_head = Packing {
            pass,
            p: p.head(head, l),
            d_pack: found_of(head),
            transposed: &transposed_of_all[head * transposed(l, d_h, d_v)..][..transposed(l, d_h, d_v)],
            l,
        };
        dp.fill(0.0);
        for first in keys.clone().step_by(ROWS) {
            let rows = ROWS.min(keys.end - first);
            let k = &pass.k(head)[first * d_h..][..rows * d_h];
            let v = &pass.v(head)[first * d_v..][..rows * d_v];
            let at = first - keys.start;
            of_head.meet((k, v), (&mut dk[at * d_h..][..rows * d_h], &mut dv[at * d_v..], dp), space);
        }
    });
    let length = d_p.len() / h;
    for (pieces, dp) in of_p.chunks_exact_mut(segments * l * d_h).zip(d_p.chunks_exact_mut(length)) {
        gather(pieces, l * d_h);
        dp[..l * d_h].copy_from_slice(&pieces[..l * d_h]);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What the keys of one head meet on the way back.
struct Packing<'a> {
    pass: &'a Pass<'a>,
    p: &'a [f32],
    /// Gradients of packed keys and then of packed values, in rows.
    d_pack: &'a [f32],
    /// Logarithms and means of each row of p; then p and the gradients, transposed.
    transposed: &'a [f32],
    l: usize,
}

impl Packing<'_> {
    /// A block of keys and values: their gradients are written, those of p added.
    fn meet(
        &self,
        (k, v): (&[f32], &[f32]),
        (dk, dv, dp): (&mut [f32], &mut [f32], &mut [f32]),
        mut space: &mut [f32],
    ) {
        let Self { pass, p, d_pack, l, .. } = *self;
        let Pass { d_h, d_v, scale, path, .. } = *pass;
        let (rows, wide) = (k.len() / d_h, whole_lines(l));
        let (weights, d_logits) = (carve(&mut space, ROWS * wide), carve(&mut space, ROWS * wide));
        let (logs, rest) = self.transposed.split_at(wide);
        let (means, rest) = rest.split_at(wide);
        let (p_transposed, rest) = rest.split_at(d_h * wide);
        let (d_keys_transposed, d_values_transposed) = rest.split_at(d_h * wide);
        let (d_keys, d_values) = d_pack.split_at(l * d_h);
        let (of_h, of_v) = ((rows, d_h, wide), (rows, d_v, wide));

        let last = WeightsAcross { logs, factor: scale * std::f32::consts::LOG2_E };
        product(path, of_h, (k, d_h), (p_transposed, wide), (weights, wide), last);
        product(path, of_h, (k, d_h), (d_keys_transposed, wide), (d_logits, wide), Set);
        let last = LogitGradientsAcross { weights: (weights, wide), means, scale };
        product(path, of_v, (v, d_v), (d_values_transposed, wide), (d_logits, wide), last);

        product(path, (rows, l, d_h), (d_logits, wide), (p, d_h), (&mut *dk, d_h), Set);
        product(path, (rows, l, d_h), (weights, wide), (d_keys, d_h), (dk, d_h), Add);
        product(path, (rows, l, d_v), (weights, wide), (d_values, d_v), (dv, d_v), Set);
        outer(path, (rows, l, d_h), (d_logits, wide), (k, d_h), (dp, d_h));
        pass.count(rows * l, [5, 2, 0]);
    }
}
