//! Queries, keys and values from elsewhere as an input.

use ndarray::Array2;
use serde_json::Value;

use super::mask::of_projections;
use super::{Body, Head, HeadPlace, InputArgs, LayerKind, Sink, Source, Wanted, hash};
use crate::attention::{HeadTerms, Mask, Term};
use crate::error::{Error, Result};
use crate::profile::ram;
use crate::task::dump::{Dump, Matrix, Precision, Stored};

pub(super) struct Projections {
    name: String,
    file: String,
    sha256: Option<String>,
    q: Dump,
    k: Dump,
    /// Values, if the file holds some.
    v: Option<Dump>,
    layers: Vec<usize>,
    heads: Vec<usize>,
    n: usize,
    scale: f64,
    kind: LayerKind,
}

impl Projections {
    pub(super) fn open(args: &InputArgs, stored: &Stored) -> Result<Self> {
        let path = stored.path();
        let memory = ram::available().unwrap_or(u64::MAX);
        let is_file = matches!(stored, Stored::File(_));
        if is_file && path.extension().is_some_and(|extension| extension == "npy") {
            let accepted = "an .npz or .safetensors file with arrays q, k and v";
            return Err(Error::malformed(path, "one array", accepted));
        }
        let read = |tensor| stored.read(Some(tensor), memory)?.by(path, args.axes.as_ref());
        let (q, k) = (read("q")?, read("k")?);
        let v = match read("v") {
            Ok(v) => Some(v),
            Err(Error::UnknownName { .. }) => None,
            Err(error) => return Err(error),
        };
        let of = |dump: &Dump| (dump.shape(), dump.samples());
        let (((layers, heads, n, d), samples), ((_, groups, m, _), _)) = (of(&q), of(&k));
        let fits = |dump: &Dump, width: Option<usize>| {
            let ((own_layers, own_heads, length, own_width), own_samples) = of(dump);
            (own_layers, own_samples, own_heads, length) == (layers, samples, groups, m)
                && width.is_none_or(|width| width == own_width)
        };
        let refuse = |name: &str, dump: &Dump, rest: String| {
            let ((layers_found, heads_found, length, width), samples_found) = of(dump);
            Err(Error::Shape {
                what: if is_file {
                    format!("array '{name}' of '{}'", path.display())
                } else {
                    format!("array '{name}'")
                },
                found: vec![layers_found, samples_found, heads_found, length, width],
                expected: format!("(layers, batch, heads, length, width) = ({layers}, {samples}, {rest}"),
            })
        };
        if !heads.is_multiple_of(groups) || !fits(&k, Some(d)) {
            return refuse("k", &k, format!("a divisor of {heads}, m, {d}), as q has it"));
        }
        if let Some(v) = v.as_ref().filter(|v| !fits(v, None)) {
            return refuse("v", v, format!("{groups}, {m}, d_v), as k has it"));
        }
        let (mask, window) = of_projections(args.qkv_mask.as_deref().unwrap_or("full"))?;
        if n != m && (mask == Mask::Causal || window.is_some()) {
            let accepted =
                format!("full: there are {n} queries and {m} keys, and no word on which stand beside which");
            return Err(Error::value("--qkv-mask", args.qkv_mask.as_deref().unwrap_or_default(), accepted));
        }
        let scale = args.qkv_scale.unwrap_or(1.0 / (d as f64).sqrt());
        if !scale.is_finite() || scale == 0.0 {
            return Err(Error::value("--qkv-scale", scale, "a finite number other than 0"));
        }
        let (layers, heads) = args.select(layers, heads, None)?;
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let (file, sha256) = (path.display().to_string(), hash::of_stored(stored)?);
        let hides = window.is_some_and(|window| window.hides(n, mask));
        let kind = LayerKind { mask, window, terms: hides.then_some(Term::Window).into_iter().collect() };
        Ok(Self { name, file, sha256, q, k, v, layers, heads, n, scale, kind })
    }

    fn each(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.layers.iter().flat_map(|layer| self.heads.iter().map(|head| (*layer, *head)))
    }
}

/// One matrix in f32; `name` is that of its array.
fn single(name: &str, dump: &Dump, layer: usize, sample: usize, head: usize) -> Result<Array2<f32>> {
    Ok(match dump.matrix(&format!("array '{name}'"), layer, sample, head)? {
        Matrix::F32(a) => a,
        Matrix::F64(a) => a.mapv(|x| x as f32),
    })
}

impl Source for Projections {
    fn name(&self) -> &str {
        &self.name
    }

    fn lengths(&self) -> &[usize] {
        std::slice::from_ref(&self.n)
    }

    fn windows(&self) -> usize {
        self.q.samples()
    }

    fn places(&self) -> Vec<HeadPlace> {
        let mask = self.kind.to_string();
        self.each().map(|(layer, head)| HeadPlace::in_layer(layer, head, mask.clone())).collect()
    }

    fn mask(&self) -> Mask {
        self.kind.mask
    }

    fn kinds(&self) -> Vec<LayerKind> {
        vec![self.kind.clone(); self.q.shape().0]
    }

    fn restrict(&mut self, layers: &[usize]) {
        self.layers.retain(|layer| layers.contains(layer));
    }

    fn facts(&self) -> Vec<(String, Value)> {
        let ((layers, heads, n, d), (_, groups, m, _)) = (self.q.shape(), self.k.shape());
        let hash = self.sha256.iter().map(|hash| ("qkv_sha256".into(), hash.clone().into()));
        let mut facts = vec![("qkv".into(), self.file.clone().into())];
        facts.extend(hash);
        facts.extend([
            ("q_shape".into(), vec![layers, self.q.samples(), heads, n, d].into()),
            ("k_shape".into(), vec![layers, self.k.samples(), groups, m, d].into()),
            ("scale".into(), self.scale.into()),
            ("mask".into(), self.kind.to_string().into()),
        ]);
        facts
    }

    fn notes(&self) -> Vec<String> {
        let samples = self.q.samples();
        let batch = (samples > 1).then(|| format!("windows are the {samples} samples of the file's batch"));
        let double = [&self.q, &self.k].iter().any(|dump| dump.precision == Precision::F64);
        let rounded = double.then(|| "float64 queries and keys are rounded to float32".to_string());
        batch.into_iter().chain(rounded).collect()
    }

    fn visit(
        &self,
        _n: usize,
        window: usize,
        _matrices: bool,
        wanted: &Wanted<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let ((_, heads, n, d), (_, groups, m, _)) = (self.q.shape(), self.k.shape());
        let shown = self.kind.window.filter(|_| !self.kind.terms.is_empty());
        for (layer, head) in self.each().filter(|(layer, head)| wanted(*layer, *head)) {
            let group = head / (heads / groups);
            let v = match &self.v {
                Some(v) => single("v", v, layer, window, group)?,
                None => Array2::zeros((m, 0)),
            };
            let q = single("q", &self.q, layer, window, head)?;
            let k = single("k", &self.k, layer, window, group)?;
            sink(Head {
                label: Head::label_in(layer, head),
                layer,
                head,
                window,
                shape: (n, m),
                mask: self.kind.mask,
                terms: HeadTerms { window: shown, ..HeadTerms::default() },
                width: Some(d),
                body: Body::Projected { q, k, v, scale: self.scale, precise: false, matrix: None },
                own: None,
            })?;
        }
        Ok(())
    }
}
