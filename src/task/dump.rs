//! Attention matrices dumped from any framework: `.npy`, `.npz` and `.safetensors` files.

use std::io::Cursor;
use std::path::Path;

use ndarray::{Array2, ArrayD, ArrayView2, Axis, Ix4};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement};
use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};

const FILES: &str = "a .npy, .npz or .safetensors file";
const SHAPES: &str = "(n, m), (h, n, m) or (layers, h, n, m), none of them 0";
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
        check_length(bytes)?;
        ArrayD::<T>::read_npy(Cursor::new(bytes))
    }
    match read::<f32>(bytes) {
        Ok(a) => four(path, a).map(Dump::F32),
        Err(ReadNpyError::WrongDescriptor(descriptor)) => match read::<f64>(bytes) {
            Ok(a) => four(path, a).map(Dump::F64),
            Err(_) => Err(Error::malformed(path, format!("numbers of type {descriptor}"), TYPES)),
        },
        Err(error) => Err(Error::malformed(path, error, format!("a .npy array of {TYPES}"))),
    }
}

/// Refuses a header that promises more numbers than there are bytes, before memory is asked for them.
fn check_length(bytes: &[u8]) -> Result<(), ReadNpyError> {
    let header = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).into_owned();
    let shape = header
        .split_once("'shape':")
        .and_then(|(_, rest)| rest.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'));
    let Some((shape, _)) = shape else { return Ok(()) };
    let lengths = shape.split(',').filter_map(|length| length.trim().parse::<u128>().ok());
    let count = lengths.fold(1_u128, u128::saturating_mul);
    if count.saturating_mul(4) > bytes.len() as u128 { Err(ReadNpyError::MissingData) } else { Ok(()) }
}

/// Reads the bytes of an `.npz` file; `tensor` names one of several arrays.
pub fn parse_npz(path: &Path, bytes: &[u8], tensor: Option<&str>) -> Result<Dump> {
    let broken =
        |error: ReadNpzError| Error::malformed(path, error, "an .npz file of float32 or float64 arrays");
    let mut npz = NpzReader::new(Cursor::new(bytes)).map_err(broken)?;
    let names = npz.names().map_err(broken)?;
    let bare: Vec<&str> = names.iter().map(|name| name.strip_suffix(".npy").unwrap_or(name)).collect();
    let name = names[choose(path, &bare, tensor)?].clone();
    match npz.by_name::<ndarray::OwnedRepr<f32>, ndarray::IxDyn>(&name) {
        Ok(a) => four(path, a).map(Dump::F32),
        Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(descriptor))) => {
            match npz.by_name::<ndarray::OwnedRepr<f64>, ndarray::IxDyn>(&name) {
                Ok(a) => four(path, a).map(Dump::F64),
                Err(_) => Err(Error::malformed(path, format!("numbers of type {descriptor}"), TYPES)),
            }
        }
        Err(error) => Err(broken(error)),
    }
}

/// Reads the bytes of a `.safetensors` file; `tensor` names one of several.
pub fn parse_safetensors(path: &Path, bytes: &[u8], tensor: Option<&str>) -> Result<Dump> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::malformed(path, error, "a .safetensors file"))?;
    let mut names = file.names();
    names.sort_unstable();
    let names: Vec<&str> = names.into_iter().map(AsRef::as_ref).collect();
    let name = names[choose(path, &names, tensor)?];
    let view = file.tensor(name).map_err(|error| Error::malformed(path, error, "a .safetensors file"))?;
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
                format!("one, or --tensor NAME with one of: {}", names.join(", ")),
            ))
        }
    }
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
