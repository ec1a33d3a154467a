//! Where a training stands: weights, the optimiser's means, and facts of the run, in one file.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;

use super::adam::Adam;
use super::parameters::Layout;
use crate::model::save;
use crate::{Error, Result};

/// Before the names of the means of gradients, and of their squares.
const FIRST: &str = "adam.first.";
const SECOND: &str = "adam.second.";
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
        all.extend(named.map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    }
    let mut facts = facts.clone();
    facts.insert(STEPS.into(), adam.steps.to_string());
    save::save(path, &all, &facts)
}

type Tensors = BTreeMap<String, ArrayD<f32>>;

/// All tensors of a file, which must be f32, and its facts.
fn read_all(path: &Path) -> Result<(Tensors, BTreeMap<String, String>)> {
    const ACCEPTED: &str = "a checkpoint that luna wrote";
    let bytes = std::fs::read(path).map_err(Error::file(path))?;
    let (_, header) =
        SafeTensors::read_metadata(&bytes).map_err(|error| Error::malformed(path, error, ACCEPTED))?;
    let facts = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let file = SafeTensors::deserialize(&bytes).map_err(|error| Error::malformed(path, error, ACCEPTED))?;
    let mut all = BTreeMap::new();
    for (name, view) in file.tensors() {
        let (numbers, rest) = view.data().as_chunks::<4>();
        let tensor = ArrayD::from_shape_vec(
            IxDyn(view.shape()),
            numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        );
        match tensor {
            Ok(tensor) if rest.is_empty() && view.dtype() == safetensors::Dtype::F32 => {
                all.insert(name, tensor);
            }
            _ => return Err(Error::malformed(path, format!("tensor '{name}' is not f32"), ACCEPTED)),
        }
    }
    Ok((all, facts))
}

/// Reads a checkpoint of a network of this layout: its weights, its facts; the optimiser goes on where it was.
pub fn read(path: &Path, layout: &Layout, adam: &mut Adam) -> Result<(Vec<f32>, BTreeMap<String, String>)> {
    let (all, facts) = read_all(path)?;
    let means = |prefix: &str| {
        let of = all.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
        let named: BTreeMap<_, _> = of.map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
        layout.gather(path, &named)
    };
    let numbers = layout.gather(path, &all)?;
    (adam.first, adam.second) = (means(FIRST)?, means(SECOND)?);
    adam.steps = facts.get(STEPS).and_then(|steps| steps.parse().ok()).ok_or_else(|| {
        Error::malformed(path, "no number of steps in its metadata", "a checkpoint that luna wrote")
    })?;
    Ok((numbers, facts))
}

/// The weights in a file that holds those of a network of this layout.
pub fn weights(path: &Path, layout: &Layout) -> Result<Vec<f32>> {
    layout.gather(path, &read_all(path)?.0)
}
