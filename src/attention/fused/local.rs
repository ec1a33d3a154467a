//! Sliding-window attention: the blocks of [`softmax`](super::softmax), which read the keys beside them only.

use super::{Flat, Fused, Given, refuse, softmax};
use crate::attention::Mask;
use crate::attention::local::window;
use crate::error::Result;

pub(super) const FUSED: Fused =
    Fused { name: "local", masks: &[Mask::Full, Mask::Causal], run, space: softmax::space };

fn run(heads: &Flat<'_>, given: &Given<'_>, out: &mut [f32]) -> Result<()> {
    let Given::Local { l } = *given else { return refuse(FUSED.name, given) };
    softmax::windows(heads, out, &|i| window(i, l, heads.mask.visible(i, heads.m)));
    Ok(())
}
