//! Luna backwards: unpack and pack attention (Ma et al. 2021, eq. 5 and 6), each by its own logarithms.
//!
//! ```text
//! A_p = softmax(s p k^T)     y_k = A_p k    y_v = A_p v        (l, m), (l, d_h), (l, d_v)
//! A   = softmax(s q y_k^T)   out = A y_v                       (n, l), (n, d_v)
//! ```
//! Backwards the queries meet the packed rows, which gives `dq`, `dy_k` and `dy_v` (5 products of n l numbers), then the
//! keys meet p:
//! ```text
//! dA_p = dy_k k^T + dy_v v^T         D_p = rowsum(dy_k * y_k + dy_v * y_v)
//! dS_p = A_p * (dA_p - D_p)          dp  = s dS_p k
//! dk   = s dS_p^T p + A_p^T dy_k     dv  = A_p^T dy_v
//! ```
//! (7 products of m l numbers). p lies along the vectors there and keys are read where they are, so that nothing of
//! length m is rearranged.

use super::meet::{self, Back, ROWS};
use super::pass::{self, Pass, Raw, cut_segments, gather, heads};
use super::tiles::{Add, Set, SlopesAcross, WeightsAcross, outer, product};
use super::{Backward, Kept, Size, Upstream};
use crate::attention::Mask;
use crate::attention::fused::flash::{self, Attend, Block, transpose};
use crate::attention::fused::share::{among, cut, lines};
use crate::attention::fused::{Given, Heads, refuse, segments};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};

pub(super) const BACKWARD: Backward = Backward {
    name: "luna",
    masks: &[Mask::Full],
    of_p: true,
    fits,
    forward: |pass, _, kept, out, space| forward(pass, kept, out, space),
    backward: |pass, _, kept, upstream, raw, space| backward(pass, kept, upstream, raw, space),
    space,
    kept: |size| {
        let Shape { n, d_h, d_v, .. } = size.shape;
        let l = size.l.min(n);
        size.heads * (l * (d_h + d_v) + l + n)
    },
    cost,
};

fn fits(heads: &Heads<'_>, given: &Given<'_>) -> Result<()> {
    let Given::Luna { p } = given else { return refuse(BACKWARD.name, given) };
    p_fits(BACKWARD.name, heads, p.dim())
}

/// Refuses a p that the heads have no use for.
pub(super) fn p_fits(name: &str, heads: &Heads<'_>, p: (usize, usize, usize)) -> Result<()> {
    let (h, _, d_h) = heads.q.dim();
    if (p.0, p.2) != (h, d_h) || p.1 == 0 {
        return Err(Error::Shape {
            what: format!("p of attention '{name}'"),
            found: vec![p.0, p.1, p.2],
            expected: format!("({h}, l, {d_h}) with l 1 or more"),
        });
    }
    Ok(())
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

/// Rows of p in one block forwards.
const BLOCK: usize = 64;

/// How l rows of p are cut: the width of a block, and how many blocks there are.
fn blocks(l: usize) -> (usize, usize) {
    (lines(l).min(BLOCK), l.div_ceil(BLOCK))
}

/// Numbers of what a block of p found in one segment: sums, their maxima and totals.
fn part(l: usize, d_h: usize, d_v: usize) -> usize {
    blocks(l).0 * (d_h + d_v + 2)
}

/// Numbers of p and of the gradients of the packed rows of one head, turned, and two numbers of each row.
fn turned(l: usize, d_h: usize, d_v: usize) -> usize {
    (2 * d_h + d_v + 2) * lines(l)
}

fn space(size: &Size) -> [usize; 2] {
    let Size { shape: Shape { n, m, d_h, d_v, .. }, heads, threads, .. } = *size;
    let l = size.l.min(n);
    let segments = segments::count(heads, m);
    let parts = heads * segments * blocks(l).1;
    let packing = threads.min(parts) * flash::space(blocks(l).0, d_h, d_h + d_v);
    let unpacking = meet::workers(threads, heads, n) * meet::forward_space(l);
    let forward = lines(parts * part(l, d_h, d_v)) + heads * d_h * lines(l) + packing.max(unpacking);
    let of_p = heads * segments * l * d_h;
    let unpacking = meet::back_workers(threads, heads, n) * meet::space(l, d_h, d_v);
    let packing = threads.min(heads * segments) * 2 * ROWS * lines(l);
    let found = lines(meet::found(heads, n, l, d_h, d_v)) + lines(of_p);
    let backward = lines(heads * n) + found + heads * turned(l, d_h, d_v);
    [forward, backward + unpacking.max(packing)]
}

fn forward(pass: &Pass<'_>, kept: &mut Kept, out: &mut [f32], mut space: &mut [f32]) {
    let Pass { h, n, m, d_h, d_v, .. } = *pass;
    let l = pass.l.min(n);
    let threads = rayon::current_num_threads();
    let segments = segments::count(h, m);
    let (width, count) = blocks(l);
    let part = part(l, d_h, d_v);
    let parts = cut(&mut space, h * segments * count * part);
    let turned = cut(&mut space, h * d_h * lines(l));

    let each = flash::space(width, d_h, d_h + d_v);
    let spaces = &mut space[..threads.min(h * segments * count) * each];
    among(parts.chunks_exact_mut(part).enumerate(), spaces, each, |(task, part), space| {
        let (head, segment, at) = (task / count / segments, task / count % segments, task % count * width);
        let mut block = Block::new(width, d_h, d_h + d_v, space);
        block.begin(&rows_of_p(pass, head, l)[at * d_h..(at + width).min(l) * d_h], d_h, pass.scale);
        let keys = segments::keys(segment, segments, m);
        pass.path.run(Attend {
            block: &mut block,
            k: pass.k(head),
            v: pass.v(head),
            d_h,
            d_v,
            pack_keys: true,
            open: keys.clone(),
            keys,
            tally: pass.tally([2, 1]),
        });
        let (sums, ends) = part.split_at_mut(width * (d_h + d_v));
        sums.copy_from_slice(block.sums);
        ends[..width].copy_from_slice(block.max);
        ends[width..].copy_from_slice(block.total);
    });

    kept.packs = vec![0.0; h * l * (d_h + d_v)];
    kept.pack_logs = vec![0.0; h * l];
    kept.logs = vec![0.0; h * n];
    let of_heads = kept.packs.chunks_exact_mut(l * (d_h + d_v)).zip(kept.pack_logs.chunks_exact_mut(l));
    let of_heads = of_heads.zip(turned.chunks_exact_mut(d_h * lines(l))).enumerate();
    for (head, ((pack, logs), turned)) in of_heads {
        let parts = &parts[head * segments * count * part..][..segments * count * part];
        let (keys, values) = pack.split_at_mut(l * d_h);
        for row in 0..l {
            let found = |segment: usize| &parts[(segment * count + row / width) * part..][..part];
            let into = (&mut keys[row * d_h..][..d_h], &mut values[row * d_v..][..d_v]);
            logs[row] = merge((0..segments).map(found), width, row % width, into);
        }
        transpose((keys, d_h), (turned, lines(l)), (l, d_h), |_| 1.0);
    }
    let spaces = &mut space[..meet::workers(threads, h, n) * meet::forward_space(l)];
    meet::forward(pass, l, (&kept.packs, turned), &mut kept.logs, out, spaces);
}

/// The rows of p that are used, of one head.
fn rows_of_p<'a>(pass: &'a Pass<'_>, head: usize, l: usize) -> &'a [f32] {
    pass.p.as_ref().map_or(&[], |p| p.head(head, l))
}

/// Brings together what one row of p found in every segment, as means of keys and values; returns the logarithm of the
/// sum of its weights.
fn merge<'a>(
    parts: impl Iterator<Item = &'a [f32]> + Clone,
    width: usize,
    lane: usize,
    (keys, values): (&mut [f32], &mut [f32]),
) -> f32 {
    let max = |part: &[f32]| part[part.len() - 2 * width + lane];
    let total = |part: &[f32]| part[part.len() - width + lane];
    let top = parts.clone().map(max).fold(f32::NEG_INFINITY, f32::max);
    let all: f32 = parts.clone().map(|part| total(part) * (max(part) - top).exp2()).sum();
    for part in parts {
        let share = (max(part) - top).exp2() / all;
        let sums = part[lane..part.len() - 2 * width].iter().step_by(width);
        // The sums of values stand above those of keys.
        for (x, sum) in values.iter_mut().chain(&mut *keys).zip(sums) {
            *x += share * sum;
        }
    }
    top + all.log2()
}

fn backward(pass: &Pass<'_>, kept: &Kept, upstream: &Upstream<'_>, raw: Raw<'_>, mut space: &mut [f32]) {
    let Pass { h, n, m, d_h, d_v, lengths, .. } = *pass;
    let l = pass.l.min(n);
    let threads = rayon::current_num_threads();
    let means = cut(&mut space, h * n);
    let found = cut(&mut space, meet::found(h, n, l, d_h, d_v));
    let segments = segments::count(h, m);
    let of_p = cut(&mut space, h * segments * l * d_h);
    let turned_of_all = cut(&mut space, h * turned(l, d_h, d_v));

    pass::means(pass, upstream, means);
    let back = Back { pass, upstream, l, packs: &kept.packs, logs: &kept.logs, means };
    let workers = meet::back_workers(threads, h, n);
    meet::backward(&back, raw.q, found, &mut space[..workers * meet::space(l, d_h, d_v)]);

    let piece = l * (d_h + d_v);
    let found_of = |head: usize| &found[head * segments::count(h, n) * piece..][..piece];
    for (head, mut space) in turned_of_all.chunks_exact_mut(turned(l, d_h, d_v)).enumerate() {
        let (d_pack, pack) = (found_of(head), &kept.packs[head * piece..][..piece]);
        let wide = lines(l);
        let (logs, means) = (cut(&mut space, wide), cut(&mut space, wide));
        logs[..l].copy_from_slice(&kept.pack_logs[head * l..][..l]);
        for (row, mean) in means[..l].iter_mut().enumerate() {
            *mean = dot(&d_pack[row * d_h..][..d_h], &pack[row * d_h..][..d_h])
                + dot(&d_pack[l * d_h + row * d_v..][..d_v], &pack[l * d_h + row * d_v..][..d_v]);
        }
        pass.count(l, [1, 1, 0]);
        let (d_keys, d_values) = d_pack.split_at(l * d_h);
        for (x, d) in [(rows_of_p(pass, head, l), d_h), (d_keys, d_h), (d_values, d_v)] {
            transpose((x, d), (cut(&mut space, d * wide), wide), (l, d), |_| 1.0);
        }
    }

    let of_keys = heads(raw.k, lengths.1, d_h, m).flat_map(|dk| cut_segments(dk, segments, d_h));
    let of_values = heads(raw.v, lengths.1, d_v, m).flat_map(|dv| cut_segments(dv, segments, d_v));
    let tasks = of_keys.zip(of_values).zip(of_p.chunks_exact_mut(l * d_h)).enumerate();
    let each = 2 * ROWS * lines(l);
    let spaces = &mut space[..threads.min(h * segments) * each];
    among(tasks, spaces, each, |(task, ((dk, dv), dp)), space| {
        let (head, keys) = (task / segments, segments::keys(task % segments, segments, m));
        let of_head = Packing {
            pass,
            p: rows_of_p(pass, head, l),
            d_pack: found_of(head),
            turned: &turned_of_all[head * turned(l, d_h, d_v)..][..turned(l, d_h, d_v)],
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
    let length = raw.p.len() / h;
    for (pieces, dp) in of_p.chunks_exact_mut(segments * l * d_h).zip(raw.p.chunks_exact_mut(length)) {
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
    /// Logarithms and means of each row of p; then p and the gradients, turned.
    turned: &'a [f32],
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
        let (rows, wide) = (k.len() / d_h, lines(l));
        let (weights, slopes) = (cut(&mut space, ROWS * wide), cut(&mut space, ROWS * wide));
        let (logs, rest) = self.turned.split_at(wide);
        let (means, rest) = rest.split_at(wide);
        let (p_turned, rest) = rest.split_at(d_h * wide);
        let (d_keys_turned, d_values_turned) = rest.split_at(d_h * wide);
        let (d_keys, d_values) = d_pack.split_at(l * d_h);
        let (of_h, of_v) = ((rows, d_h, wide), (rows, d_v, wide));

        let last = WeightsAcross { logs, factor: scale * std::f32::consts::LOG2_E };
        product(path, of_h, (k, d_h), (p_turned, wide), (weights, wide), last);
        product(path, of_h, (k, d_h), (d_keys_turned, wide), (slopes, wide), Set);
        let last = SlopesAcross { weights: (weights, wide), means, scale };
        product(path, of_v, (v, d_v), (d_values_turned, wide), (slopes, wide), last);

        product(path, (rows, l, d_h), (slopes, wide), (p, d_h), (&mut *dk, d_h), Set);
        product(path, (rows, l, d_h), (weights, wide), (d_keys, d_h), (dk, d_h), Add);
        product(path, (rows, l, d_v), (weights, wide), (d_values, d_v), (dv, d_v), Set);
        outer(path, (rows, l, d_h), (slopes, wide), (k, d_h), (dp, d_h));
        pass.count(rows * l, [5, 2, 0]);
    }
}
