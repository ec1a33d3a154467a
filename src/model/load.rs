//! A model's folder: the weights' files, and our tensors found in them by the family's table of names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayBase, CowArray, CowRepr, Dimension, Ix1, Ix2};
use serde_json::Value;

use super::config::Config;
use super::embedded;
use super::family::{Need, Role, Tensor};
use super::mapped::Mapped;
use super::weights::{Float, Header, Place};
use crate::{Error, Result};

pub(super) const FOLDER: &str = "a model folder: config.json, model.safetensors (or model.safetensors.index.json \
                                 and its shards), and tokenizer.json";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The tensors of a model, where they lie in its mapped files.
pub(super) struct Store {
    path: PathBuf,
    files: Vec<Mapped>,
    slots: HashMap<(Role, usize), Slot>,
}

struct Slot {
    file: usize,
    float: Float,
    place: Place,
}

/// A tensor of a file, while names are matched.
struct Found {
    file: usize,
    name: String,
    place: Place,
    used: bool,
}

impl Store {
    /// Maps the weights in a folder, and finds every tensor that the configuration asks for.
    pub(super) fn open(dir: &Path, config: &Config) -> Result<Self> {
        let (path, names) = weight_files(dir)?;
        let mut files = Vec::new();
        let mut found = BTreeMap::new();
        for (file, path) in names.iter().enumerate() {
            let mapped = Mapped::open(path)?;
            for (name, place) in Header::parse(path, &mapped)?.tensors {
                let canonical = config.family.canonical(&name);
                let tensor = Found { file, name, place, used: false };
                if let Some(Found { name: other, .. }) = found.insert(canonical.clone(), tensor) {
                    let what = format!("'{other}' and another tensor are both '{canonical}'");
                    return Err(Error::malformed(path, what, "each tensor once"));
                }
            }
            files.push(mapped);
        }
        let mut store = Self { path, files, slots: HashMap::new() };
        for tensor in config.family.tensors.iter().copied().flatten() {
            let layers = if tensor.name.contains("{}") { config.layers } else { 1 };
            for layer in 0..layers {
                store.take(tensor, layer, config, &mut found)?;
            }
        }
        let unknown = |(name, tensor): (&String, &Found)| {
            (!tensor.used && !config.family.ignores(name)).then(|| tensor.name.clone())
        };
        let names: Vec<String> = found.iter().filter_map(unknown).collect();
        if names.is_empty() {
            return Ok(store);
        }
        Err(Error::TensorUnused { path: store.path, family: config.family.name, names: few(names) })
    }

    /// Moves one line of the family's table from what was found to what is ours.
    fn take(
        &mut self,
        tensor: &Tensor,
        layer: usize,
        config: &Config,
        found: &mut BTreeMap<String, Found>,
    ) -> Result<()> {
        let needed = match tensor.need {
            Need::Always => true,
            Need::Optional => false,
            Need::When(asked) if asked(config) => true,
            Need::When(_) => return Ok(()),
            Need::With(role) => self.has(role, layer),
        };
        let name = tensor.name.replace("{}", &layer.to_string());
        let expected: Vec<usize> = tensor.shape.iter().map(|dim| dim.length(config)).collect();
        let Some(found) = found.get_mut(&name) else {
            let path = self.path.clone();
            return if needed { Err(Error::TensorMissing { path, name, expected }) } else { Ok(()) };
        };
        found.used = true;
        let Found { file, place, name, .. } = found;
        if place.shape != expected {
            let (path, found) = (self.path.clone(), place.shape.clone());
            return Err(Error::TensorShape { path, name: name.clone(), expected, found });
        }
        let float = Float::find(&place.dtype).ok_or_else(|| {
            Error::malformed(&self.path, format!("tensor '{name}' is {}", place.dtype), "F32, F16 or BF16")
        })?;
        self.slots.entry((tensor.role, layer)).or_insert(Slot { file: *file, float, place: place.clone() });
        Ok(())
    }

    pub(super) fn has(&self, role: Role, layer: usize) -> bool {
        self.slots.contains_key(&(role, layer))
    }

    /// A needed vector.
    pub(super) fn vector(&self, role: Role, layer: usize) -> Result<CowArray<'_, f32, Ix1>> {
        let slot = self.slot(role, layer)?;
        self.array(slot, Ix1(slot.place.shape.iter().product()))
    }

    /// A vector, if the model has it.
    pub(super) fn vector_if(&self, role: Role, layer: usize) -> Result<Option<CowArray<'_, f32, Ix1>>> {
        self.has(role, layer).then(|| self.vector(role, layer)).transpose()
    }

    /// A needed matrix, as it is stored.
    pub(super) fn matrix(&self, role: Role, layer: usize) -> Result<CowArray<'_, f32, Ix2>> {
        let slot = self.slot(role, layer)?;
        match slot.place.shape[..] {
            [rows, columns] => self.array(slot, Ix2(rows, columns)),
            _ => Err(self.absent(role)),
        }
    }

    /// Rows of a needed matrix, in the order of `rows`; only these are read.
    pub(super) fn rows(&self, role: Role, rows: &[usize]) -> Result<Array2<f32>> {
        let slot = self.slot(role, 0)?;
        let width = slot.place.shape.last().copied().unwrap_or(0);
        let bytes = width * slot.float.width();
        let mut table = Vec::with_capacity(rows.len() * width);
        for row in rows {
            let from = slot.place.bytes.start + row * bytes;
            let row = self.files[slot.file].get(from..from + bytes).ok_or_else(|| self.absent(role))?;
            table.extend_from_slice(&slot.float.numbers(row));
        }
        Array2::from_shape_vec((rows.len(), width), table).map_err(|_| self.absent(role))
    }

    fn slot(&self, role: Role, layer: usize) -> Result<&Slot> {
        self.slots.get(&(role, layer)).ok_or_else(|| self.absent(role))
    }

    fn array<D: Dimension>(&self, slot: &Slot, shape: D) -> Result<ArrayBase<CowRepr<'_, f32>, D>> {
        let bytes = &self.files[slot.file][slot.place.bytes.clone()];
        match slot.float.numbers(bytes) {
            std::borrow::Cow::Borrowed(numbers) => {
                ndarray::ArrayView::from_shape(shape, numbers).map(CowArray::from)
            }
            std::borrow::Cow::Owned(numbers) => {
                ndarray::Array::from_shape_vec(shape, numbers).map(CowArray::from)
            }
        }
        .map_err(|error| Error::malformed(&self.path, error, "tensors of the shapes in its header"))
    }

    /// Tables and `Store::open` keep this from happening; it is an error all the same, not a panic.
    fn absent(&self, role: Role) -> Error {
        Error::TensorMissing { path: self.path.clone(), name: format!("{role:?}"), expected: Vec::new() }
    }
}

/// The weights' file (or their index) in a folder, and the files that hold them.
fn weight_files(dir: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    let (single, index) = (dir.join(SINGLE), dir.join(INDEX));
    if embedded::exists(&single) {
        return Ok((single.clone(), vec![single]));
    }
    if index.is_file() {
        let text = std::fs::read_to_string(&index).map_err(Error::file(&index))?;
        let files = shards(&index, &text)?;
        return Ok((index, files.iter().map(|file| dir.join(file)).collect()));
    }
    let pickled =
        std::fs::read_dir(dir).map_err(Error::file(dir))?.filter_map(std::result::Result::ok).any(|entry| {
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

/// The files that an index (`model.safetensors.index.json`, of this text) names: plain names, each once.
pub fn shards(path: &Path, text: &str) -> Result<BTreeSet<String>> {
    let accepted = "{\"weight_map\": {tensor: file}} with files of the same folder";
    let bad = |what: String| Error::malformed(path, what, accepted);
    let index: Value = serde_json::from_str(text).map_err(|error| bad(format!("not JSON: {error}")))?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.filter(|map| !map.is_empty()).ok_or_else(|| bad("no weight_map".into()))?;
    let file = |(tensor, file): (&String, &Value)| {
        let plain = |name: &&str| !name.is_empty() && Path::new(name).file_name() == Some(name.as_ref());
        let name = file.as_str().filter(plain);
        name.map(String::from).ok_or_else(|| bad(format!("tensor '{}' is in {file}", tensor.escape_debug())))
    };
    map.iter().map(file).collect()
}

/// The first few names, and how many more there are: an error is one line.
fn few(mut names: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 8;
    if names.len() > SHOWN {
        let more = names.len() - SHOWN;
        names.truncate(SHOWN);
        names.push(format!("and {more} more"));
    }
    names
}
