//! Images as sequences of grey values, row by row: what tasks of images share.

use super::classified::{Example, Sets};
use super::kind::Setup;
use crate::{Error, Result};

/// What token ids mean: grey values.
pub(super) const PIXELS: &str = "pixels";
/// Grey values.
pub(super) const TOKENS: usize = 256;

/// The side of generated images: the parameter `size`, or as much as a sequence holds.
pub(super) fn side(setup: &Setup<'_>, least: usize) -> Result<usize> {
    let most = setup.recipe.n.isqrt();
    if most < least {
        let accepted = format!("{} or more, for images of {least} x {least} pixels", least * least);
        return Err(Error::value(format!("--seq-len of task '{}'", setup.task), setup.recipe.n, accepted));
    }
    let side = setup.params.optional("size")?.unwrap_or(most);
    if side < least || side > most {
        let accepted = format!("{least} to {most}, the root of --seq-len {}", setup.recipe.n);
        return Err(Error::value(format!("parameter 'size' of task '{}'", setup.task), side, accepted));
    }
    Ok(side)
}

/// The sets of generated images: one list, split in three.
pub(super) fn generated(
    setup: &Setup<'_>,
    generate: impl Fn(usize) -> Result<Vec<(u32, Vec<u8>)>>,
) -> Result<Sets<1>> {
    let [train, held] = ["examples", "held"].map(|name| setup.params.at_least::<usize>(name, 1));
    let (train, held) = (train?, held?);
    let all = generate(train.saturating_add(held.saturating_mul(2)))?;
    Ok(Sets::of_one_list(examples(&all), train, held))
}

/// Images as sequences of grey values.
pub(super) fn examples(images: &[(u32, Vec<u8>)]) -> Vec<Example<1>> {
    let tokens = |pixels: &[u8]| pixels.iter().map(|pixel| u32::from(*pixel)).collect();
    images.iter().map(|(class, pixels)| Example { sequences: [tokens(pixels)], class: *class }).collect()
}
