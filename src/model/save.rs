//! Writes files of weights: safetensors that are whole or not there at all.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayD;
use serde_json::{Map, Value, json};

use crate::Result;
use crate::file::put;

/// Where elements begin: a multiple of this from the start of the file, so that they can be read in place.
const ALIGNED: usize = 8;

pub use crate::file::save_text;

/// Writes tensors as f32 into a safetensors file: under a temporary name beside it, then flushed to the disk, then put
/// in its place in one step, so that an interruption leaves the old file or the new one.
///
/// The same tensors and metadata give the same bytes: tensors lie in the order of their names. The error names the
/// file and what the system said.
pub fn save(
    path: &Path,
    tensors: &BTreeMap<String, ArrayD<f32>>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    put(path, |out| {
        let header = header(tensors, metadata);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for tensor in tensors.values() {
            // Whatever the layout in memory, the file has C order.
            for x in tensor {
                out.write_all(&x.to_le_bytes())?;
            }
        }
        Ok(())
    })
}

/// The JSON before the elements, padded with spaces.
fn header(tensors: &BTreeMap<String, ArrayD<f32>>, metadata: &BTreeMap<String, String>) -> String {
    let mut map = Map::new();
    if !metadata.is_empty() {
        map.insert("__metadata__".into(), json!(metadata));
    }
    let mut at = 0;
    for (name, tensor) in tensors {
        let end = at + size_of::<f32>() * tensor.len();
        let entry = json!({ "dtype": "F32", "shape": tensor.shape(), "data_offsets": [at, end] });
        map.insert(name.clone(), entry);
        at = end;
    }
    let mut text = Value::Object(map).to_string();
    let whole = text.len().next_multiple_of(ALIGNED);
    text.extend(std::iter::repeat_n(' ', whole - text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::model::Named;
    use ndarray::{Array2, arr1};
    use safetensors::SafeTensors;

    fn tensors() -> BTreeMap<String, ArrayD<f32>> {
        let matrix = Array2::from_shape_fn((2, 3), |(i, j)| (3 * i + j) as f32).reversed_axes();
        BTreeMap::from([("b.weight".into(), matrix.into_dyn()), ("a".into(), arr1(&[0.1, -2.0]).into_dyn())])
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
        save(&path, &BTreeMap::new(), &BTreeMap::new()).unwrap();
        save(&path, &tensors(), &metadata).unwrap();
        let bytes = fs::read(&path).unwrap();
        let (length, read) = SafeTensors::read_metadata(&bytes).unwrap();
        assert!((length + 8).is_multiple_of(ALIGNED));
        assert_eq!(read.metadata().as_ref().unwrap()["format"], "pt");
        assert_eq!(SafeTensors::deserialize(&bytes).unwrap().tensor("b.weight").unwrap().shape(), [3, 2]);
        let named = Named::open(&path).unwrap();
        assert_eq!(named.matrix("b.weight", (3, 2)).unwrap().into_dyn(), tensors()["b.weight"]);
        assert_eq!(named.vector("a", 2).unwrap(), arr1(&[0.1, -2.0]));
        let again = dir.path().join("again");
        save(&again, &tensors(), &metadata).unwrap();
        assert_eq!(fs::read(&again).unwrap(), bytes);
        crate::file::save_text(&again, "{}").unwrap();
        assert_eq!(fs::read_to_string(&again).unwrap(), "{}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing temporary is left");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        fs::create_dir(&path).unwrap();
        let text = save(&path, &tensors(), &BTreeMap::new()).unwrap_err().to_string();
        assert!(text.starts_with(&format!("'{}': ", path.display())) && !text.contains('\n'), "{text}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let missing = dir.path().join("nowhere/model.safetensors");
        let text = save(&missing, &tensors(), &BTreeMap::new()).unwrap_err().to_string();
        assert!(text.contains("nowhere"), "{text}");
    }
}
