//! Luna: pack the keys and values of each head into l rows by online softmax, then let every query meet those.
//!
//! Where keys and values are one array (a tied projection), they are packed once.

use super::flash::{self, Attend, Block, transpose};
use super::share::{Space, among, cut, lines, taken};
use super::{Flat, Fused, Given, Size, few, refuse, segments};
use crate::attention::Mask;
use crate::error::{Error, Result};

pub(super) const FUSED: Fused = Fused { name: "luna", masks: &[Mask::Full], run, space };

/// Rows of p in one block.
const BLOCK: usize = 64;

/// How l rows of p are cut: the width of a block, and how many blocks there are.
fn blocks(l: usize) -> (usize, usize) {
    (lines(l).min(BLOCK), l.div_ceil(BLOCK))
}

/// Numbers of what a block of p found in one segment: sums, their maxima and totals.
fn part(l: usize, d_h: usize, d_v: usize) -> usize {
    blocks(l).0 * (d_h + d_v + 2)
}

fn space(size: &Size) -> usize {
    let (heads, l, m) = (size.heads, size.l.min(size.shape.n), size.shape.m);
    let (d_h, d_v) = (size.shape.d_h, size.shape.d_v);
    let parts = heads * segments::count(heads, m) * blocks(l).1;
    let packing = size.threads.min(parts) * flash::space(blocks(l).0, d_h, d_h + d_v);
    let unpacking = few::workers(size.threads, heads, size.shape.n) * few::space(l);
    taken(lines(parts * part(l, d_h, d_v)) + lines(heads * few::packed(l, d_h, d_v)) + packing.max(unpacking))
}

fn run(heads: &Flat<'_>, given: &Given<'_>, out: &mut [f32]) -> Result<()> {
    let Given::Luna { p } = given else { return refuse(FUSED.name, given) };
    let Flat { h, n, m, d_h, d_v, .. } = *heads;
    let rows = p.dim().1;
    if p.dim() != (h, rows, d_h) || rows == 0 {
        let expected = format!("({h}, l, {d_h}) with l 1 or more");
        return Err(Error::Shape {
            what: "p of attention 'luna'".into(),
            found: p.shape().to_vec(),
            expected,
        });
    }
    let p = p.as_standard_layout();
    let p = p.as_slice().expect(super::STANDARD);
    let l = rows.min(n);
    let tied = std::ptr::eq(heads.k, heads.v);

    let shape = crate::cost::Shape { n, m, d_h, d_v, causal: false };
    let size = Size { shape, heads: h, l, threads: rayon::current_num_threads() };
    let mut all = Space::new(space(&size) - taken(0));
    let mut rest = all.all();
    let segments = segments::count(h, m);
    let (width, count) = blocks(l);
    let part = part(l, d_h, d_v);
    let parts = cut(&mut rest, h * segments * count * part);
    let packed = cut(&mut rest, h * few::packed(l, d_h, d_v));

    let each = flash::space(width, d_h, d_h + d_v);
    let workers = size.threads.min(h * segments * count);
    let tasks = parts.chunks_exact_mut(part).enumerate();
    among(tasks, &mut rest[..workers * each], each, |(task, part), space| {
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
            open: keys.clone(),
            keys,
            tally: heads.tally.map(|tally| (tally, d_h + d_v + if tied { 0 } else { d_h })),
        });
        let (sums, ends) = part.split_at_mut(width * (d_h + d_v));
        sums.copy_from_slice(block.sums);
        ends[..width].copy_from_slice(block.max);
        ends[width..].copy_from_slice(block.total);
    });

    let factor = heads.scale * std::f32::consts::LOG2_E;
    let of_head = packed
        .chunks_exact_mut(few::packed(l, d_h, d_v))
        .zip(parts.chunks_exact_mut(part * segments * count));
    let mut no_space = [0.0; 1];
    among(of_head, &mut no_space, 1, |(packed, parts), _| {
        let (keys, values) = packed.split_at_mut(d_h * lines(l));
        for block in 0..count {
            let (merged, at) = (merge(parts, part, count, block, width), block * width);
            let merged = &merged[..width * (d_h + d_v)];
            let (of_values, of_keys) = merged.split_at(width * d_v);
            let of_keys = if tied { of_values } else { of_keys };
            for (row, found) in keys.chunks_exact_mut(lines(l)).zip(of_keys.chunks_exact(width)) {
                for (x, found) in row[at..].iter_mut().zip(found) {
                    *x = found * factor;
                }
            }
            let here = width.min(l - at);
            transpose((of_values, width), (&mut values[at * lines(d_v)..], lines(d_v)), (d_v, here), |_| 1.0);
        }
    });

    let each = few::space(l);
    let workers = few::workers(size.threads, h, n);
    few::attend(heads, l, packed, &mut rest[..workers * each], out);
    Ok(())
}

/// Brings the segments of one block of p together in the first one's place, as means.
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
