//! Linformer backwards (Wang et al. 2020): queries meet the l projected rows, then those give back along the length.
//!
//! ```text
//! y_k = E k    y_v = F v    A = softmax(s q y_k^T)    out = A y_v
//! dE  = sum over heads of dy_k k^T     dk = E^T dy_k
//! dF  = sum over heads of dy_v v^T     dv = F^T dy_v
//! ```
//! with `dq`, `dy_k` and `dy_v` as of any softmax attention over l keys (5 products of n l numbers, then 4 of m l).

use super::meet::{self, Back};
use super::pass::{self, Pass, Raw, cut_segments, gather, heads};
use super::tiles::{Add, Rows, outer, product};
use super::{Backward, Kept, Size, Upstream};
use crate::attention::Mask;
use crate::attention::fused::flash::transpose;
use crate::attention::fused::share::{among, cut, lines};
use crate::attention::fused::{Given, Heads, STANDARD, refuse, segments};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};

pub(super) const BACKWARD: Backward = Backward {
    name: "linformer",
    masks: &[Mask::Full],
    of_p: false,
    fits,
    forward,
    backward,
    space,
    kept: |size| size.heads * (size.l * (size.shape.d_h + size.shape.d_v) + size.shape.n),
    cost,
};

fn fits(heads: &Heads<'_>, given: &Given<'_>) -> Result<()> {
    let Given::Linformer { e, f } = given else { return refuse(BACKWARD.name, given) };
    let m = heads.real.1;
    for x in [e, f] {
        if x.dim() != e.dim() || x.nrows() == 0 || x.ncols() < m {
            return Err(Error::Shape {
                what: "E or F of attention 'linformer'".into(),
                found: x.shape().to_vec(),
                expected: format!("(l, {m} or more), E and F alike"),
            });
        }
    }
    Ok(())
}

fn cost(shape: &Shape, l: usize) -> [Cost; 2] {
    let Shape { n, m, d_h, d_v, .. } = *shape;
    let project = Cost::product(l, m, d_h + d_v);
    let forward = project + Cost::product(n, d_h + d_v, l) + Cost::softmax(n, n * l);
    let attend = Cost::product(n, d_v, 1) + Cost::product(n, l, 3 * d_h + 2 * d_v) + Cost::exps(n * l);
    [forward, attend + project + project]
}

/// Keys whose gradients are laid out at a time.
const TILE: usize = 64;

fn space(size: &Size) -> [usize; 2] {
    let Size { shape: Shape { n, m, d_h, d_v, .. }, heads, l, threads } = *size;
    let parts = heads * segments::count(heads, m) * l * (d_h + d_v);
    let workers = meet::workers(threads, heads, n);
    let forward = lines(parts) + heads * d_h * lines(l) + workers * meet::forward_space(l);
    let attending = meet::back_workers(threads, heads, n) * meet::space(l, d_h, d_v);
    let learning = threads.min(m.div_ceil(TILE)) * TILE * lines(l);
    let found = lines(meet::found(heads, n, l, d_h, d_v)) + heads * (d_h + d_v) * lines(l);
    [forward, lines(heads * n) + found + attending.max(learning)]
}

fn forward(pass: &Pass<'_>, given: &Given<'_>, kept: &mut Kept, out: &mut [f32], mut space: &mut [f32]) {
    let Given::Linformer { e, f } = given else { return };
    let Pass { h, n, m, d_h, d_v, l, path, .. } = *pass;
    let [e, f] = [e, f].map(|x| x.as_standard_layout());
    let [e, f] = [&e, &f].map(|x| (x.as_slice().expect(STANDARD), x.ncols()));
    let threads = rayon::current_num_threads();
    let (segments, piece) = (segments::count(h, m), l * (d_h + d_v));
    let parts = cut(&mut space, h * segments * piece);
    let turned = cut(&mut space, h * d_h * lines(l));
    let mut no_space = vec![0.0; threads.min(h * segments)];
    among(parts.chunks_exact_mut(piece).enumerate(), &mut no_space, 1, |(task, part), _| {
        let (head, keys) = (task / segments, segments::keys(task % segments, segments, m));
        let (of_keys, of_values) = part.split_at_mut(l * d_h);
        pass.count(l * keys.len(), [1, 1, 0]);
        for (out, x, (e, lde), d) in [(of_keys, pass.k(head), e, d_h), (of_values, pass.v(head), f, d_v)] {
            for first in keys.clone().step_by(TILE) {
                let depth = TILE.min(keys.end - first);
                product(path, (l, depth, d), (&e[first..], lde), (&x[first * d..], d), (&mut *out, d), Add);
            }
        }
    });
    kept.packs = vec![0.0; h * piece];
    kept.logs = vec![0.0; h * n];
    let of_heads = parts.chunks_exact_mut(segments * piece).zip(turned.chunks_exact_mut(d_h * lines(l)));
    for ((parts, turned), pack) in of_heads.zip(kept.packs.chunks_exact_mut(piece)) {
        gather(parts, piece);
        pack.copy_from_slice(&parts[..piece]);
        transpose((pack, d_h), (turned, lines(l)), (l, d_h), |_| 1.0);
    }
    let spaces = &mut space[..meet::workers(threads, h, n) * meet::forward_space(l)];
    meet::forward(pass, l, (&kept.packs, turned), &mut kept.logs, out, spaces);
}

fn backward(
    pass: &Pass<'_>,
    given: &Given<'_>,
    kept: &Kept,
    upstream: &Upstream<'_>,
    raw: Raw<'_>,
    mut space: &mut [f32],
) {
    let Given::Linformer { e, f } = given else { return };
    let Pass { h, n, m, d_h, d_v, l, lengths, path, .. } = *pass;
    let [e, f] = [e, f].map(|x| x.as_standard_layout());
    let [e, f] = [&e, &f].map(|x| (x.as_slice().expect(STANDARD), x.ncols()));
    let threads = rayon::current_num_threads();
    let wide = lines(l);
    let means = cut(&mut space, h * n);
    let found = cut(&mut space, meet::found(h, n, l, d_h, d_v));
    let turned = cut(&mut space, h * (d_h + d_v) * wide);
    pass::means(pass, upstream, means);
    let back = Back { pass, upstream, l, packs: &kept.packs, logs: &kept.logs, means };
    let workers = meet::back_workers(threads, h, n);
    meet::backward(&back, raw.q, found, &mut space[..workers * meet::space(l, d_h, d_v)]);

    // Gradients of keys and values: every head by itself.
    let piece = l * (d_h + d_v) * segments::count(h, n);
    let segments = segments::count(h, m);
    let mut no_space = vec![0.0; threads.min(h * segments)];
    let of_keys = (raw.k, e, lengths.1, d_h, 0, [1, 0, 0]);
    let of_values = (raw.v, f, lengths.1, d_v, l * d_h, [0, 1, 0]);
    for (to, (e, lde), length, d, at, widths) in [of_keys, of_values] {
        let tasks = heads(to, length, d, m).flat_map(|head| cut_segments(head, segments, d)).enumerate();
        among(tasks, &mut no_space, 1, |(task, to), _| {
            let (head, keys) = (task / segments, segments::keys(task % segments, segments, m));
            to.fill(0.0);
            let d_pack: Rows<'_> = (&found[head * piece + at..][..l * d], d);
            outer(path, (l, keys.len(), d), (&e[keys.start..], lde), d_pack, (to, d));
            pass.count(l * keys.len(), widths);
        });
    }

    // Gradients of E and F: a tile of keys through every head in turn.
    let (of_k, of_v) = turned.split_at_mut(h * d_h * wide);
    for head in 0..h {
        let (d_keys, d_values) = found[head * piece..][..l * (d_h + d_v)].split_at(l * d_h);
        transpose((d_keys, d_h), (&mut of_k[head * d_h * wide..], wide), (l, d_h), |_| 1.0);
        transpose((d_values, d_v), (&mut of_v[head * d_v * wide..], wide), (l, d_v), |_| 1.0);
    }
    let (each, tiles) = (TILE * wide, m.div_ceil(TILE));
    let spaces = &mut space[..threads.min(tiles) * each];
    let of_keys = (raw.e, &pass.k, &*of_k, d_h, [1, 0, 0]);
    let of_values = (raw.f, &pass.v, &*of_v, d_v, [0, 1, 0]);
    for (to, x, turned, d, widths) in [of_keys, of_values] {
        // Rows of E lie across the tiles: every tile gets the piece of each row that is its own.
        let columns = to.len() / l;
        let mut rows: Vec<_> = to.chunks_exact_mut(columns).map(|row| row[..m].chunks_mut(TILE)).collect();
        let tasks = (0..tiles).map(move |tile| (tile, rows.iter_mut().filter_map(Iterator::next).collect()));
        among(tasks, spaces, each, |(tile, pieces): (usize, Vec<&mut [f32]>), sums| {
            let (first, here) = (tile * TILE, TILE.min(m - tile * TILE));
            sums.fill(0.0);
            for head in 0..h {
                let x: Rows<'_> = (&x.head(head, m)[first * d..], d);
                let turned: Rows<'_> = (&turned[head * d * wide..][..d * wide], wide);
                product(path, (here, d, wide), x, turned, (&mut *sums, wide), Add);
                pass.count(here * l, widths);
            }
            for (row, piece) in pieces.into_iter().enumerate() {
                for (x, sum) in piece.iter_mut().zip(sums[row..].iter().step_by(wide)) {
                    *x = *sum;
                }
            }
        });
    }
}
