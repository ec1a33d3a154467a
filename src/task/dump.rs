//! Attention matrices dumped from any framework: `.npy`, `.npz` and `.safetensors` files.

use std::io::Cursor;
use std::path::Path;

use ndarray::{Array2, ArrayD, ArrayView2, Axis, Ix4};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement};
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};

const FILES: &str = "a .npy, .npz or .safetensors file";
const SHAPES: &str = "(n, m), (h, n, m) or (layers, h, n, m), none of them 0";
/// What an array in the npy format starts with.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Opening brackets of a header that are too many: an array's has two.
const MOST_BRACKETS: usize = 16;
/// Names of arrays that a message lists.
const LISTED: usize = 16;
const TYPES: &str = "float32 or float64";

/// Matrices of shape (layers, h, n, m), in the precision of the file.
#[derive(Clone, Debug)]
pub enum Dump {
    /// From float32 and narrower.
    F32(ndarray::Array4<f32>),
    /// From float64.
    F64(ndarray::Array4<f64>),
}

/// One matrix, in the precision that it came in.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Made in f32.
    F32(Array2<f32>),
    /// Made in f64.
    F64(Array2<f64>),
}

impl Dump {
    /// Reads a file; `tensor` names one of several.
    pub fn read(path: &Path, tensor: Option<&str>) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::file(path))?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") if tensor.is_some() => {
                let accepted = "no --tensor: an .npy file holds one array";
                Err(Error::value("--tensor", tensor.unwrap_or_default(), accepted))
            }
            Some("npy") => parse_npy(path, &bytes),
            Some("npz") => parse_npz(path, &bytes, tensor),
            Some("safetensors") => parse_safetensors(path, &bytes, tensor),
            _ => Err(Error::malformed(path, "an unknown kind of file", FILES)),
        }
    }

    /// (layers, h, n, m).
    pub fn shape(&self) -> (usize, usize, usize, usize) {
        match self {
            Self::F32(a) => a.dim(),
            Self::F64(a) => a.dim(),
        }
    }

    /// The matrix of one head; every entry must be finite.
    pub fn matrix(&self, layer: usize, head: usize) -> Result<Matrix> {
        Ok(match self {
            Self::F32(a) => {
                Matrix::F32(finite(a.index_axis(Axis(0), layer).index_axis(Axis(0), head), layer, head)?)
            }
            Self::F64(a) => {
                Matrix::F64(finite(a.index_axis(Axis(0), layer).index_axis(Axis(0), head), layer, head)?)
            }
        })
    }
}

fn finite<T: Copy + Into<f64>>(a: ArrayView2<'_, T>, layer: usize, head: usize) -> Result<Array2<T>> {
    match a.indexed_iter().find(|(_, x)| !(**x).into().is_finite()) {
        None => Ok(a.to_owned()),
        Some(((i, j), x)) => Err(Error::NotFinite {
            what: format!("attention matrix of layer {layer}, head {head}"),
            value: (*x).into(),
            at: format!("row {i}, column {j}"),
        }),
    }
}

/// Reads the bytes of an `.npy` file; the path is for messages.
pub fn parse_npy(path: &Path, bytes: &[u8]) -> Result<Dump> {
    fn read<T: ReadableElement>(bytes: &[u8]) -> Result<ArrayD<T>, ReadNpyError> {
        ArrayD::<T>::read_npy(Cursor::new(bytes))
    }
    let accepted = || format!("a .npy array of {TYPES}");
    check_header(bytes).map_err(|what| Error::malformed(path, what, accepted()))?;
    match read::<f32>(bytes) {
        Ok(a) => four(path, a).map(Dump::F32),
        Err(ReadNpyError::WrongDescriptor(descriptor)) => match read::<f64>(bytes) {
            Ok(a) => four(path, a).map(Dump::F64),
            Err(ReadNpyError::WrongDescriptor(_)) => {
                Err(Error::malformed(path, format!("numbers of type {descriptor}"), TYPES))
            }
            Err(error) => Err(Error::malformed(path, line(&error), accepted())),
        },
        Err(error) => Err(Error::malformed(path, line(&error), accepted())),
    }
}

/// An error of a reader as the first line of what it says: parsers draw the place below it.
fn line(error: &impl ToString) -> String {
    let text = error.to_string();
    if text.contains("failed to fill whole buffer") {
        return "it ends too early (is the file cut short?)".into();
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    first.map_or_else(|| "unreadable".into(), |line| line.chars().take(200).collect())
}

/// Refuses a header that promises more numbers than there are bytes, before memory is asked for them, and one nested
/// deeper than any of an array, before a parser follows it.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    // Version 1 has two bytes for the header's length, later ones four.
    let wide = bytes.get(6).is_some_and(|version| *version > 1);
    let Some(field) = bytes.get(8..if wide { 12 } else { 10 }) else {
        return Ok(()); // the reader says that it is cut short
    };
    let length = field.iter().rev().fold(0_usize, |all, byte| (all << 8) | usize::from(*byte));
    let start = 8 + field.len();
    let header = &bytes[start..start.saturating_add(length).min(bytes.len())];
    if header.iter().filter(|byte| b"([{".contains(byte)).count() > MOST_BRACKETS {
        return Err("a header that describes no array".into());
    }
    let header = String::from_utf8_lossy(header);
    let shape = header
        .split_once("shape")
        .and_then(|(_, rest)| rest.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'));
    let Some((shape, _)) = shape else { return Ok(()) };
    let lengths = shape.split(',').map(str::trim).filter(|length| !length.is_empty());
    // A length that is no number, or too large a one, is more than any file holds.
    let count = lengths.fold(1_u128, |all, one| all.saturating_mul(one.parse().unwrap_or(u128::MAX)));
    if count > bytes.len() as u128 {
        return Err(format!("a header that promises more numbers than its {} bytes hold", bytes.len()));
    }
    Ok(())
}

/// Reads the bytes of an `.npz` file; `tensor` names one of several arrays.
pub fn parse_npz(path: &Path, bytes: &[u8], tensor: Option<&str>) -> Result<Dump> {
    let broken = |error: ReadNpzError| {
        Error::malformed(path, line(&error), "an .npz file of float32 or float64 arrays")
    };
    // Arrays that are stored as they are; the promise of a compressed one stands in no bytes that can be seen here.
    for start in bytes.windows(MAGIC.len()).enumerate().filter(|(_, found)| *found == MAGIC).map(|(at, _)| at)
    {
        check_header(&bytes[start..])
            .map_err(|what| Error::malformed(path, what, "an .npz file of float32 or float64 arrays"))?;
    }
    let mut npz = NpzReader::new(Cursor::new(bytes)).map_err(broken)?;
    let names = npz.names().map_err(broken)?;
    let bare: Vec<&str> = names.iter().map(|name| name.strip_suffix(".npy").unwrap_or(name)).collect();
    let name = names[choose(path, &bare, tensor)?].clone();
    match npz.by_name::<ndarray::OwnedRepr<f32>, ndarray::IxDyn>(&name) {
        Ok(a) => four(path, a).map(Dump::F32),
        Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(descriptor))) => {
            match npz.by_name::<ndarray::OwnedRepr<f64>, ndarray::IxDyn>(&name) {
                Ok(a) => four(path, a).map(Dump::F64),
                Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => {
                    Err(Error::malformed(path, format!("numbers of type {descriptor}"), TYPES))
                }
                Err(error) => Err(broken(error)),
            }
        }
        Err(error) => Err(broken(error)),
    }
}

/// Reads the bytes of a `.safetensors` file; `tensor` names one of several.
pub fn parse_safetensors(path: &Path, bytes: &[u8], tensor: Option<&str>) -> Result<Dump> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::malformed(path, line(&error), "a .safetensors file"))?;
    let mut names = file.names();
    names.sort_unstable();
    let names: Vec<&str> = names.into_iter().map(AsRef::as_ref).collect();
    let name = names[choose(path, &names, tensor)?];
    let view =
        file.tensor(name).map_err(|error| Error::malformed(path, line(&error), "a .safetensors file"))?;
    let (shape, data) = (view.shape(), view.data());
    let dump = match view.dtype() {
        Dtype::F64 => {
            let values = data.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
            Dump::F64(four(path, array(path, shape, values)?)?)
        }
        Dtype::F32 => {
            let values = data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Dump::F32(four(path, array(path, shape, values)?)?)
        }
        Dtype::F16 => {
            let values = data
                .as_chunks::<2>()
                .0
                .iter()
                .map(|bytes| half::f16::from_le_bytes(*bytes).to_f32())
                .collect();
            Dump::F32(four(path, array(path, shape, values)?)?)
        }
        Dtype::BF16 => {
            let values = data
                .as_chunks::<2>()
                .0
                .iter()
                .map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32())
                .collect();
            Dump::F32(four(path, array(path, shape, values)?)?)
        }
        other => {
            let what = format!("tensor '{name}' of type {other:?}");
            return Err(Error::malformed(path, what, "F64, F32, F16 or BF16"));
        }
    };
    Ok(dump)
}

fn array<T>(path: &Path, shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>> {
    ArrayD::from_shape_vec(shape, values)
        .map_err(|error| Error::malformed(path, error, "data of the shape's size"))
}

/// The index of the array that `tensor` names, or of the only one.
fn choose(path: &Path, names: &[&str], tensor: Option<&str>) -> Result<usize> {
    match tensor {
        Some(tensor) => names.iter().position(|name| *name == tensor).ok_or_else(|| Error::UnknownName {
            kind: "tensor",
            name: tensor.into(),
            suggestion: crate::name::suggest(tensor, names.iter().copied()),
            known: names.iter().map(ToString::to_string).collect(),
        }),
        None if names.len() == 1 => Ok(0),
        None if names.is_empty() => Err(Error::malformed(path, "no arrays", "at least one array")),
        None => {
            let what = format!("{} arrays", names.len());
            Err(Error::malformed(
                path,
                what,
                format!("one, or --tensor NAME with one of: {}", listed(names).join(", ")),
            ))
        }
    }
}

/// The first names, and how many more there are.
fn listed(names: &[&str]) -> Vec<String> {
    let more = names.len().saturating_sub(LISTED);
    let more = (more > 0).then(|| format!("and {more} more"));
    names.iter().take(LISTED).map(ToString::to_string).chain(more).collect()
}

/// As (layers, h, n, m), with layers and h of 1 where they are left out.
fn four<T: Clone>(path: &Path, a: ArrayD<T>) -> Result<ndarray::Array4<T>> {
    let shape = a.shape().to_vec();
    let wrong = || Error::Shape {
        what: format!("'{}'", path.display()),
        found: shape.clone(),
        expected: SHAPES.into(),
    };
    if !(2..=4).contains(&shape.len()) || shape.contains(&0) {
        return Err(wrong());
    }
    let mut a = a;
    while a.ndim() < 4 {
        a = a.insert_axis(Axis(0));
    }
    a.into_dimensionality::<Ix4>().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use ndarray::{IxDyn, array};
    use ndarray_npy::{NpzWriter, WriteNpyExt};

    use super::*;

    fn at() -> &'static Path {
        Path::new("a")
    }

    /// 0, 1, 2, ... in this shape.
    fn counted(shape: &[usize]) -> ArrayD<f64> {
        let count = shape.iter().product::<usize>();
        ArrayD::from_shape_vec(IxDyn(shape), (0..count).map(|i| i as f64).collect()).unwrap()
    }

    fn last(dump: &Dump) -> Array2<f64> {
        let (layers, heads, _, _) = dump.shape();
        match dump.matrix(layers - 1, heads - 1).unwrap() {
            Matrix::F32(a) => a.mapv(f64::from),
            Matrix::F64(a) => a,
        }
    }

    /// Writes one number as the bytes of a type.
    type Bytes<'a> = &'a dyn Fn(&f64) -> Vec<u8>;

    #[test]
    fn arrays_of_two_to_four_dimensions_in_each_format() {
        for (shape, four, end) in [
            (&[2, 3][..], (1, 1, 2, 3), array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
            (&[2, 1, 2], (1, 2, 1, 2), array![[2.0, 3.0]]),
            (&[2, 2, 1, 1], (2, 2, 1, 1), array![[3.0]]),
        ] {
            let (double, single) = (counted(shape), counted(shape).mapv(|x| x as f32));
            let (mut wide, mut narrow) = (Vec::new(), Vec::new());
            double.write_npy(&mut wide).unwrap();
            single.write_npy(&mut narrow).unwrap();
            let mut zip = Cursor::new(Vec::new());
            let mut npz = NpzWriter::new(&mut zip);
            npz.add_array("wide", &double).unwrap();
            npz.add_array("narrow", &single).unwrap();
            npz.finish().unwrap();
            let zip = zip.into_inner();
            let wide = [parse_npy(at(), &wide).unwrap(), parse_npz(at(), &zip, Some("wide")).unwrap()];
            let narrow = [parse_npy(at(), &narrow).unwrap(), parse_npz(at(), &zip, Some("narrow")).unwrap()];
            assert!(wide.iter().all(|dump| matches!(dump, Dump::F64(_))));
            assert!(narrow.iter().all(|dump| matches!(dump, Dump::F32(_))));
            for dump in wide.iter().chain(&narrow) {
                assert_eq!(dump.shape(), four);
                assert_eq!(last(dump), end);
            }
        }
    }

    #[test]
    fn safetensors_of_each_precision() {
        let half = |x: &f64| half::f16::from_f64(*x).to_le_bytes().to_vec();
        let brain = |x: &f64| half::bf16::from_f64(*x).to_le_bytes().to_vec();
        let single = |x: &f64| (*x as f32).to_le_bytes().to_vec();
        let double = |x: &f64| x.to_le_bytes().to_vec();
        let types: [(Dtype, Bytes<'_>); 4] =
            [(Dtype::F16, &half), (Dtype::BF16, &brain), (Dtype::F32, &single), (Dtype::F64, &double)];
        for (dtype, bytes) in types {
            let data: Vec<u8> = counted(&[2, 2, 2]).iter().flat_map(bytes).collect();
            let view = safetensors::tensor::TensorView::new(dtype, vec![2, 2, 2], &data).unwrap();
            let file = safetensors::serialize([("a", view)], None).unwrap();
            let dump = parse_safetensors(at(), &file, None).unwrap();
            assert_eq!(matches!(dump, Dump::F64(_)), dtype == Dtype::F64);
            assert_eq!(dump.shape(), (1, 2, 2, 2));
            assert_eq!(last(&dump), array![[4.0, 5.0], [6.0, 7.0]]);
        }
    }

    #[test]
    fn columns_first_and_rows_first_are_the_same_array() {
        let mut bytes = Vec::new();
        counted(&[3, 2]).reversed_axes().write_npy(&mut bytes).unwrap();
        assert_eq!(last(&parse_npy(at(), &bytes).unwrap()), array![[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]);
    }
}
