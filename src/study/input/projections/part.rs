//! The arrays of one file, or of memory, with what softmax attention does with them.

use std::collections::BTreeMap;
use std::str::FromStr;

use ndarray::{Array1, Array2};

use super::super::mask::of_projections;
use super::super::{Body, InputArgs, LayerKind};
use crate::attention::{HeadTerms, Mask, Term};
use crate::error::{Error, Result};
use crate::name;
use crate::profile::ram;
use crate::task::dump::{Axes, Dump, Matrix, Precision, Stored};

/// What the options say of the arrays, which overrides what their file says.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    axes: Option<Axes>,
    mask: Option<String>,
    scale: Option<f64>,
    softcap: Option<f64>,
}

impl From<&InputArgs> for Typed {
    fn from(args: &InputArgs) -> Self {
        let InputArgs { axes, qkv_mask, qkv_scale, qkv_softcap, .. } = args;
        Self { axes: axes.clone(), mask: qkv_mask.clone(), scale: *qkv_scale, softcap: *qkv_softcap }
    }
}

/// Sizes of the arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) layers: usize,
    pub(super) samples: usize,
    pub(super) heads: usize,
    /// Query and key lengths.
    pub(super) lengths: (usize, usize),
    pub(super) d: usize,
    /// Heads of the keys and values.
    pub(super) groups: usize,
}

/// What is known of arrays without reading them again.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    pub(super) shape: Shape,
    pub(super) kind: LayerKind,
    pub(super) scale: f64,
    pub(super) softcap: Option<f64>,
    /// Whether queries or keys have more digits than are used.
    pub(super) is_double: bool,
    /// Names of arrays that are not read.
    pub(super) unread: Vec<String>,
}

/// Arrays of shape (layers, batch, heads, length, width).
pub(super) struct Part {
    q: Dump,
    k: Dump,
    /// Values, if there are some.
    v: Option<Dump>,
    sink: Option<Dump>,
    bias: Option<Dump>,
    pub(super) outline: Outline,
}

impl Part {
    pub(super) fn open(stored: &Stored, typed: &Typed) -> Result<Self> {
        let memory = ram::available().unwrap_or(u64::MAX);
        let path = stored.path();
        let read = |name| {
            let array = stored.read(Some(name), memory).map_err(|error| match error {
                Error::Shape { what, found, expected } => {
                    Error::Shape { what: format!("array '{name}' of {what}"), found, expected }
                }
                other => other,
            });
            array?.by(path, typed.axes.as_ref())
        };
        let unread = unread(stored)?;
        let required = |name| read(name).map_err(|error| missing(stored, name, error));
        let optional = |name| match read(name) {
            Ok(dump) => Ok(Some(dump)),
            Err(Error::UnknownName { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let (q, k) = (required("q")?, required("k")?);
        let [v, sink, bias] = [optional("v")?, optional("sink")?, optional("bias")?];
        let shape = shape(stored, &q, &k, v.as_ref())?;
        let distances = shape.lengths.0 + shape.lengths.1 - 1;
        for (name, array, width) in [("sink", &sink, 1), ("bias", &bias, distances)] {
            array.as_ref().map_or(Ok(()), |array| beside(stored, name, array, &shape, width))?;
        }
        let facts = stored.facts()?;
        let (kind, scale, softcap) = terms(stored, &facts, typed, &shape, [bias.is_some(), sink.is_some()])?;
        let is_double = [&q, &k].iter().any(|dump| dump.precision == Precision::F64);
        let outline = Outline { shape, kind, scale, softcap, is_double, unread };
        Ok(Self { q, k, v, sink, bias, outline })
    }

    /// What a head is made from.
    pub(super) fn head(&self, layer: usize, sample: usize, head: usize) -> Result<(Body, HeadTerms)> {
        let Outline { shape, kind, scale, softcap, .. } = &self.outline;
        let group = head / (shape.heads / shape.groups);
        let v = match &self.v {
            Some(v) => single("v", v, layer, sample, group)?,
            None => Array2::zeros((shape.lengths.1, 0)),
        };
        let q = single("q", &self.q, layer, sample, head)?;
        let k = single("k", &self.k, layer, sample, group)?;
        // One sample stands for all.
        let row = |name: &str, array: &Option<Dump>| {
            let row = |array: &Dump| single(name, array, layer, sample.min(array.samples() - 1), head);
            let row = array.as_ref().map(row).transpose()?;
            Ok::<_, Error>(row.map(Array1::from_iter))
        };
        let terms = HeadTerms {
            softcap: softcap.map(|softcap| softcap as f32),
            bias: row("bias", &self.bias)?,
            window: kind.window.filter(|_| kind.terms.contains(&Term::Window)),
            sink: row("sink", &self.sink)?.and_then(|row| row.first().copied()),
        };
        Ok((Body::Projected { q, k, v, scale: *scale, precise: false, matrix: None }, terms))
    }
}

/// The arrays that are read.
const NAMES: [&str; 5] = ["q", "k", "v", "sink", "bias"];

/// The other arrays of a file, which may hold what it will; a name that was probably meant to be one of those that it lacks
/// is refused.
fn unread(stored: &Stored) -> Result<Vec<String>> {
    let (read, other): (Vec<_>, Vec<_>) =
        stored.names()?.into_iter().partition(|name| NAMES.contains(&name.as_str()));
    let lacked = NAMES.into_iter().filter(|name| !read.iter().any(|read| read == name));
    for name in &other {
        if let Some(meant) = name::suggest(name, lacked.clone()) {
            let what = format!("an array '{name}' (did you mean '{meant}'?)");
            return Err(Error::malformed(stored.path(), what, ARRAYS));
        }
    }
    Ok(other)
}

/// What a file holds.
const ARRAYS: &str = "arrays q and k, and where they are needed v, sink and bias";

/// Names the file that lacks an array.
fn missing(stored: &Stored, name: &str, error: Error) -> Error {
    match (stored, error) {
        (Stored::File(path), Error::UnknownName { known, .. }) => {
            let what = format!("no array '{name}' among {}", known.join(", "));
            Error::malformed(path, what, ARRAYS)
        }
        (_, error) => error,
    }
}

/// One matrix in f32; `name` is that of its array.
fn single(name: &str, dump: &Dump, layer: usize, sample: usize, head: usize) -> Result<Array2<f32>> {
    Ok(match dump.matrix(&format!("array '{name}'"), layer, sample, head)? {
        Matrix::F32(a) => a,
        Matrix::F64(a) => a.mapv(|x| x as f32),
    })
}

/// The sizes of queries, keys and values that fit each other.
fn shape(stored: &Stored, q: &Dump, k: &Dump, v: Option<&Dump>) -> Result<Shape> {
    let of = |dump: &Dump| (dump.shape(), dump.samples());
    let (((layers, heads, n, d), samples), ((_, groups, m, _), _)) = (of(q), of(k));
    let fits = |dump: &Dump, width: Option<usize>| {
        let ((own_layers, own_heads, length, own_width), own_samples) = of(dump);
        (own_layers, own_samples, own_heads, length) == (layers, samples, groups, m)
            && width.is_none_or(|width| width == own_width)
    };
    let expected = |rest: String| format!("({layers}, {samples}, {rest}");
    if !heads.is_multiple_of(groups) || !fits(k, Some(d)) {
        let rest = format!("a divisor of {heads}, m, {d}), as q has it");
        return Err(refused(stored, "k", k, &expected(rest)));
    }
    if let Some(v) = v.filter(|v| !fits(v, None)) {
        return Err(refused(stored, "v", v, &expected(format!("{groups}, {m}, d_v), as k has it"))));
    }
    Ok(Shape { layers, samples, heads, lengths: (n, m), d, groups })
}

/// Refuses an array that has no row of `width` numbers for each head.
fn beside(stored: &Stored, name: &str, array: &Dump, shape: &Shape, width: usize) -> Result<()> {
    let Shape { layers, samples, heads, .. } = *shape;
    if array.shape() == (layers, heads, 1, width) && [1, samples].contains(&array.samples()) {
        return Ok(());
    }
    let samples = if samples > 1 { format!("1 or {samples}") } else { "1".into() };
    Err(refused(stored, name, array, &format!("({layers}, {samples}, {heads}, 1, {width})")))
}

fn refused(stored: &Stored, name: &str, array: &Dump, expected: &str) -> Error {
    let (layers, heads, length, width) = array.shape();
    let file = match stored {
        Stored::File(path) => format!(" of '{}'", path.display()),
        Stored::Held(_) => String::new(),
    };
    Error::Shape {
        what: format!("array '{name}'{file}"),
        found: vec![layers, array.samples(), heads, length, width],
        expected: format!("(layers, batch, heads, length, width) = {expected}"),
    }
}

/// Mask, scale and softcap: as the options say, or the file, or as is usual.
fn terms(
    stored: &Stored,
    facts: &BTreeMap<String, String>,
    typed: &Typed,
    shape: &Shape,
    [bias, sink]: [bool; 2],
) -> Result<(LayerKind, f64, Option<f64>)> {
    let what = |key: &str, typed: bool| {
        if typed { format!("--qkv-{key}") } else { format!("{key} of '{stored}'") }
    };
    let number = |key: &str, typed: Option<f64>| match (typed, facts.get(key)) {
        (None, Some(text)) => {
            f64::from_str(text).map(Some).map_err(|_| Error::value(what(key, false), text, "a number"))
        }
        (typed, _) => Ok(typed),
    };
    let said = typed.mask.as_deref().or(facts.get("mask").map(String::as_str)).unwrap_or("full");
    let flag = what("mask", typed.mask.is_some());
    let (mask, window) = of_projections(&flag, said)?;
    let (n, m) = shape.lengths;
    if n != m && (mask == Mask::Causal || window.is_some()) {
        let accepted =
            format!("full: there are {n} queries and {m} keys, and no word on which stand beside which");
        return Err(Error::value(flag, said, accepted));
    }
    let scale = number("scale", typed.scale)?.unwrap_or(1.0 / (shape.d as f64).sqrt());
    if !scale.is_finite() || scale == 0.0 {
        let what = what("scale", typed.scale.is_some());
        return Err(Error::value(what, scale, "a finite number other than 0"));
    }
    let softcap = number("softcap", typed.softcap)?;
    if let Some(softcap) = softcap.filter(|softcap| !(*softcap > 0.0 && softcap.is_finite())) {
        let what = what("softcap", typed.softcap.is_some());
        return Err(Error::value(what, softcap, "a finite number above 0"));
    }
    let hides = window.is_some_and(|window| window.hides(n, mask));
    let held = [softcap.is_some(), bias, hides, sink];
    let terms = Term::ALL.iter().copied().zip(held).filter(|(_, held)| *held).map(|(term, _)| term);
    Ok((LayerKind { mask, window, terms: terms.collect() }, scale, softcap))
}
