//! Weights by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD};

use super::mapped::Mapped;
use super::weights::{Float, Header};
use crate::layer::{Entry, Layout};
use crate::{Error, Result};

/// Tensors by name, seen from a prefix: of a file, or of a map.
#[derive(Clone)]
pub struct Named {
    path: PathBuf,
    source: Arc<Source>,
    prefix: String,
}

enum Source {
    File { bytes: Mapped, header: Header },
    Map(BTreeMap<String, ArrayD<f32>>),
}

impl Named {
    /// The tensors of a safetensors file; elements are read when they are asked for.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = Mapped::open(path)?;
        let header = Header::parse(path, &bytes)?;
        Ok(Self::of(path, Source::File { bytes, header }))
    }

    /// Tensors that are in memory already; `path` is named in errors and not read.
    pub fn new(path: &Path, tensors: BTreeMap<String, ArrayD<f32>>) -> Self {
        Self::of(path, Source::Map(tensors))
    }

    fn of(path: &Path, source: Source) -> Self {
        Self { path: path.to_path_buf(), source: Arc::new(source), prefix: String::new() }
    }

    /// The same tensors seen from one part further in: of `layers`, `within("0")` is `layers.0`.
    #[must_use]
    pub fn within(&self, part: &str) -> Self {
        Self { prefix: self.full(part) + ".", ..self.clone() }
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        let name = self.full(name);
        match &*self.source {
            Source::File { header, .. } => header.tensors.contains_key(&name),
            Source::Map(tensors) => tensors.contains_key(&name),
        }
    }

    /// The metadata of a file.
    pub fn facts(&self) -> BTreeMap<String, String> {
        match &*self.source {
            Source::File { header, .. } => header.facts.clone(),
            Source::Map(_) => BTreeMap::new(),
        }
    }

    /// The full names of all tensors, whatever the prefix, in order.
    pub fn names(&self) -> Vec<String> {
        match &*self.source {
            Source::File { header, .. } => header.tensors.keys().cloned().collect(),
            Source::Map(tensors) => tensors.keys().cloned().collect(),
        }
    }

    /// A tensor of exactly this shape.
    pub fn matrix(&self, name: &str, (rows, columns): (usize, usize)) -> Result<Array2<f32>> {
        let elements = self.elements(name, &[rows, columns])?;
        Array2::from_shape_vec((rows, columns), elements)
            .map_err(|error| Error::malformed(&self.path, error, "tensors of the shapes in its header"))
    }

    /// A tensor of one axis, of exactly this length.
    pub fn vector(&self, name: &str, length: usize) -> Result<Array1<f32>> {
        self.elements(name, &[length]).map(Array1::from_vec)
    }

    /// The elements of all tensors of a layout, of which each must be there in its shape; others are left alone.
    pub fn gather(&self, layout: &Layout) -> Result<Vec<f32>> {
        // Grows by what is there: the layout may be of a file that asks for more than there is memory.
        let mut elements = Vec::new();
        for Entry { name, shape, .. } in layout.entries() {
            elements.extend(self.elements(name, shape)?);
        }
        Ok(elements)
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The elements of a tensor of exactly this shape, row by row.
    fn elements(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>> {
        let (path, name, expected) = (self.path.clone(), self.full(name), expected.to_vec());
        let found = match &*self.source {
            Source::File { header, .. } => header.tensors.get(&name).map(|place| &place.shape[..]),
            Source::Map(tensors) => tensors.get(&name).map(ArrayD::shape),
        };
        match found {
            None => return Err(Error::TensorMissing { path, name, expected }),
            Some(found) if found != expected => {
                let found = found.to_vec();
                return Err(Error::TensorShape { path, name, expected, found });
            }
            Some(_) => {}
        }
        match &*self.source {
            Source::File { bytes, header } => {
                let place = &header.tensors[&name];
                let float = Float::of(&path, &name, &place.dtype)?;
                Ok(float.values(&bytes[place.bytes.clone()]).into_owned())
            }
            Source::Map(tensors) => Ok(tensors[&name].iter().copied().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::IxDyn;

    #[test]
    fn errors_name_the_tensor_and_both_shapes() {
        let tensor = ArrayD::zeros(IxDyn(&[2, 3]));
        let map = BTreeMap::from([("layers.0.fc1.weight".to_string(), tensor)]);
        let named = Named::new(Path::new("w"), map).within("layers").within("0");
        assert!(named.has("fc1.weight") && !named.has("fc2.weight"));
        assert_eq!(named.matrix("fc1.weight", (2, 3)).unwrap().dim(), (2, 3));
        let text = named.matrix("fc1.weight", (3, 2)).unwrap_err().to_string();
        assert_eq!(text, "'w': tensor 'layers.0.fc1.weight' has shape [2, 3]; expected [3, 2]");
        let text = named.vector("fc1.bias", 3).unwrap_err().to_string();
        assert_eq!(text, "'w': no tensor 'layers.0.fc1.bias'; expected one of shape [3]");
    }
}
