//! Queries, keys and values as an input.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{Head, HeadPlace, InputArgs, LayerKind, Sink, Source, Wanted, hash, layer};
use super::folder::Folder;
use super::part::{Outline, Part, Typed};
use crate::attention::Mask;
use crate::error::{Error, Result};
use crate::task::dump::Stored;

pub(in crate::study::input) struct Projections {
    name: String,
    file: String,
    sha256: Option<String>,
    held: Held,
    /// What is known of each layer; of those that a folder lacks, what is known of its first.
    outlines: Vec<Outline>,
    windows: usize,
    layers: Vec<usize>,
    heads: Vec<usize>,
}

enum Held {
    /// All layers.
    All(Box<Part>),
    /// Read layer by layer.
    Folder(Folder),
}

impl Projections {
    pub(in crate::study::input) fn open(args: &InputArgs, stored: &Stored) -> Result<Self> {
        let (path, typed) = (stored.path(), Typed::from(args));
        let is_file = matches!(stored, Stored::File(_));
        if is_file && path.extension().is_some_and(|extension| extension == "npy") {
            let accepted = "an .npz or .safetensors file with arrays q, k and v";
            return Err(Error::malformed(path, "one array", accepted));
        }
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let file = path.display().to_string();
        if is_file && path.is_dir() {
            let (folder, found) = Folder::open(path, &typed)?;
            let sha256 = Some(hash::of_files(folder.files())?);
            let mut outlines = Vec::new();
            for (layer, outline) in folder.layers.iter().zip(&found) {
                outlines.resize_with(*layer, || found[0].clone());
                outlines.push(outline.clone());
            }
            let (layers, heads) = select(args, &outlines)?;
            let (layers, absent): (Vec<usize>, _) =
                layers.into_iter().partition(|layer| folder.layers.contains(layer));
            if let Some(layer) = absent.first().filter(|_| args.layers.is_some()) {
                let held: Vec<String> = folder.layers.iter().map(ToString::to_string).collect();
                return Err(Error::value("--layers", layer, held.join(", ")));
            }
            let (windows, held) = (folder.windows(), Held::Folder(folder));
            return Ok(Self { name, file, sha256, held, outlines, windows, layers, heads });
        }
        let part = Part::open(stored, &typed)?;
        let outlines = vec![part.outline.clone(); part.outline.shape.layers];
        let (layers, heads) = select(args, &outlines)?;
        let (windows, sha256) = (part.outline.shape.samples, hash::of_stored(stored)?);
        Ok(Self { name, file, sha256, held: Held::All(Box::new(part)), outlines, windows, layers, heads })
    }

    fn each(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.layers.iter().flat_map(|layer| self.heads.iter().map(|head| (*layer, *head)))
    }

    /// What is said of all layers: once if it is the same, or of each layer that is there.
    fn said<T: PartialEq + Into<Value> + Clone>(&self, of: impl Fn(&Outline) -> T) -> Value {
        let all: Vec<T> = self.outlines.iter().map(of).collect();
        if all.iter().all(|one| *one == all[0]) { all[0].clone().into() } else { all.into() }
    }
}

fn select(args: &InputArgs, outlines: &[Outline]) -> Result<(Vec<usize>, Vec<usize>)> {
    let slides = |layer: usize| outlines[layer].kind.window.is_some();
    args.select(outlines.len(), outlines[0].shape.heads, Some(&slides))
}

impl Source for Projections {
    fn name(&self) -> &str {
        &self.name
    }

    fn lengths(&self) -> &[usize] {
        std::slice::from_ref(&self.outlines[0].shape.lengths.0)
    }

    fn windows(&self) -> usize {
        self.windows
    }

    fn places(&self) -> Vec<HeadPlace> {
        let place = |(layer, head)| {
            let outline: &Outline = &self.outlines[layer];
            HeadPlace::in_layer(layer, head, outline.kind.to_string())
        };
        self.each().map(place).collect()
    }

    fn mask(&self) -> Mask {
        let is_causal = self.layers.iter().any(|layer| self.outlines[*layer].kind.mask == Mask::Causal);
        if is_causal { Mask::Causal } else { Mask::Full }
    }

    fn kinds(&self) -> Vec<LayerKind> {
        self.outlines.iter().map(|outline| outline.kind.clone()).collect()
    }

    fn restrict(&mut self, layers: &[usize]) {
        self.layers.retain(|layer| layers.contains(layer));
    }

    fn facts(&self) -> Vec<(String, Value)> {
        let (layers, shape) = (self.outlines.len(), self.outlines[0].shape);
        let (n, m) = shape.lengths;
        let hash = self.sha256.iter().map(|hash| ("qkv_sha256".into(), hash.clone().into()));
        let mut facts = vec![("qkv".into(), self.file.clone().into())];
        facts.extend(hash);
        facts.extend([
            ("q_shape".into(), vec![layers, self.windows, shape.heads, n, shape.d].into()),
            ("k_shape".into(), vec![layers, self.windows, shape.groups, m, shape.d].into()),
            ("scale".into(), self.said(|outline| outline.scale)),
            ("mask".into(), self.said(|outline| outline.kind.to_string())),
        ]);
        if self.outlines.iter().any(|outline| outline.softcap.is_some()) {
            facts.push(("softcap".into(), self.said(|outline| outline.softcap)));
        }
        facts
    }

    fn notes(&self) -> Vec<String> {
        let samples = self.windows;
        let batch = (samples > 1).then(|| match self.held {
            Held::All(_) => format!("windows are the {samples} samples of the file's batch"),
            Held::Folder(_) => format!("windows are the {samples} samples of the folder's forward passes"),
        });
        let double = self.outlines.iter().any(|outline| outline.is_double);
        let rounded = double.then(|| "float64 queries and keys are rounded to float32".to_string());
        let others: BTreeSet<&str> =
            self.outlines.iter().flat_map(|outline| &outline.unread).map(String::as_str).collect();
        let others = (!others.is_empty()).then(|| {
            let names: Vec<&str> = others.into_iter().collect();
            format!("arrays that are not read: {}", names.join(", "))
        });
        let kinds: Vec<&LayerKind> = self.layers.iter().map(|layer| &self.outlines[*layer].kind).collect();
        batch.into_iter().chain(rounded).chain(others).chain(layer::notes(&kinds)).collect()
    }

    fn visit(
        &self,
        _n: usize,
        window: usize,
        _matrices: bool,
        wanted: &Wanted<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        for layer in &self.layers {
            let heads: Vec<usize> = self.heads.iter().copied().filter(|head| wanted(*layer, *head)).collect();
            if heads.is_empty() {
                continue;
            }
            let read;
            let (part, at, sample) = match &self.held {
                Held::All(part) => (&**part, *layer, window),
                Held::Folder(folder) => {
                    read = folder.at(window, *layer)?;
                    (&read.0, 0, read.1)
                }
            };
            let Outline { shape, kind, .. } = &part.outline;
            for head in heads {
                let (body, terms) = part.head(at, sample, head)?;
                sink(Head {
                    label: Head::label_in(*layer, head),
                    layer: *layer,
                    head,
                    window,
                    shape: shape.lengths,
                    mask: kind.mask,
                    terms,
                    width: Some(shape.d),
                    body,
                    own: None,
                })?;
            }
        }
        Ok(())
    }
}
