//! Where a training stands: weights, the optimiser's means, and facts of the run, in one file.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayD;

use super::adam::Adam;
use super::parameters::Layout;
use crate::model::luna::Named;
use crate::model::save;
use crate::{Error, Result};

/// Before the names of the means of gradients, and of their squares.
const FIRST: &str = "adam.first";
const SECOND: &str = "adam.second";
const STEPS: &str = "steps";

/// Writes a checkpoint in the place of the one that was there, in one step: an interruption, or a full disk, leaves the
/// old one. `facts` are kept with it.
pub fn write(
    path: &Path,
    layout: &Layout,
    numbers: &[f32],
    adam: &Adam,
    facts: &BTreeMap<String, String>,
) -> Result<()> {
    let mut all: BTreeMap<String, ArrayD<f32>> = layout.tensors(numbers);
    for (prefix, means) in [(FIRST, &adam.first), (SECOND, &adam.second)] {
        let named = layout.tensors(means).into_iter();
        all.extend(named.map(|(name, tensor)| (format!("{prefix}.{name}"), tensor)));
    }
    let mut facts = facts.clone();
    facts.insert(STEPS.into(), adam.steps.to_string());
    save::save(path, &all, &facts)
}

/// The facts that were kept with a checkpoint.
pub fn facts(path: &Path) -> Result<BTreeMap<String, String>> {
    Ok(Named::open(path)?.facts())
}

/// Reads a checkpoint of a network of this layout: its weights, its facts; the optimiser goes on where it was.
pub fn read(path: &Path, layout: &Layout, adam: &mut Adam) -> Result<(Vec<f32>, BTreeMap<String, String>)> {
    const ACCEPTED: &str = "a checkpoint that luna wrote";
    let tensors = Named::open(path)?;
    let facts = tensors.facts();
    let steps = facts.get(STEPS).and_then(|steps| steps.parse().ok());
    adam.steps =
        steps.ok_or_else(|| Error::malformed(path, "no number of steps in its metadata", ACCEPTED))?;
    adam.first = layout.gather(&tensors.within(FIRST))?;
    adam.second = layout.gather(&tensors.within(SECOND))?;
    Ok((layout.gather(&tensors)?, facts))
}

/// The weights in a file that holds those of a network of this layout, of f32, f16 or bf16; the file may be one that the
/// program carries.
pub fn weights(path: &Path, layout: &Layout) -> Result<Vec<f32>> {
    layout.gather(&Named::open(path)?)
}
