//! Tensors of a `.safetensors` file.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::Precision;
use super::matrices::{Dump, choose, fits, line};
use super::npy::decode;
use crate::error::{Error, Result};

const FILE: &str = "a .safetensors file";

/// Reads the bytes of a `.safetensors` file; `tensor` names one of several, and one of more than `memory` bytes is refused.
pub fn parse_safetensors(path: &Path, bytes: &[u8], tensor: Option<&str>, memory: u64) -> Result<Dump> {
    let refused = |what: String| Error::malformed(path, what, FILE);
    let file = opened(path, bytes)?;
    let names = names(&file);
    let name = names[choose(path, &names, tensor)?];
    let view = file.tensor(name).map_err(|error| refused(line(&error)))?;
    let precision = match view.dtype() {
        Dtype::F64 => Precision::F64,
        Dtype::F32 => Precision::F32,
        Dtype::F16 => Precision::F16,
        Dtype::BF16 => Precision::BF16,
        other => {
            let what = format!("tensor '{name}' of type {other:?}");
            return Err(Error::malformed(path, what, "F64, F32, F16 or BF16"));
        }
    };
    // Two bytes of half precision become four.
    fits(path, view.data().len() as u64 * if precision.size() == 2 { 2 } else { 1 }, memory)?;
    let values = decode(precision, false, view.data()).shaped(view.shape(), false).map_err(refused)?;
    Dump::new(path, values, precision)
}

/// Names of the tensors of a `.safetensors` file.
pub(super) fn tensor_names(path: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    Ok(names(&opened(path, bytes)?).into_iter().map(String::from).collect())
}

fn names<'a>(file: &'a SafeTensors<'_>) -> Vec<&'a str> {
    let mut names: Vec<&str> = file.names().into_iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    names
}

/// The metadata of a `.safetensors` file.
pub(super) fn facts(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    opened(path, bytes)?;
    let (_, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| Error::malformed(path, line(&error), FILE))?;
    Ok(metadata.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect())
}

fn opened<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    let refused = |what: String| Error::malformed(path, what, FILE);
    if let Some(field) = bytes.first_chunk::<8>() {
        let stated = u64::from_le_bytes(*field);
        let held = bytes.len() as u64 - 8;
        if stated > held {
            return Err(refused(format!("a header that states {stated} bytes, and {held} bytes after it")));
        }
    }
    SafeTensors::deserialize(bytes).map_err(|error| refused(line(&error)))
}
