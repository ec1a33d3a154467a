//! The matrices of a dump, and what its readers share.

use std::path::Path;

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix5, IxDyn, s};

use super::{Axes, Precision};
use crate::error::{Error, Result};
use crate::name;

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
    /// The dimensions that the array has before the last two.
    pub leading: usize,
}

/// Arrays of shape (layers, batch, h, n, m), owned or borrowed.
#[derive(Clone, Debug)]
pub enum Values {
    /// From float32 and narrower.
    F32(CowArray<'static, f32, Ix5>),
    /// From float64.
    F64(CowArray<'static, f64, Ix5>),
}

/// One matrix, in the precision of the file.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Computed in f32.
    F32(Array2<f32>),
    /// Computed in f64.
    F64(Array2<f64>),
}

impl Dump {
    /// (layers, h, n, m).
    pub fn shape(&self) -> (usize, usize, usize, usize) {
        let (layers, _, heads, n, m) = self.dim();
        (layers, heads, n, m)
    }

    /// How many samples the batch holds.
    pub fn samples(&self) -> usize {
        self.dim().1
    }

    /// The same with its leading dimensions named, in the order of the array at `path`; as they are if `axes` is `None`.
    pub fn by(self, path: &Path, axes: Option<&Axes>) -> Result<Self> {
        let Some(axes) = axes else { return Ok(self) };
        if axes.count() != self.leading {
            let accepted = format!(
                "{} of layer, batch and head: '{}' has so many dimensions before the last two",
                self.leading,
                path.display()
            );
            return Err(Error::value("--axes", axes, accepted));
        }
        let held: &[usize] = [&[][..], &[2], &[0, 2], &[0, 1, 2]][self.leading];
        let order = axes.order(held);
        let values = match self.values {
            Values::F32(a) => Values::F32(a.permuted_axes(order)),
            Values::F64(a) => Values::F64(a.permuted_axes(order)),
        };
        Ok(Self { values, ..self })
    }

    fn dim(&self) -> (usize, usize, usize, usize, usize) {
        match &self.values {
            Values::F32(a) => a.dim(),
            Values::F64(a) => a.dim(),
        }
    }

    /// The matrix of one head for one sample, row by row in memory; every entry must be finite. `name` is what errors call it.
    pub fn matrix(&self, name: &str, layer: usize, sample: usize, head: usize) -> Result<Matrix> {
        let what = || {
            let sample = if self.samples() > 1 { format!(", sample {sample}") } else { String::new() };
            format!("{name} of layer {layer}{sample}, head {head}")
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

    /// From an array of two to five dimensions with values of the format `stored`; the path is for messages.
    pub fn new(path: &Path, values: Flexible, stored: Precision) -> Result<Self> {
        let leading = values.dimensions().saturating_sub(2);
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
        Ok(Self { values, precision, leading })
    }
}

/// An array of any dimensions, owned or borrowed.
#[derive(Clone, Debug)]
pub enum Flexible {
    /// From float32 and narrower.
    F32(CowArray<'static, f32, IxDyn>),
    /// From float64.
    F64(CowArray<'static, f64, IxDyn>),
}

impl Flexible {
    fn dimensions(&self) -> usize {
        match self {
            Self::F32(a) => a.ndim(),
            Self::F64(a) => a.ndim(),
        }
    }
}

fn finite<T: Copy + Into<f64>>(a: ArrayView2<'_, T>, what: impl Fn() -> String) -> Result<Array2<T>> {
    // A row-major copy: `to_owned` of a column-major view stays column-major. The copy is what is checked: others may write to
    // memory that is borrowed from them.
    let a = a.as_standard_layout().into_owned();
    match a.indexed_iter().find(|(_, x)| !(**x).into().is_finite()) {
        None => Ok(a),
        Some(((i, j), x)) => {
            Err(Error::NotFinite { what: what(), value: (*x).into(), at: format!("row {i}, column {j}") })
        }
    }
}

/// The first line of a parser's error: parsers draw the position below it.
pub(super) fn line(error: &impl ToString) -> String {
    let text = error.to_string();
    if text.contains("failed to fill whole buffer") {
        return "it ends too early (is the file cut short?)".into();
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    first.map_or_else(|| "unreadable".into(), |line| line.chars().take(200).collect())
}

/// Refuses an array that does not fit in memory, before it is allocated.
pub(super) fn fits(path: &Path, bytes: u64, memory: u64) -> Result<()> {
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
pub(super) fn choose(path: &Path, names: &[&str], tensor: Option<&str>) -> Result<usize> {
    match tensor {
        Some(tensor) => {
            name::find("tensor", tensor, names, |name| name)?;
            Ok(names.iter().take_while(|name| **name != tensor).count())
        }
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

/// As (layers, batch, h, n, m), with 1 for missing dimensions; the first of four dimensions is layers.
fn five<T: Clone>(path: &Path, a: CowArray<'static, T, IxDyn>) -> Result<CowArray<'static, T, Ix5>> {
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
