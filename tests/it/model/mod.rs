//! Models: against Hugging Face's own numbers, in every layout of file, and with every kind of bad file.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod bad_config;
mod bad_weights;
pub(crate) mod encoder;
pub(crate) mod golden;
mod hub;
mod keys;
mod large;
mod layout;
mod luna_modules;
mod substitute;
mod tied;
mod translator;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use luna::model::{HeadTap, Model, ModelInput, Observer};
use luna::{Error, Result};
use ndarray::{Array2, Array3, ArrayD, Axis, IxDyn};
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

/// Watches every head, with matrices.
#[derive(Default)]
pub(crate) struct Everything(pub(crate) Vec<HeadTap>);

impl Observer for Everything {
    fn wants_matrix(&self, _layer: usize) -> bool {
        true
    }

    fn head(&mut self, head: HeadTap) -> Result<()> {
        self.0.push(head);
        Ok(())
    }
}

/// The folder of a tiny model.
pub(crate) fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf_tiny").join(name)
}

/// What Hugging Face computed.
pub(crate) struct Expected(BTreeMap<String, ArrayD<f64>>);

impl Expected {
    pub(crate) fn read(name: &str) -> Self {
        let bytes = fs::read(tiny(name).join("expected.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let array = |(name, view): (&str, TensorView<'_>)| {
            let numbers: Vec<f64> = match view.dtype() {
                Dtype::F32 => chunks(view.data()).map(|four| f64::from(f32::from_le_bytes(four))).collect(),
                Dtype::I64 => chunks(view.data()).map(|eight| i64::from_le_bytes(eight) as f64).collect(),
                other => panic!("{other:?}"),
            };
            (name.to_string(), ArrayD::from_shape_vec(IxDyn(view.shape()), numbers).unwrap())
        };
        Self(tensors.iter().map(array).collect())
    }

    pub(crate) fn get(&self, name: &str) -> &ArrayD<f64> {
        &self.0[name]
    }

    pub(crate) fn ids(&self) -> Vec<u32> {
        self.get("input_ids").iter().map(|id| *id as u32).collect()
    }

    /// What it was computed of.
    pub(crate) fn fed(&self) -> Fed {
        match self.0.get("pixel_values") {
            Some(pixels) => {
                let pixels = pixels.index_axis(Axis(0), 0).mapv(|x| x as f32);
                Fed::Pixels(pixels.into_dimensionality().unwrap())
            }
            None => Fed::Ids(self.ids()),
        }
    }
}

/// What a model was given.
pub(crate) enum Fed {
    Ids(Vec<u32>),
    Pixels(Array3<f32>),
}

impl Fed {
    pub(crate) fn input(&self) -> ModelInput<'_> {
        match self {
            Self::Ids(ids) => ModelInput::Tokens(ids),
            Self::Pixels(pixels) => ModelInput::Pixels(pixels.view()),
        }
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

/// The largest difference between an array and the expected one; NaN anywhere is infinitely far away.
fn off(found: &Array2<f32>, expected: &ArrayD<f64>) -> f64 {
    assert_eq!(found.shape(), expected.shape());
    let far = |(a, b): (&f32, &f64)| Some((f64::from(*a) - b).abs()).filter(|off| !off.is_nan());
    found.iter().zip(expected).map(|pair| far(pair).unwrap_or(f64::INFINITY)).fold(0.0, f64::max)
}

fn largest(expected: &ArrayD<f64>) -> f64 {
    expected.iter().fold(0.0, |a, b| b.abs().max(a))
}

/// What differs from what Hugging Face computed by more than these tolerances: matrices absolutely, hidden states and
/// logits relative to the largest.
fn differences(model: &Model, expected: &Expected, matrices: f64, outputs: f64) -> Vec<String> {
    let mut seen = Everything::default();
    let fed = expected.fed();
    let hidden = model.run(fed.input(), &mut seen, None).unwrap().hidden.unwrap();
    let config = model.config();
    assert_eq!(seen.0.len(), config.layers * config.heads);
    let mut found = Vec::new();
    let attentions = expected.get("attentions");
    for tap in &seen.0 {
        let exact = attentions.index_axis(Axis(0), tap.layer).index_axis(Axis(0), tap.head).to_owned();
        let off = off(tap.matrix.as_ref().unwrap(), &exact);
        if off > matrices {
            found.push(format!("layer {} head {}: off by {off:e}", tap.layer, tap.head));
        }
    }
    let exact = expected.get("last_hidden");
    let hidden_off = off(&hidden, exact) / largest(exact);
    if hidden_off > outputs {
        found.push(format!("hidden states are off by {hidden_off:e}"));
    }
    let logits = model.logits(&hidden).unwrap();
    match (expected.0.get("logits"), logits) {
        (Some(exact), Some(logits)) => {
            let logits_off = off(&logits, exact) / largest(exact);
            if logits_off > outputs {
                found.push(format!("logits are off by {logits_off:e}"));
            }
        }
        (None, None) => {}
        (exact, logits) => {
            found.push(format!("logits: {} expected, {} found", exact.is_some(), logits.is_some()));
        }
    }
    found
}

/// Refuses what [`differences`] finds.
fn compare(model: &Model, expected: &Expected, matrices: f64, outputs: f64) {
    let found = differences(model, expected, matrices, outputs);
    assert!(found.is_empty(), "{found:?}");
}

/// A tensor that a test may change and write again.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) type Raws = BTreeMap<String, Raw>;

fn raws(name: &str) -> Raws {
    let bytes = fs::read(tiny(name).join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let raw = |(name, view): (&str, TensorView<'_>)| {
        let raw = Raw { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        (name.to_string(), raw)
    };
    tensors.iter().map(raw).collect()
}

fn write_raws(path: &Path, raws: &Raws) {
    let views = raws.iter().map(|(name, raw)| {
        (name.as_str(), TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes).unwrap())
    });
    fs::write(path, serialize(views, None).unwrap()).unwrap();
}

/// A copy of a tiny model's folder with changed tensors.
pub(crate) fn with_tensors(name: &str, change: impl FnOnce(Raws) -> Raws) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(tiny(name).join("config.json"), dir.path().join("config.json")).unwrap();
    write_raws(&dir.path().join("model.safetensors"), &change(raws(name)));
    dir
}

/// A copy of a tiny model's folder with changed keys of `config.json`; null removes a key.
fn with_config(name: &str, changes: &serde_json::Value) -> tempfile::TempDir {
    let dir = with_tensors(name, |raws| raws);
    set_config(dir.path(), changes);
    dir
}

fn set_config(dir: &Path, changes: &serde_json::Value) {
    let path = dir.join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
        if value.is_null() {
            config.as_object_mut().unwrap().remove(key);
        }
    }
    fs::write(path, config.to_string()).unwrap();
}

/// The message of the error that opening a folder gives, less the folder's own path.
fn refusal(dir: &Path) -> String {
    let error: Error = match Model::open(dir) {
        Ok(_) => panic!("{} opens", dir.display()),
        Err(error) => error,
    };
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text.replace(&format!("{}/", dir.display()), "").replace(&dir.display().to_string(), "DIR")
}
