//! Linformer backward (Wang et al. 2020): queries meet the l projected rows, then those give back along the length.
//!
//! ```text
//! y_k = E k    y_v = F v    A = softmax(s q y_k^T)    out = A y_v
//! dE  = sum over heads of dy_k k^T     dk = E^T dy_k
//! dF  = sum over heads of dy_v v^T     dv = F^T dy_v
//! ```
//! with `dq`, `dy_k` and `dy_v` as of any softmax attention over l keys (5 products of n l numbers, then 4 of m l).

use ndarray::ArrayView2;

use super::fused::Linformer;
use crate::attention::Mask;
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::flat::{STANDARD, Size};
use crate::attention::kernel::form::Backward;
use crate::attention::kernel::meet::{self, Back};
use crate::attention::kernel::pass::{self, Pass, Raw, Upstream, heads, split_segments};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{carve, in_parallel, whole_lines};
use crate::attention::kernel::tiles::{Add, Rows, outer, product};
use crate::cost::{Cost, Shape};

impl Backward for Linformer {
    fn masks(&self) -> &'static [Mask] {
        &[Mask::Full]
    }

    fn backward(
        &self,
        pass: &Pass<'_>,
        arrays: &Arrays<'_>,
        saved: &Saved,
        upstream: &Upstream<'_>,
        mut raw: Raw<'_>,
        space: &mut [f32],
    ) {
        let [d_e, d_f] = ["e", "f"].map(|name| raw.take(name));
        backward(pass, self.projections(arrays), (saved, upstream), (raw, d_e, d_f), space);
    }

    fn space(&self, size: &Size) -> usize {
        space(size, self.l)
    }

    fn saved(&self, size: &Size) -> usize {
        size.heads * (self.l * (size.shape.d_h + size.shape.d_v) + size.shape.n)
    }

    fn cost(&self, shape: &Shape) -> [Cost; 2] {
        cost(shape, self.l)
    }
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

fn space(size: &Size, l: usize) -> usize {
    let Size { shape: Shape { n, m, d_h, d_v, .. }, heads, threads } = *size;
    let attending = meet::back_workers(threads, heads, n) * meet::space(l, d_h, d_v);
    let learning = threads.min(m.div_ceil(TILE)) * TILE * whole_lines(l);
    let found = whole_lines(meet::found(heads, n, l, d_h, d_v)) + heads * (d_h + d_v) * whole_lines(l);
    whole_lines(heads * n) + found + attending.max(learning)
}

/// Where F is E (`d_f` is empty), the two gradients add up in `d_e`.
fn backward(
    pass: &Pass<'_>,
    [e, f]: [ArrayView2<'_, f32>; 2],
    (saved, upstream): (&Saved, &Upstream<'_>),
    (raw, d_e, d_f): (Raw<'_>, &mut [f32], &mut [f32]),
    mut space: &mut [f32],
) {
    let Pass { h, n, m, d_h, d_v, lengths, path, .. } = *pass;
    let l = e.nrows();
    let [e, f] = [&e, &f].map(|x| x.as_standard_layout());
    let [e, f] = [&e, &f].map(|x| (x.as_slice().expect(STANDARD), x.ncols()));
    let threads = rayon::current_num_threads();
    let wide = whole_lines(l);
    let means = carve(&mut space, h * n);
    let found = carve(&mut space, meet::found(h, n, l, d_h, d_v));
    let transposed = carve(&mut space, h * (d_h + d_v) * wide);
    pass::means(pass, upstream, means);
    let back = Back { pass, upstream, l, packs: &saved.packs, logs: &saved.rows, means };
    let workers = meet::back_workers(threads, h, n);
    meet::backward(&back, raw.q, found, &mut space[..workers * meet::space(l, d_h, d_v)]);

    // Gradients of keys and values: every head by itself.
    let piece = l * (d_h + d_v) * segments::count(h, n);
    let segments = segments::count(h, m);
    let mut no_space = vec![0.0; threads.min(h * segments)];
    let of_keys = (raw.k, e, lengths.1, d_h, 0, [1, 0, 0]);
    let of_values = (raw.v, f, lengths.1, d_v, l * d_h, [0, 1, 0]);
    for (to, (e, lde), length, d, at, widths) in [of_keys, of_values] {
        let tasks = heads(to, length, d, m).flat_map(|head| split_segments(head, segments, d)).enumerate();
        in_parallel(tasks, &mut no_space, 1, |(task, to), _| {
            let (head, keys) = (task / segments, segments::keys(task % segments, segments, m));
            to.fill(0.0);
            let d_pack: Rows<'_> = (&found[head * piece + at..][..l * d], d);
            outer(path, (l, keys.len(), d), (&e[keys.start..], lde), d_pack, (to, d));
            pass.count(l * keys.len(), widths);
        });
    }

    // Gradients of E and F: a tile of keys through every head in turn.
    let (of_k, of_v) = transposed.split_at_mut(h * d_h * wide);
    for head in 0..h {
        let (d_keys, d_values) = found[head * piece..][..l * (d_h + d_v)].split_at(l * d_h);
        transpose((d_keys, d_h), (&mut of_k[head * d_h * wide..], wide), (l, d_h), |_| 1.0);
        transpose((d_values, d_v), (&mut of_v[head * d_v * wide..], wide), (l, d_v), |_| 1.0);
    }
    let (each, tiles) = (TILE * wide, m.div_ceil(TILE));
    let spaces = &mut space[..threads.min(tiles) * each];
    let of_keys = (&pass.k, &*of_k, d_h, [1, 0, 0]);
    let of_values = (&pass.v, &*of_v, d_v, [0, 1, 0]);
    let shared = d_f.is_empty();
    for (at, (x, transposed, d, widths)) in [of_keys, of_values].into_iter().enumerate() {
        let to = if at == 0 || shared { &mut *d_e } else { &mut *d_f };
        let adds = at == 1 && shared;
        // Rows of E lie across the tiles: every tile gets its part of each row.
        let columns = to.len() / l;
        let mut rows: Vec<_> = to.chunks_exact_mut(columns).map(|row| row[..m].chunks_mut(TILE)).collect();
        let tasks = (0..tiles).map(move |tile| (tile, rows.iter_mut().filter_map(Iterator::next).collect()));
        in_parallel(tasks, spaces, each, |(tile, pieces): (usize, Vec<&mut [f32]>), sums| {
            let (first, here) = (tile * TILE, TILE.min(m - tile * TILE));
            sums.fill(0.0);
            for head in 0..h {
                let x: Rows<'_> = (&x.head(head, m)[first * d..], d);
                let transposed: Rows<'_> = (&transposed[head * d * wide..][..d * wide], wide);
                product(path, (here, d, wide), x, transposed, (&mut *sums, wide), Add);
                pass.count(here * l, widths);
            }
            for (row, piece) in pieces.into_iter().enumerate() {
                for (x, sum) in piece.iter_mut().zip(sums[row..].iter().step_by(wide)) {
                    *x = if adds { *x + *sum } else { *sum };
                }
            }
        });
    }
}
