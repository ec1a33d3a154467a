//! The state of a training in one file: weights, the optimiser's moments, and facts of the run.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayD;

use super::adam::Adam;
use crate::layer::Layout;
use crate::model::{Named, save};
use crate::{Error, Result};

/// Prefixes of the moments.
const FIRST: &str = "adam.first";
const SECOND: &str = "adam.second";
const STEPS: &str = "steps";

/// Replaces a checkpoint in one step: an interruption, or a full disk, leaves the old one. `facts` are written with it.
pub fn write(
    path: &Path,
    layout: &Layout,
    weights: &[f32],
    adam: &Adam,
    facts: &BTreeMap<String, String>,
) -> Result<()> {
    let mut all: BTreeMap<String, ArrayD<f32>> = layout.tensors(weights);
    for (prefix, means) in [(FIRST, &adam.first), (SECOND, &adam.second)] {
        let named = layout.tensors(means).into_iter();
        all.extend(named.map(|(name, tensor)| (format!("{prefix}.{name}"), tensor)));
    }
    let mut facts = facts.clone();
    facts.insert(STEPS.into(), adam.steps.to_string());
    save::save(path, &all, &facts)
}

/// The facts in a checkpoint.
pub fn facts(path: &Path) -> Result<BTreeMap<String, String>> {
    Ok(Named::open(path)?.facts())
}

/// Reads a checkpoint of a network of this layout: its weights and its facts; the optimiser gets its moments.
pub fn read(path: &Path, layout: &Layout, adam: &mut Adam) -> Result<(Vec<f32>, BTreeMap<String, String>)> {
    const ACCEPTED: &str = "a checkpoint that luna wrote";
    let tensors = Named::open(path)?;
    let facts = tensors.facts();
    let steps = facts.get(STEPS).and_then(|steps| steps.parse().ok());
    adam.steps =
        steps.ok_or_else(|| Error::malformed(path, "no number of steps in its metadata", ACCEPTED))?;
    adam.first = tensors.within(FIRST).gather(layout)?;
    adam.second = tensors.within(SECOND).gather(layout)?;
    Ok((tensors.gather(layout)?, facts))
}

/// The weights of a network of this layout in a file, of f32, f16 or bf16; the file may be an embedded one.
pub fn weights(path: &Path, layout: &Layout) -> Result<Vec<f32>> {
    Named::open(path)?.gather(layout)
}
