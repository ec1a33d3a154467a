//! Performer: positive random features (FAVOR+).

use super::features::{self, Map};
use super::{Flat, Fused, Given, STANDARD, refuse};
use crate::attention::Mask;
use crate::error::{Error, Result};

pub(super) const FUSED: Fused = Fused {
    name: "performer",
    masks: &[Mask::Full, Mask::Causal],
    run,
    space: |size| features::space(size, size.l, size.l),
};

fn run(heads: &Flat<'_>, given: &Given<'_>, out: &mut [f32]) -> Result<()> {
    let Given::Performer { w, eps } = given else { return refuse(FUSED.name, given) };
    if w.nrows() == 0 || w.ncols() != heads.d_h {
        return Err(Error::Shape {
            what: "features of attention 'performer'".into(),
            found: w.shape().to_vec(),
            expected: format!("(l, {}) with l 1 or more", heads.d_h),
        });
    }
    let w = w.as_standard_layout();
    let w = Map::Positive { w: w.as_slice().expect(STANDARD), eps: *eps };
    features::attend(heads, given.l(), w, out);
    Ok(())
}
