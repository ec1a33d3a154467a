//! Exact attention, full and causal, by online softmax.

use std::ops::Range;

use super::flash::{self, Attend, Block};
use super::share::{Space, among, taken};
use super::{Flat, Fused, Given, Size, refuse};
use crate::attention::Mask;
use crate::cost::Shape;
use crate::error::Result;

pub(super) const FUSED: Fused = Fused { name: "softmax", masks: &[Mask::Full, Mask::Causal], run, space };

/// Queries of a block.
const BLOCK: usize = 64;

fn run(heads: &Flat<'_>, given: &Given<'_>, out: &mut [f32]) -> Result<()> {
    let Given::Nothing = given else { return refuse(FUSED.name, given) };
    windows(heads, out, BLOCK, &|i| 0..heads.mask.visible(i, heads.m));
    Ok(())
}

fn space(size: &Size) -> usize {
    blocks_space(size, BLOCK)
}

/// Numbers of work space for blocks of `width` queries.
pub(super) fn blocks_space(size: &Size, width: usize) -> usize {
    let Shape { n, d_h, d_v, .. } = size.shape;
    taken(size.threads.min(size.heads * n.div_ceil(width)) * flash::space(width, d_h, d_v))
}

/// Softmax where query i sees the keys `sees(i)`, whose ends never fall from one query to the next, by blocks of `width`
/// queries (16, 32, 48 or 64).
pub(super) fn windows(
    heads: &Flat<'_>,
    out: &mut [f32],
    width: usize,
    sees: &(dyn Fn(usize) -> Range<usize> + Sync),
) {
    let Flat { n, d_h, d_v, .. } = *heads;
    let each = flash::space(width, d_h, d_v);
    let workers = rayon::current_num_threads().min(heads.h * n.div_ceil(width));
    let mut space = Space::new(workers * each);
    among(heads.blocks(out, width), space.all(), each, |(head, first, out), space| {
        let mut block = Block::new(width, d_h, d_v, space);
        let last = first + out.len() / d_v - 1;
        block.begin(&heads.q(head)[first * d_h..(last + 1) * d_h], d_h, heads.scale);
        let (of_first, of_last) = (sees(first), sees(last));
        block.see(|i| sees((first + i).min(last)));
        heads.path.run(Attend {
            block: &mut block,
            k: heads.k(head),
            v: heads.v(head),
            d_h,
            d_v,
            pack_keys: false,
            keys: of_first.start..of_last.end,
            open: of_last.start..of_first.end,
            tally: heads.tally.map(|tally| (tally, d_h + d_v)),
        });
        block.finish(out, d_v);
    });
}
