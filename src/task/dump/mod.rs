//! Attention matrices dumped from any framework: `.npy`, `.npz` and `.safetensors` files.

mod npy;
mod npz;
mod precision;
mod safetensors;
#[cfg(test)]
mod tests;

use std::path::Path;

use ndarray::{Array2, ArrayD, ArrayView2, Axis, Ix5, s};

pub use npy::parse_npy;
pub use npz::parse_npz;
pub use precision::Precision;
pub use safetensors::parse_safetensors;

use crate::error::{Error, Result};
use crate::file::refuse_pointer;

const FILES: &str = "a .npy, .npz or .safetensors file";
const SHAPES: &str = "(n, m), (h, n, m), (layers, h, n, m) or (layers, batch, h, n, m), none of them 0";
/// Names of arrays that a message lists.
const LISTED: usize = 16;

/// Matrices of shape (layers, batch, h, n, m), and the precision that their values have.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The matrices.
    pub values: Values,
    /// The precision of the values, which may be less than that of the array that holds them.
    pub precision: Precision,
}

/// Arrays of shape (layers, batch, h, n, m).
#[derive(Clone, Debug)]
pub enum Values {
    /// From float32 and narrower.
    F32(ndarray::Array5<f32>),
    /// From float64.
    F64(ndarray::Array5<f64>),
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
    /// Reads a file; `tensor` names one of several, and an array of more than `memory` bytes is refused.
    pub fn read(path: &Path, tensor: Option<&str>, memory: u64) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::file(path))?;
        refuse_pointer(path, &bytes)?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") if tensor.is_some() => {
                let accepted = "no --tensor: an .npy file holds one array";
                Err(Error::value("--tensor", tensor.unwrap_or_default(), accepted))
            }
            Some("npy") => parse_npy(path, &bytes, memory),
            Some("npz") => parse_npz(path, &bytes, tensor, memory),
            Some("safetensors") => parse_safetensors(path, &bytes, tensor, memory),
            _ => Err(Error::malformed(path, "an unknown kind of file", FILES)),
        }
    }

    /// (layers, h, n, m).
    pub fn shape(&self) -> (usize, usize, usize, usize) {
        let (layers, _, heads, n, m) = self.dim();
        (layers, heads, n, m)
    }

    /// How many samples the batch holds.
    pub fn samples(&self) -> usize {
        self.dim().1
    }

    fn dim(&self) -> (usize, usize, usize, usize, usize) {
        match &self.values {
            Values::F32(a) => a.dim(),
            Values::F64(a) => a.dim(),
        }
    }

    /// The matrix of one head for one sample, row by row in memory; every entry must be finite.
    pub fn matrix(&self, layer: usize, sample: usize, head: usize) -> Result<Matrix> {
        let what = || {
            let sample = if self.samples() > 1 { format!(", sample {sample}") } else { String::new() };
            format!("attention matrix of layer {layer}{sample}, head {head}")
        };
        Ok(match &self.values {
            Values::F32(a) => Matrix::F32(finite(a.slice(s![layer, sample, head, .., ..]), what)?),
            Values::F64(a) => Matrix::F64(finite(a.slice(s![layer, sample, head, .., ..]), what)?),
        })
    }

    /// One matrix, value by value, whether finite or not.
    pub fn map<T>(&self, layer: usize, sample: usize, head: usize, f: impl Fn(f64) -> T) -> Array2<T> {
        match &self.values {
            Values::F32(a) => a.slice(s![layer, sample, head, .., ..]).map(|x| f(f64::from(*x))),
            Values::F64(a) => a.slice(s![layer, sample, head, .., ..]).map(|x| f(*x)),
        }
    }

    /// From an array of two to five dimensions, whose values are `stored` so.
    fn new(path: &Path, values: Flexible, stored: Precision) -> Result<Self> {
        let (values, precision) = match values {
            Flexible::F32(a) => {
                let precision = stored.narrowest(a.iter().map(|x| f64::from(*x)));
                (Values::F32(five(path, a)?), precision)
            }
            Flexible::F64(a) => {
                let precision = stored.narrowest(a.iter().copied());
                (Values::F64(five(path, a)?), precision)
            }
        };
        Ok(Self { values, precision })
    }
}

/// An array of any dimensions.
enum Flexible {
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
}

fn finite<T: Copy + Into<f64>>(a: ArrayView2<'_, T>, what: impl Fn() -> String) -> Result<Array2<T>> {
    match a.indexed_iter().find(|(_, x)| !(**x).into().is_finite()) {
        // A copy in the order of rows: of a view in the order of columns `to_owned` keeps that order.
        None => Ok(a.as_standard_layout().into_owned()),
        Some(((i, j), x)) => {
            Err(Error::NotFinite { what: what(), value: (*x).into(), at: format!("row {i}, column {j}") })
        }
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

/// Refuses an array that does not fit in memory, before memory is asked for it.
fn fits(path: &Path, bytes: u64, memory: u64) -> Result<()> {
    if bytes <= memory {
        return Ok(());
    }
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    Err(Error::Memory {
        what: format!("'{}'", path.display()),
        needed: mib(bytes),
        available: format!("{} available", mib(memory)),
        instead: "save fewer layers or heads in a file".into(),
    })
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

/// As (layers, batch, h, n, m), with 1 for the dimensions that are left out; what stands before (h, n, m) in an array of
/// four dimensions are layers.
fn five<T: Clone>(path: &Path, a: ArrayD<T>) -> Result<ndarray::Array5<T>> {
    let shape = a.shape().to_vec();
    let wrong = || Error::Shape {
        what: format!("'{}'", path.display()),
        found: shape.clone(),
        expected: SHAPES.into(),
    };
    if !(2..=5).contains(&shape.len()) || shape.contains(&0) {
        return Err(wrong());
    }
    let mut a = a;
    while a.ndim() < 4 {
        a = a.insert_axis(Axis(0));
    }
    if a.ndim() < 5 {
        a = a.insert_axis(Axis(1));
    }
    a.into_dimensionality::<Ix5>().map_err(|_| wrong())
}
