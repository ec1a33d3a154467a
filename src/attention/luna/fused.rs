//! Luna: pack the keys and values of each head into l rows by online softmax, then let every query meet those.
//!
//! Where keys and values are one array (a tied projection), they are packed once.

use ndarray::{Array2, s};

use crate::attention::Mask;
use crate::attention::kernel::arrays::{Arrays, Draw, Part};
use crate::attention::kernel::exact::{ExactArrays, ExactHead, Maxima, softmax};
use crate::attention::kernel::flash::{self, Attend, Block, transpose};
use crate::attention::kernel::flat::{Flat, STANDARD, Size};
use crate::attention::kernel::form::{Backward, Form};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::share::{Space, aligned, carve, chunks_or_empty, in_parallel, whole_lines};
use crate::attention::kernel::{few, segments};
use crate::cost::{Cost, Shape};
use crate::linalg::random_mask::RandomMask;

#[derive(Debug)]
pub(super) struct Luna {
    pub(super) l: usize,
}

impl Form for Luna {
    fn masks(&self) -> &'static [Mask] {
        &[Mask::Full]
    }

    fn parts(&self, _: usize, d_h: usize) -> Vec<Part> {
        let (shape, draw) = ((self.l, d_h), Draw::Normal);
        vec![Part { name: "p", shape, per_head: true, longer: false, trained: true, draw }]
    }

    fn forward(&self, heads: &Flat<'_>, arrays: &Arrays<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
        forward(heads, arrays, saved, out);
    }

    fn space(&self, size: &Size) -> usize {
        space(size, self.l)
    }

    /// The keys are packed with the values: one product of (l, m) and (m, `d_h`) less.
    fn tied_cost(&self, shape: &Shape, untied: Cost) -> Option<Cost> {
        let keys = Cost::product(self.l.min(shape.n), shape.m, shape.d_h);
        Some(Cost { macs: untied.macs - keys.macs, ..untied })
    }

    fn exact(&self, head: &ExactHead, arrays: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        let ExactHead { q, k, v, scale, .. } = head;
        let p = arrays.get("p");
        let (p, all) = (p.slice(s![..p.nrows().min(q.nrows()), ..]), |_, _| true);
        let [keys, values] = [k, v].map(|x| softmax(p, k.view(), x.view(), *scale, all));
        softmax(q.view(), keys.view(), values.view(), *scale, all)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

/// Rows of p in one block.
const BLOCK: usize = 64;

/// How l rows of p are cut: the width of a block, and how many blocks there are.
fn blocks(l: usize) -> (usize, usize) {
    (whole_lines(l).min(BLOCK), l.div_ceil(BLOCK))
}

/// Elements of what a block of p found in one segment: sums, their maxima and totals.
fn part(l: usize, d_h: usize, d_v: usize) -> usize {
    blocks(l).0 * (d_h + d_v + 2)
}

fn space(size: &Size, l: usize) -> usize {
    let (heads, l, m) = (size.heads, l.min(size.shape.n), size.shape.m);
    let (d_h, d_v) = (size.shape.d_h, size.shape.d_v);
    let parts = heads * segments::count(heads, m) * blocks(l).1;
    let packing = size.threads.min(parts) * flash::space(blocks(l).0, d_h, d_h + d_v);
    let unpacking = few::workers(size.threads, heads, size.shape.n) * few::space(l);
    aligned(
        whole_lines(parts * part(l, d_h, d_v))
            + whole_lines(heads * few::packed(l, d_h, d_v))
            + packing.max(unpacking),
    )
}

fn forward(heads: &Flat<'_>, arrays: &Arrays<'_>, mut saved: Option<&mut Saved>, out: &mut [f32]) {
    let Flat { h, n, m, d_h, d_v, .. } = *heads;
    let p = arrays.cube("p");
    let rows = p.dim().1;
    let p = p.as_standard_layout();
    let p = p.as_slice().expect(STANDARD);
    let l = rows.min(n);
    let tied = std::ptr::eq(heads.k, heads.v);

    let size = heads.size();
    let mut all = Space::new(space(&size, l) - aligned(0));
    let mut rest = all.all();
    let segments = segments::count(h, m);
    let (width, count) = blocks(l);
    let part = part(l, d_h, d_v);
    let parts = carve(&mut rest, h * segments * count * part);
    let packed = carve(&mut rest, h * few::packed(l, d_h, d_v));

    let each = flash::space(width, d_h, d_h + d_v);
    let workers = size.threads.min(h * segments * count);
    let tasks = parts.chunks_exact_mut(part).enumerate();
    in_parallel(tasks, &mut rest[..workers * each], each, |(task, part), space| {
        let (head, segment, at) = (task / count / segments, task / count % segments, task % count * width);
        let mut block = Block::new(width, d_h, d_h + d_v, space);
        let p = &p[(head * rows + at) * d_h..(head * rows + (at + width).min(l)) * d_h];
        block.begin(p, d_h, heads.scale);
        let keys = segments::keys(segment, segments, m);
        heads.path.run(Attend {
            block: &mut block,
            k: heads.k(head),
            v: heads.v(head),
            d_h,
            d_v,
            pack_keys: !tied,
            dropped: (RandomMask::OFF, 0),
            open: keys.clone(),
            keys,
            tally: heads.tally.map(|tally| (tally, d_h + d_v + if tied { 0 } else { d_h })),
        });
        let (sums, ends) = part.split_at_mut(width * (d_h + d_v));
        sums.copy_from_slice(block.sums);
        ends[..width].copy_from_slice(block.max);
        ends[width..].copy_from_slice(block.total);
    });

    // Saved: rows of packed keys and then of packed values, a head after the other, and the logarithm of each row's sum.
    let (wide_h, wide_v) = (whole_lines(d_h), whole_lines(d_v));
    let (mut no_packs, mut no_logs) = (Vec::new(), Vec::new());
    let (packs, logs) = saved.as_mut().map_or((&mut no_packs, &mut no_logs), |saved| {
        saved.packs = vec![0.0; h * l * (wide_h + wide_v)];
        saved.pack_rows = vec![0.0; h * l];
        (&mut saved.packs, &mut saved.pack_rows)
    });
    let saving = chunks_or_empty(packs, l * (wide_h + wide_v)).zip(chunks_or_empty(logs, l));
    let factor = heads.scale * std::f32::consts::LOG2_E;
    let of_head = packed
        .chunks_exact_mut(few::packed(l, d_h, d_v))
        .zip(parts.chunks_exact_mut(part * segments * count))
        .zip(saving);
    let mut no_space = [0.0; 1];
    in_parallel(of_head, &mut no_space, 1, |((packed, parts), (packs, logs)), _| {
        let (keys, values) = packed.split_at_mut(d_h * whole_lines(l));
        for block in 0..count {
            let (merged, at) = (merge(parts, part, count, block, width), block * width);
            let (merged, ends) = merged.split_at(width * (d_h + d_v));
            let (of_values, of_keys) = merged.split_at(width * d_v);
            let of_keys = if tied { of_values } else { of_keys };
            for (row, found) in keys.chunks_exact_mut(whole_lines(l)).zip(of_keys.chunks_exact(width)) {
                for (x, found) in row[at..].iter_mut().zip(found) {
                    *x = found * factor;
                }
            }
            let here = width.min(l - at);
            if let Some(logs) = logs.get_mut(at..at + here) {
                logs.copy_from_slice(&ends[..here]);
                let (rows_k, rows_v) = packs.split_at_mut(l * wide_h);
                transpose((of_keys, width), (&mut rows_k[at * wide_h..], wide_h), (d_h, here), |_| 1.0);
                transpose((of_values, width), (&mut rows_v[at * wide_v..], wide_v), (d_v, here), |_| 1.0);
            }
            transpose(
                (of_values, width),
                (&mut values[at * whole_lines(d_v)..], whole_lines(d_v)),
                (d_v, here),
                |_| 1.0,
            );
        }
    });

    let each = few::space(l);
    let workers = few::workers(size.threads, h, n);
    few::attend(heads, l, packed, &mut rest[..workers * each], saved, out);
}

/// Merges the segments of one block of p in the first one's place: means, then the logarithms of the rows' sums.
fn merge(parts: &mut [f32], part: usize, count: usize, block: usize, width: usize) -> &[f32] {
    let (first, others) = parts[block * part..].split_at_mut(part);
    let (sums, ends) = first.split_at_mut(part - 2 * width);
    let (max, total) = ends.split_at_mut(width);
    let others = || others.chunks(part).skip(count - 1).step_by(count);
    for lane in 0..width {
        let top = others().fold(max[lane], |top, other| top.max(other[part - 2 * width + lane]));
        max[lane] -= top;
        total[lane] *= max[lane].exp2();
        for other in others() {
            total[lane] += other[part - width + lane] * (other[part - 2 * width + lane] - top).exp2();
        }
        // Each segment's share of the whole, divided by the whole.
        let inverse = 1.0 / total[lane];
        let share = max[lane].exp2() * inverse;
        max[lane] = top + total[lane].log2();
        for x in sums[lane..].iter_mut().step_by(width) {
            *x *= share;
        }
        for other in others() {
            let share = (other[part - 2 * width + lane] - top).exp2() * inverse;
            let found = other[lane..part - 2 * width].iter().step_by(width);
            for (x, found) in sums[lane..].iter_mut().step_by(width).zip(found) {
                *x += found * share;
            }
        }
    }
    first
}
