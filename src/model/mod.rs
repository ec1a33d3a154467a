//! Trained models: `config.json` and safetensors weights in, attention heads out.
//!
//! [`Model::open`] maps a folder as the Hugging Face hub lays it out; [`Model::forward`] runs token ids through it and
//! hands every head's queries, keys, values and (if asked) attention matrix to an [`Observer`]. Each [`Family`] is one
//! table of tensor names and one reader of configuration keys.
//!
//! [`Model::forward_with`] puts a [`Substitute`] in the place of softmax attention, in the layers that it chooses.
//! [`Named`] reads the tensors of a file by name; [`save`] writes files of weights.

pub mod config;
#[cfg(feature = "download")]
mod download;
pub mod embedded;
mod family;
mod forward;
mod head;
mod heads;
pub mod hub;
pub(crate) mod json;
pub(crate) mod keys;
mod linear;
pub mod load;
mod mapped;
mod named;
mod norm;
mod observe;
mod own;
mod rope;
pub mod save;
mod scaling;
mod shards;
mod substitute;
pub mod weights;

use std::path::{Path, PathBuf};

use ndarray::Array2;

pub use config::Config;
pub use family::{ALL, Effect, Family};
pub use named::Named;
pub use observe::{HeadTap, Observer, Unobserved};
pub use own::{BYTES, BYTES_FROM_ONE};
pub(crate) use own::{MODEL_TYPE, TRANSLATOR, first_byte};
pub use rope::Rope;
pub use scaling::Scaling;
pub use substitute::Substitute;

pub use crate::layer::Activation;

use crate::{Error, Result};

/// A trained model, its weights mapped from its folder.
pub struct Model {
    dir: PathBuf,
    config: Config,
    store: load::Store,
}

/// What comes out of a forward pass.
#[derive(Clone, Debug)]
pub struct Output {
    /// The last hidden states, shape (n, d), after the final norm where there is one; `None` if the observer's
    /// [`last_layer`](Observer::last_layer) ended the pass before.
    pub hidden: Option<Array2<f32>>,
}

/// The file of an encoder's weights.
pub(crate) const WEIGHTS: &str = "model.safetensors";

/// The folder that holds a model: the one named, or `best` in the run folder of a training.
pub(crate) fn settled(dir: &Path) -> PathBuf {
    let best = dir.join("best");
    if !embedded::exists(&dir.join("config.json")) && best.join("config.json").is_file() {
        return best;
    }
    dir.to_path_buf()
}

impl Model {
    /// Opens a model's folder: `config.json`, and `model.safetensors` or its shards with their index. Of the run folder
    /// of a training it opens `best`.
    ///
    /// Every tensor that the configuration asks for must be there in its shape, and no tensor may be there that the
    /// family does not know.
    pub fn open(dir: &Path) -> Result<Self> {
        let carried = embedded::exists(&dir.join("config.json"));
        if !dir.is_dir() && !carried {
            let what = if dir.exists() { "not a folder" } else { "no such folder" };
            return Err(Error::malformed(dir, what, load::FOLDER));
        }
        let dir = &settled(dir);
        let path = dir.join("config.json");
        if !embedded::exists(&path) {
            return Err(Error::malformed(dir, "no config.json", load::FOLDER));
        }
        let text = embedded::text(&path)?;
        let config = Config::parse(&path, &text)?;
        let store = load::Store::open(dir, &config)?;
        Ok(Self { dir: dir.clone(), config, store })
    }

    /// What kind of model it is.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What a reader of its figures should know: keys that luna does not know, weights that the configuration does not
    /// expect.
    pub fn notes(&self) -> Vec<String> {
        self.config.notes.iter().chain(self.store.notes()).cloned().collect()
    }

    /// The folder that it was opened from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs the model over n token ids, as they stand (no special tokens are added), all of the first segment.
    ///
    /// Heads run in parallel; the observer is called from this thread, layer by layer and head by head.
    pub fn forward(&self, ids: &[u32], observer: &mut dyn Observer) -> Result<Output> {
        self.check(ids)?;
        let hidden = forward::forward(&self.config, &self.store, ids, observer, None)?;
        Ok(Output { hidden })
    }

    /// As [`forward`](Self::forward), with the heads of the layers that `substitute` chooses computed by it.
    ///
    /// The observer sees queries, keys and values as they come to a replaced layer, and (if it asks) the softmax
    /// matrix that would have stood there.
    pub fn forward_with(
        &self,
        ids: &[u32],
        observer: &mut dyn Observer,
        substitute: &dyn Substitute,
    ) -> Result<Output> {
        self.check(ids)?;
        let hidden = forward::forward(&self.config, &self.store, ids, observer, Some(substitute))?;
        Ok(Output { hidden })
    }

    /// Logits over the vocabulary, shape (n, vocabulary), of hidden states (n, d); `None` if the weights have no such
    /// head.
    pub fn logits(&self, hidden: &Array2<f32>) -> Result<Option<Array2<f32>>> {
        head::logits(&self.config, &self.store, hidden)
    }

    fn check(&self, ids: &[u32]) -> Result<()> {
        let Config { positions, vocab, family, .. } = self.config;
        let too_many = |accepted| Error::Tokens { what: "the input".into(), found: ids.len(), accepted };
        if ids.is_empty() || ids.len() > positions {
            return Err(too_many(format!(
                "this {} model takes 1 to {positions}, its positions",
                family.name
            )));
        }
        if let Some(window) = self.config.sliding_window.filter(|window| ids.len() > *window) {
            let name = family.name;
            return Err(too_many(format!(
                "this {name} model sees {window} back (sliding_window), and luna takes no longer inputs for it"
            )));
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
