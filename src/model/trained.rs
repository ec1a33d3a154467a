//! A trained model: its folder opened, token ids run through it.

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView3};

use super::config::{ModelConfig, Position, UNLIMITED};
use super::family::{Family, Role};
use super::folder::{FOLDER, settled};
use super::forward::{self, Pass};
use super::observe::Observer;
use super::substitute::Substitute;
use super::{ModelInput, embedded, head, load, read};
use crate::attention::Term;
use crate::{Error, Result};

/// A trained model, its weights mapped from its folder.
pub struct Model {
    dir: PathBuf,
    family: &'static Family,
    config: ModelConfig,
    store: load::Store,
}

/// The result of a forward pass.
#[derive(Clone, Debug)]
pub struct Output {
    /// The last hidden states, shape (n, d), after the final norm where there is one (and as wide as the token table where
    /// the model projects them to that, as OPT-350m does); `None` if the observer's
    /// [`last_layer`](Observer::last_layer) ended the pass before.
    pub hidden: Option<Array2<f32>>,
}

impl Output {
    /// The last hidden states of a pass that was not ended early.
    pub fn last(self) -> Result<Array2<f32>> {
        self.hidden.ok_or_else(|| Error::Convergence { what: "the forward pass of the model".into() })
    }
}

impl Model {
    /// Opens a model's folder: `config.json`, and `model.safetensors` or its shards with their index. Of the run folder
    /// of a training it opens `best`.
    ///
    /// Every tensor of the configuration must be there with its shape, and every tensor must be known to the family.
    pub fn open(dir: &Path) -> Result<Self> {
        let embedded = embedded::exists(&dir.join("config.json"));
        if !dir.is_dir() && !embedded {
            let what = if dir.exists() { "not a folder" } else { "no such folder" };
            return Err(Error::malformed(dir, what, FOLDER));
        }
        let dir = &settled(dir);
        let path = dir.join("config.json");
        if !embedded::exists(&path) {
            return Err(Error::malformed(dir, "no config.json", FOLDER));
        }
        let text = embedded::text(&path)?;
        let (family, config) = read::read(&path, &text)?;
        let store = load::Store::open(dir, family, &config)?;
        Ok(Self { dir: dir.clone(), family, config, store })
    }

    /// Its family.
    pub fn family(&self) -> &'static Family {
        self.family
    }

    /// Its configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What the heads of a layer have over n positions beside their scale and mask, as [`HeadTap::terms`](super::HeadTap::terms) hands it on.
    pub fn terms(&self, layer: usize, n: usize) -> Vec<Term> {
        let config = &self.config;
        let has = |term: &Term| match term {
            Term::Softcap => config.softcap.is_some(),
            Term::Bias => matches!(config.position, Position::Slopes(_) | Position::Buckets { .. }),
            Term::Window => config.window_over(layer, n).is_some(),
            Term::Sink => self.store.has(Role::Sinks, layer),
        };
        Term::ALL.iter().copied().filter(has).collect()
    }

    /// Notes: unknown configuration keys, weights that the configuration does not expect.
    pub fn notes(&self) -> Vec<String> {
        self.config.notes.iter().chain(self.store.notes()).cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &load::Store {
        &self.store
    }

    /// The folder that it was opened from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs the model over n token ids (no special tokens are added), all of the first segment.
    ///
    /// Heads run in parallel; the observer is called from this thread, layer by layer and head by head.
    pub fn forward(&self, ids: &[u32], observer: &mut dyn Observer) -> Result<Output> {
        self.run(ModelInput::Tokens(ids), observer, None)
    }

    /// As [`forward`](Self::forward), with the heads of the layers that `substitute` selects computed by it.
    ///
    /// The observer receives the queries, keys and values of a replaced layer, and (if requested) the softmax matrix that they
    /// would have.
    pub fn forward_with(
        &self,
        ids: &[u32],
        observer: &mut dyn Observer,
        substitute: &dyn Substitute,
    ) -> Result<Output> {
        self.run(ModelInput::Tokens(ids), observer, Some(substitute))
    }

    /// Both of these over what the model reads: token ids, or an image.
    pub fn run(
        &self,
        input: ModelInput<'_>,
        observer: &mut dyn Observer,
        substitute: Option<&dyn Substitute>,
    ) -> Result<Output> {
        match input {
            ModelInput::Tokens(ids) => self.check(ids)?,
            ModelInput::Pixels(pixels) => self.check_pixels(pixels)?,
        }
        Ok(Output { hidden: self.pass(substitute).over(input, observer)? })
    }

    /// The rest of a pass, from the hidden states (n, d) that a layer reads ([`Observer::hidden`]).
    pub fn run_from(
        &self,
        layer: usize,
        x: Array2<f32>,
        observer: &mut dyn Observer,
        substitute: Option<&dyn Substitute>,
    ) -> Result<Output> {
        let ModelConfig { layers, d, .. } = self.config;
        if x.ncols() != d || layer > layers {
            let what = format!("hidden states before layer {layer}");
            let expected = format!("(n, d) with d = {d}, before one of {layers} layers");
            return Err(Error::Shape { what, found: x.shape().to_vec(), expected });
        }
        Ok(Output { hidden: self.pass(substitute).layers(layer, x, observer)? })
    }

    fn pass<'a>(&'a self, substitute: Option<&'a dyn Substitute>) -> Pass<'a> {
        Pass { config: &self.config, store: &self.store, substitute }
    }

    /// What projects the outputs of a layer's heads, side by side, into the hidden states: shape (h `d_h`, d).
    pub fn output_weight(&self, layer: usize) -> Result<Array2<f32>> {
        forward::output_weight(&self.store, layer)
    }

    /// Logits over the vocabulary, shape (n, vocabulary), of hidden states (n, d); `None` if the weights have no such
    /// head.
    pub fn logits(&self, hidden: &Array2<f32>) -> Result<Option<Array2<f32>>> {
        head::logits(&self.config, &self.store, hidden)
    }

    fn check_pixels(&self, pixels: ArrayView3<'_, f32>) -> Result<()> {
        let Some(image) = self.config.image else {
            let what = format!("the input of a {} model", self.family.name);
            return Err(Error::value(what, "an image", "token ids"));
        };
        image.check("the input", pixels.dim())
    }

    fn check(&self, ids: &[u32]) -> Result<()> {
        let ModelConfig { positions, vocab, .. } = self.config;
        let family = self.family;
        if self.config.image.is_some() {
            let what = format!("the input of a {} model", family.name);
            return Err(Error::value(what, "token ids", "an image (--pixels FILE.npy)"));
        }
        let too_many = |accepted| Error::Tokens { what: "the input".into(), found: ids.len(), accepted };
        if ids.is_empty() || ids.len() > positions {
            let most = if positions == UNLIMITED {
                "1 or more".into()
            } else {
                format!("1 to {positions}, its positions")
            };
            return Err(too_many(format!("this {} model takes {most}", family.name)));
        }
        match ids.iter().position(|id| *id as usize >= vocab) {
            None => Ok(()),
            Some(at) => {
                let what = format!("token {} of the input", at + 1);
                Err(Error::value(what, ids[at], format!("ids below {vocab}, the model's vocabulary")))
            }
        }
    }
}
