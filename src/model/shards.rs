//! Which files of a folder hold its weights: one, or shards that an index names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::folder::FOLDER;
use super::{embedded, json};
use crate::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The files of weights of a folder.
pub(super) struct WeightFiles {
    /// The one file, or the index; named in errors about the whole.
    pub(super) path: PathBuf,
    /// The files.
    pub(super) files: Vec<PathBuf>,
    /// The file of each tensor, if there is an index.
    map: BTreeMap<String, String>,
}

impl WeightFiles {
    pub(super) fn find(dir: &Path) -> Result<Self> {
        let (single, index) = (dir.join(SINGLE), dir.join(INDEX));
        if embedded::exists(&single) {
            return Ok(Self { path: single.clone(), files: vec![single], map: BTreeMap::new() });
        }
        if index.is_file() {
            let text = std::fs::read_to_string(&index).map_err(Error::file(&index))?;
            let map = weight_map(&index, &text)?;
            let names: BTreeSet<&String> = map.values().collect();
            let files = names.into_iter().map(|file| dir.join(file)).collect();
            return Ok(Self { path: index, files, map });
        }
        let entries = std::fs::read_dir(dir).map_err(Error::file(dir))?;
        let pickled = entries.filter_map(std::result::Result::ok).any(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("pytorch_model") && name.to_string_lossy().ends_with(".bin")
        });
        let what = if pickled {
            "weights only as pytorch_model.bin, which can run code when read"
        } else {
            "no model.safetensors"
        };
        let accepted = if pickled { "the same weights as model.safetensors" } else { FOLDER };
        Err(Error::malformed(dir, what, accepted))
    }

    /// Refuses an index that does not match its shards; `holder` gives the index of the file that holds a tensor.
    pub(super) fn agree(&self, holder: impl Fn(&str) -> Option<usize>) -> Result<()> {
        for (tensor, file) in &self.map {
            let found = holder(tensor).map(|at| &self.files[at]);
            if found.and_then(|found| found.file_name()) == Some(file.as_ref()) {
                continue;
            }
            let what = format!("tensor '{}' is not in '{file}', where it says", tensor.escape_debug());
            let accepted = "an index that belongs to its shards";
            return Err(Error::malformed(&self.path, what, accepted));
        }
        Ok(())
    }
}

/// The files that an index (`model.safetensors.index.json`, of this text) names: plain names, each once.
pub fn shards(path: &Path, text: &str) -> Result<BTreeSet<String>> {
    weight_map(path, text).map(|map| map.into_values().collect())
}

/// The file of each tensor.
fn weight_map(path: &Path, text: &str) -> Result<BTreeMap<String, String>> {
    let accepted = "{\"weight_map\": {tensor: file}} with files of the same folder";
    let bad = |what: String| Error::malformed(path, what, accepted);
    let index = json::object(path, text, accepted)?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.filter(|map| !map.is_empty()).ok_or_else(|| bad("no weight_map".into()))?;
    let file = |(tensor, file): (&String, &Value)| {
        let plain = |name: &&str| !name.is_empty() && Path::new(name).file_name() == Some(name.as_ref());
        match file.as_str().filter(plain) {
            Some(name) => Ok((tensor.clone(), name.to_string())),
            None => Err(bad(format!("tensor '{}' is in {file}", tensor.escape_debug()))),
        }
    };
    map.iter().map(file).collect()
}
