//! Linear attention: features `elu + 1`.

use super::features::{self, Map};
use super::{Flat, Fused, Given, refuse};
use crate::attention::{Mask, linear};
use crate::error::Result;

pub(super) const FUSED: Fused = Fused {
    name: "linear",
    masks: &[Mask::Full, Mask::Causal],
    run,
    space: |size| features::space(size, size.shape.d_h, 0),
};

fn run(heads: &Flat<'_>, given: &Given<'_>, out: &mut [f32]) -> Result<()> {
    let Given::Nothing = given else { return refuse(FUSED.name, given) };
    features::attend(heads, heads.d_h, Map::Elu(linear::EPS), out);
    Ok(())
}
