//! Sliding-window attention: the blocks of [`softmax`](super::softmax), which read the keys beside them only.

use super::{Flat, Fused, Given, refuse, softmax};
use crate::attention::Mask;
use crate::attention::local::window;
use crate::error::Result;

pub(super) const FUSED: Fused = Fused {
    name: "local",
    masks: &[Mask::Full, Mask::Causal],
    run,
    space: |size| softmax::blocks_space(size, width(size.l)),
};

/// Queries of a block. A block meets every key that any of its queries sees, `width + l` of them, of which each sees l:
/// wide blocks keep registers busier, narrow ones waste fewer pairs.
const fn width(l: usize) -> usize {
    match l {
        0..=47 => 16,
        48..=255 => 32,
        _ => 64,
    }
}

fn run(heads: &Flat<'_>, given: &Given<'_>, out: &mut [f32]) -> Result<()> {
    let Given::Local { l } = *given else { return refuse(FUSED.name, given) };
    softmax::windows(heads, out, width(l), &|i| window(i, l, heads.mask.visible(i, heads.m)));
    Ok(())
}
