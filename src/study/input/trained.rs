//! A trained model and a text as an input.

use serde_json::Value;

use super::reading::{self, Reading, Window};
use super::{Body, Head, HeadPlace, InputArgs, LayerKind, Sink, Source, Wanted, hash, images, layer};
use crate::attention::Mask;
use crate::attention::luna_causal::Average;
use crate::error::{Error, Result};
use crate::model::hub::{self, Resolved};
use crate::model::{HeadTap, Model, ModelInput, Observer, embedded};
use crate::network::Mechanism;
use crate::network::Network;
use crate::task::dump::Matrix;

pub(in crate::study) struct Trained {
    name: String,
    network: Network,
    layers: Vec<usize>,
    heads: Vec<usize>,
    lengths: Vec<usize>,
    reading: Reading,
    facts: Vec<(String, Value)>,
    notes: Vec<String>,
}

impl Trained {
    /// Opens the model and cuts the text that the options name; `seed` decides where in its part of the text a window
    /// begins.
    pub(in crate::study) fn open(args: &InputArgs, seed: u64) -> Result<Self> {
        if args.causal {
            let accepted = "--synthetic SPECS beside it; a model has its own mask";
            return Err(Error::value("--causal", "alone", accepted));
        }
        let asked = args.model.as_deref().unwrap_or(embedded::DEFAULT);
        let resolved = match (&args.model, embedded::folder(embedded::DEFAULT)) {
            // A folder of that name which lies here is not meant.
            (None, Some(dir)) => Resolved { dir, id: None, revision: None },
            _ => hub::resolve(asked, args.revision.as_deref(), args.offline)?,
        };
        let network = Network::open(&resolved.dir)?;
        let (layers, heads) = network.shape();
        let slides = |layer: usize| network.window(layer).is_some();
        let (layers, heads) = args.select(layers, heads, Some(&slides))?;
        let reader = network.reader();
        let lengths = match reader.image {
            Some(_) => vec![reader.positions],
            None => args.lengths_or(reader.positions.min(512)),
        };
        let mut facts: Vec<(String, Value)> = vec![
            ("model".into(), resolved.id.clone().unwrap_or_else(|| asked.to_string()).into()),
            ("model_sha256".into(), hash::of_model(&reader.dir)?.into()),
            ("family".into(), network.family().into()),
        ];
        facts.extend(network.luna().map(|own| ("own_attention".into(), own.spec().into())));
        if let Some(revision) = &resolved.revision {
            facts.push(("revision".into(), revision.clone().into()));
        }
        let reading = match reader.image {
            Some(image) => images::read(args, image)?,
            None => reading::read(args, &reader, &lengths, seed)?,
        };
        facts.extend(reading.facts.iter().cloned());
        let folder =
            resolved.dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let built_in = embedded::of(&resolved.dir);
        let name = resolved.id.unwrap_or(folder);
        let notes = reading.notes.clone();
        let mut opened = Self { name, network, layers, heads, lengths, reading, facts, notes };
        opened.notes.extend(built_in.map(|model| input_note(args, model, opened.windows())));
        opened.notes.extend(opened.network.luna().map(note));
        opened.notes.extend(opened.network.notes());
        Ok(opened)
    }

    /// The model itself, for those who put something else in the place of its softmax attention.
    ///
    /// Refuses networks that have none.
    pub(in crate::study) fn model(&self) -> Result<&Model> {
        match &self.network {
            Network::Softmax(model) => Ok(model),
            Network::Luna(..) => {
                let own = self.network.luna().map_or("", |own| own.name());
                Err(Error::value("attention of a model that is to be replaced", own, "softmax"))
            }
        }
    }

    /// The layers that are studied.
    pub(in crate::study) fn layers(&self) -> &[usize] {
        &self.layers
    }

    /// What the model reads in one window of length n.
    pub(in crate::study) fn input(&self, n: usize, window: usize) -> Option<ModelInput<'_>> {
        let at = self.lengths.iter().position(|length| *length == n)?;
        self.reading.windows[at].get(window).map(Window::input)
    }

    /// The same; an error where there is no such window.
    pub(in crate::study) fn window(&self, n: usize, window: usize) -> Result<ModelInput<'_>> {
        self.input(n, window).ok_or_else(|| Error::value("window", window, "one of the input"))
    }
}

impl Source for Trained {
    fn name(&self) -> &str {
        &self.name
    }

    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn windows(&self) -> usize {
        self.reading.windows.iter().map(Vec::len).min().unwrap_or(0)
    }

    fn places(&self) -> Vec<HeadPlace> {
        let kinds = self.kinds();
        let each = |layer: &usize| {
            let (layer, mask) = (*layer, kinds[*layer].to_string());
            self.heads.iter().map(move |head| HeadPlace::in_layer(layer, *head, mask.clone()))
        };
        self.layers.iter().flat_map(each).collect()
    }

    fn mask(&self) -> Mask {
        if self.network.is_causal() { Mask::Causal } else { Mask::Full }
    }

    fn kinds(&self) -> Vec<LayerKind> {
        let longest = self.lengths.last().copied().unwrap_or(1);
        let kind = |layer| LayerKind {
            mask: self.mask(),
            window: self.network.window(layer),
            terms: self.network.terms(layer, longest),
        };
        (0..self.network.shape().0).map(kind).collect()
    }

    fn restrict(&mut self, layers: &[usize]) {
        self.layers = layers.to_vec();
        self.layers.sort_unstable();
    }

    fn facts(&self) -> Vec<(String, Value)> {
        self.facts.clone()
    }

    fn notes(&self) -> Vec<String> {
        let all = self.kinds();
        let kinds: Vec<&LayerKind> = self.layers.iter().map(|layer| &all[*layer]).collect();
        [self.notes.clone(), layer::notes(&kinds)].concat()
    }

    fn dependence(&self) -> Option<String> {
        self.reading.dependence.clone()
    }

    fn own_l(&self) -> Option<usize> {
        self.network.luna().and_then(|own| own.l())
    }

    fn visit(
        &self,
        n: usize,
        window: usize,
        matrices: bool,
        wanted: &Wanted<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let Some(input) = self.input(n, window) else { return Ok(()) };
        let is_wanted = |layer: &usize| self.heads.iter().any(|head| wanted(*layer, *head));
        let layers: Vec<usize> = self.layers.iter().copied().filter(is_wanted).collect();
        if layers.is_empty() {
            return Ok(());
        }
        let mut tap = Tap { layers: &layers, heads: &self.heads, wanted, window, matrices, sink };
        self.network.watch(input, &mut tap)
    }
}

/// What was read by a built-in model.
fn input_note(args: &InputArgs, model: &embedded::Embedded, windows: usize) -> String {
    let text = match args.text.as_ref().or(args.tokens.as_ref()) {
        Some(file) => file.display().to_string(),
        None => "its own text".into(),
    };
    format!(
        "input: {}, a small built-in model, on {windows} window{} of {text}; its figures say nothing about large models",
        model.name,
        if windows == 1 { "" } else { "s" },
    )
}

/// What the matrices of a Luna model are, and what they are not.
fn note(own: Mechanism) -> String {
    if let Mechanism::LunaCausal { packing, .. } = own {
        let decays = packing.average != Average::Mean;
        let average = if decays { "a_t W^T averaged with its decay" } else { "(1 / t) a_t W^T" };
        format!(
            "a causal Luna model: row t of a head's own matrix is {average} up to column t, what the module applies to its \
             values; its rows do not sum to 1"
        )
    } else {
        "a Luna model: a head's own matrix is A_u A_p, unpack weights times pack weights: how positions are mixed, without the \
         projections between both steps"
            .into()
    }
}

/// Hands the chosen heads on.
struct Tap<'a, 'b> {
    layers: &'a [usize],
    heads: &'a [usize],
    wanted: &'a Wanted<'a>,
    window: usize,
    matrices: bool,
    sink: &'a mut Sink<'b>,
}

impl Observer for Tap<'_, '_> {
    fn wants_layer(&self, layer: usize) -> bool {
        self.layers.contains(&layer)
    }

    fn wants_matrix(&self, layer: usize) -> bool {
        self.matrices && self.layers.contains(&layer)
    }

    fn last_layer(&self) -> Option<usize> {
        self.layers.last().copied()
    }

    fn head(&mut self, tap: HeadTap) -> Result<()> {
        if !self.heads.contains(&tap.head) || !(self.wanted)(tap.layer, tap.head) {
            return Ok(());
        }
        let HeadTap { layer, head, q, k, v, scale, causal, terms, matrix, factors } = tap;
        if let Some(x) = q.iter().chain(&k).chain(&v).find(|x| !x.is_finite()) {
            let what = format!("queries, keys and values of layer {layer}, head {head}");
            let at = format!("window {}", self.window);
            return Err(Error::NotFinite { what, value: f64::from(*x), at });
        }
        (self.sink)(Head {
            label: Head::label_in(layer, head),
            layer,
            head,
            window: self.window,
            shape: (q.nrows(), k.nrows()),
            mask: if causal { Mask::Causal } else { Mask::Full },
            terms,
            width: Some(q.ncols()),
            body: Body::Projected {
                q,
                k,
                v,
                scale: f64::from(scale),
                precise: false,
                matrix: matrix.map(Matrix::F32),
            },
            own: factors,
        })
    }
}
