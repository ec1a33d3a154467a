//! The weights of a model's folder: tensors found by the family's table of names.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayBase, CowArray, CowRepr, Dimension, Ix1, Ix2};

use super::config::ModelConfig;
use super::family::{Family, Need, Role, Tensor};
use super::mapped::Mapped;
use super::shards::WeightFiles;
pub use super::shards::shards;
use super::weights::{DEQUANTIZED, Float, Header, Place};
use crate::{Error, Result};

/// The tensors of a model, by their places in its mapped files.
pub(super) struct Store {
    family: &'static Family,
    path: PathBuf,
    files: Vec<Mapped>,
    slots: HashMap<(Role, usize), Slot>,
    notes: Vec<String>,
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
    /// Maps the weights in a folder, and finds every tensor of the configuration.
    pub(super) fn open(dir: &Path, family: &'static Family, config: &ModelConfig) -> Result<Self> {
        let weights = WeightFiles::find(dir)?;
        let mut files = Vec::new();
        let mut found = BTreeMap::new();
        for (file, path) in weights.files.iter().enumerate() {
            let mapped = Mapped::open(path)?;
            for (name, place) in Header::parse(path, &mapped)?.tensors {
                let canonical = family.canonical(&name);
                let tensor = Found { file, name, place, used: false };
                if let Some(Found { name: other, .. }) = found.insert(canonical.clone(), tensor) {
                    let what = format!("'{other}' and another tensor are both '{canonical}'");
                    return Err(Error::malformed(path, what, "each tensor once"));
                }
            }
            files.push(mapped);
        }
        // The two parts of a weight in MXFP4.
        if let Some(tensor) = found.values().find(|tensor| tensor.name.ends_with("_blocks")) {
            let what = format!("tensor '{}' holds quantized weights", tensor.name.escape_debug());
            return Err(Error::malformed(&weights.path, what, DEQUANTIZED));
        }
        weights.agree(|name| {
            let tensor = found.get(&family.canonical(name));
            tensor.filter(|tensor| tensor.name == name).map(|tensor| tensor.file)
        })?;
        if config.tied {
            under_one_name(family, &mut found);
        }
        let mut store = Self { family, path: weights.path, files, slots: HashMap::new(), notes: Vec::new() };
        for tensor in family.tensors.iter().copied().flatten() {
            let layers = if tensor.name.contains("{}") { config.layers } else { 1 };
            for layer in 0..layers {
                store.assign(tensor, layer, config, &mut found)?;
            }
        }
        for (part, what) in [("decoder.", "decoder"), ("text_model.", "text tower")] {
            let there = |(name, tensor): &(&String, &Found)| !tensor.used && name.starts_with(part);
            let count = found.iter().filter(there).count();
            if count > 0 {
                store
                    .notes
                    .push(format!("the encoder is computed; tensors of the {what}, not used: {count}"));
            }
        }
        let unknown = |(name, tensor): (&String, &Found)| {
            (!tensor.used && !family.ignores(name)).then(|| tensor.name.clone())
        };
        let names: Vec<String> = found.iter().filter_map(unknown).collect();
        if names.is_empty() {
            store.untie(config);
            return Ok(store);
        }
        Err(Error::TensorUnused { path: store.path, family: family.name, names: few(names) })
    }

    /// Finds the tensor of one line of the family's table.
    fn assign(
        &mut self,
        tensor: &Tensor,
        layer: usize,
        config: &ModelConfig,
        found: &mut BTreeMap<String, Found>,
    ) -> Result<()> {
        let needed = match tensor.need {
            Need::Always => true,
            Need::Optional => false,
            Need::When(asked) if asked(config) => true,
            Need::AfterFirst if layer > 0 => true,
            Need::When(_) | Need::AfterFirst => return Ok(()),
            Need::With(role) => self.has(role, layer),
        };
        let name = tensor.name.replace("{}", &config.stored(layer).to_string());
        let expected: Vec<usize> = tensor.shape.iter().map(|dim| dim.length(config)).collect();
        let Some(found) = found.get_mut(&name) else {
            let path = self.path.clone();
            let missing = needed && !self.has(tensor.role, layer);
            return if missing { Err(Error::TensorMissing { path, name, expected }) } else { Ok(()) };
        };
        found.used = true;
        if matches!(tensor.need, Need::With(role) if !self.has(role, layer)) {
            return Ok(());
        }
        let Found { file, place, name, .. } = found;
        if place.shape != expected {
            let (path, found) = (self.path.clone(), place.shape.clone());
            return Err(Error::TensorShape { path, name: name.clone(), expected, found });
        }
        let float = Float::of(&self.path, name, &place.dtype)?;
        let slot = Slot { file: *file, float, place: place.clone() };
        match self.slots.get(&(tensor.role, layer)) {
            None => drop(self.slots.insert((tensor.role, layer), slot)),
            Some(first) if !self.equal(first, &slot) => {
                let name = name.escape_debug();
                self.notes
                    .push(format!("'{name}' differs from the tensor that it is tied to, and is not used"));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// If the head is tied to the token table and the file holds both, the head's own weight is used where it differs (as in
    /// transformers).
    fn untie(&mut self, config: &ModelConfig) {
        let (token, head) = ((Role::Token, 0), (Role::HeadOut, 0));
        let (true, Some(table), Some(own)) = (config.tied, self.slots.get(&token), self.slots.get(&head))
        else {
            return;
        };
        if self.equal(table, own) {
            self.slots.remove(&head);
            return;
        }
        let name = |role| self.family.tensor_name(role).unwrap_or_default();
        let (token, head) = (name(Role::Token), name(Role::HeadOut));
        self.notes.push(format!(
            "tie_word_embeddings is true, and the weights hold a '{head}' that differs from '{token}': logits are those of \
             '{head}', as in transformers"
        ));
    }

    fn equal(&self, a: &Slot, b: &Slot) -> bool {
        let bytes = |slot: &Slot| &self.files[slot.file][slot.place.bytes.clone()];
        if a.float == b.float {
            return bytes(a) == bytes(b);
        }
        a.float.values(bytes(a)) == b.float.values(bytes(b))
    }

    /// Notes on the weights.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The family that the tensors are named by.
    pub(super) fn family(&self) -> &'static Family {
        self.family
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
            // The patches of an image are flattened, as the products with them want it.
            [rows, ref inner @ ..] => self.array(slot, Ix2(rows, inner.iter().product())),
            [] => Err(self.absent(role)),
        }
    }

    /// Matrix `at` of a needed stack of them.
    pub(super) fn matrix_of(&self, role: Role, layer: usize, at: usize) -> Result<Array2<f32>> {
        let slot = self.slot(role, layer)?;
        let [_, rows, columns] = slot.place.shape[..] else { return Err(self.absent(role)) };
        let bytes = rows * columns * slot.float.width();
        let from = slot.place.bytes.start + at * bytes;
        let bytes = self.files[slot.file].get(from..from + bytes).ok_or_else(|| self.absent(role))?;
        Array2::from_shape_vec((rows, columns), slot.float.values(bytes).into_owned())
            .map_err(|_| self.absent(role))
    }

    /// Rows of a needed matrix, borrowed from the file where they are f32.
    pub(super) fn part(&self, role: Role, rows: Range<usize>) -> Result<CowArray<'_, f32, Ix2>> {
        let slot = self.slot(role, 0)?;
        let width = slot.place.shape.last().copied().unwrap_or(0);
        let at = |row: usize| slot.place.bytes.start + row * width * slot.float.width();
        let bytes =
            self.files[slot.file].get(at(rows.start)..at(rows.end)).ok_or_else(|| self.absent(role))?;
        self.array_of(slot.float, bytes, Ix2(rows.len(), width))
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
            table.extend_from_slice(&slot.float.values(row));
        }
        Array2::from_shape_vec((rows.len(), width), table).map_err(|_| self.absent(role))
    }

    fn slot(&self, role: Role, layer: usize) -> Result<&Slot> {
        self.slots.get(&(role, layer)).ok_or_else(|| self.absent(role))
    }

    fn array<D: Dimension>(&self, slot: &Slot, shape: D) -> Result<ArrayBase<CowRepr<'_, f32>, D>> {
        self.array_of(slot.float, &self.files[slot.file][slot.place.bytes.clone()], shape)
    }

    fn array_of<'a, D: Dimension>(
        &self,
        float: Float,
        bytes: &'a [u8],
        shape: D,
    ) -> Result<ArrayBase<CowRepr<'a, f32>, D>> {
        match float.values(bytes) {
            std::borrow::Cow::Borrowed(values) => {
                ndarray::ArrayView::from_shape(shape, values).map(CowArray::from)
            }
            std::borrow::Cow::Owned(values) => {
                ndarray::Array::from_shape_vec(shape, values).map(CowArray::from)
            }
        }
        .map_err(|error| Error::malformed(&self.path, error, "tensors of the shapes in its header"))
    }

    /// `Store::open` makes this impossible; still an error and not a panic.
    fn absent(&self, role: Role) -> Error {
        Error::TensorMissing { path: self.path.clone(), name: format!("{role:?}"), expected: Vec::new() }
    }
}

/// Of tied weights a file may hold the head's only: safetensors writes shared weights once, under one of their names. They
/// are then the token table.
fn under_one_name(family: &Family, found: &mut BTreeMap<String, Found>) {
    if let (Some(token), Some(head)) = (family.tensor_name(Role::Token), family.tensor_name(Role::HeadOut))
        && !found.contains_key(token)
        && let Some(tensor) = found.remove(head)
    {
        found.insert(token.to_string(), tensor);
    }
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
