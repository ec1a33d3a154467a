//! A trained network: a model with softmax attention, or a Luna encoder.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::encoder::Encoder;
use crate::attention::{Term, Window};
use crate::layer::{EncoderConfig, Mechanism};
use crate::model::keys::Keys;
use crate::model::{
    Family, Image, MODEL_TYPE, Model, ModelInput, Observer, embedded, first_byte, json, settled,
};
use crate::{Error, Result};

/// A trained model whose heads can be watched.
pub enum Network {
    /// A model with softmax attention.
    Softmax(Box<Model>),
    /// An encoder with `luna` or `luna-causal` attention, its [`Reader`], and notes.
    Luna(Box<Encoder>, Reader, Vec<String>),
}

/// How a network reads text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The folder that the network was opened from; its tokenizer, if it has one, lies there.
    pub dir: PathBuf,
    /// Ids are below this.
    pub vocab: usize,
    /// The longest input.
    pub positions: usize,
    /// The offset of ids, if ids are bytes.
    pub first_byte: Option<u32>,
    /// The images that it reads in the place of tokens.
    pub image: Option<Image>,
}

impl Network {
    /// Opens the folder of a model as [`Model::open`] does, or that of an encoder of Luna as [`Encoder::open`] does; of
    /// the run folder of a training, its `best`.
    ///
    /// Refuses trained encoders of any other attention by its name, and encoders of vectors.
    pub fn open(dir: &Path) -> Result<Self> {
        let settled = settled(dir);
        let path = settled.join("config.json");
        let Some(map) = luna_keys(&path) else { return Self::softmax(dir) };
        let keys = Keys::new(&path, &map);
        let config = EncoderConfig::read(&keys)?;
        match config.mechanism {
            Mechanism::Softmax | Mechanism::Materialised => return Self::softmax(dir),
            Mechanism::Luna { .. } | Mechanism::LunaCausal { .. } => {}
            _ => {
                return Err(
                    keys.wrong("attention", "softmax, luna or luna-causal, whose heads are read one by one")
                );
            }
        }
        let first_byte = first_byte(&keys)?;
        let notes = Family::find(MODEL_TYPE)?.check(&keys)?;
        let encoder = Encoder::open(&settled)?;
        let vocab =
            config.vocab.ok_or_else(|| keys.wrong("vocab", "a vocabulary: a text is read as tokens"))?;
        let positions = if config.positions == 0 { usize::MAX } else { config.positions };
        Ok(Self::Luna(
            Box::new(encoder),
            Reader { dir: settled, vocab, positions, first_byte, image: None },
            notes,
        ))
    }

    fn softmax(dir: &Path) -> Result<Self> {
        Model::open(dir).map(Box::new).map(Self::Softmax)
    }

    /// The name of its family.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Softmax(model) => model.family().name,
            Self::Luna(..) => MODEL_TYPE,
        }
    }

    /// Its attention, if it is not softmax.
    pub fn luna(&self) -> Option<Mechanism> {
        match self {
            Self::Softmax(_) => None,
            Self::Luna(encoder, ..) => Some(encoder.config().mechanism),
        }
    }

    /// Layers, and heads in each.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::Softmax(model) => (model.config().layers, model.config().heads),
            Self::Luna(encoder, ..) => (encoder.config().layers, encoder.config().heads),
        }
    }

    /// Whether row t attends to rows 0 to t only.
    pub fn is_causal(&self) -> bool {
        match self {
            Self::Softmax(model) => model.config().causal,
            Self::Luna(encoder, ..) => encoder.config().causal,
        }
    }

    /// The window of a layer, if it has one.
    pub fn window(&self, layer: usize) -> Option<Window> {
        match self {
            Self::Softmax(model) => model.config().window(layer),
            Self::Luna(..) => None,
        }
    }

    /// What the heads of a layer have over n positions beside their scale and mask, as of [`Model::terms`].
    pub fn terms(&self, layer: usize, n: usize) -> Vec<Term> {
        match self {
            Self::Softmax(model) => model.terms(layer, n),
            Self::Luna(..) => Vec::new(),
        }
    }

    /// Notes, as of [`Model::notes`].
    pub fn notes(&self) -> Vec<String> {
        match self {
            Self::Softmax(model) => model.notes(),
            Self::Luna(_, _, notes) => notes.clone(),
        }
    }

    /// How it reads text.
    pub fn reader(&self) -> Reader {
        match self {
            Self::Softmax(model) => {
                let config = model.config();
                Reader {
                    dir: model.dir().to_path_buf(),
                    vocab: config.vocab,
                    positions: config.positions,
                    first_byte: config.first_byte,
                    image: config.image,
                }
            }
            Self::Luna(_, reader, _) => reader.clone(),
        }
    }

    /// Passes every requested head to the observer, for an image, or for n token ids without added special tokens.
    ///
    /// Refuses what [`Model::run`] and [`Encoder::watch`] refuse.
    pub fn watch(&self, input: ModelInput<'_>, observer: &mut dyn Observer) -> Result<()> {
        match (self, input) {
            (Self::Softmax(model), _) => model.run(input, observer, None).map(|_| ()),
            (Self::Luna(encoder, ..), ModelInput::Tokens(ids)) => encoder.watch(ids, observer),
            (Self::Luna(..), ModelInput::Pixels(_)) => {
                Err(Error::value("the input of a Luna encoder", "an image", "token ids"))
            }
        }
    }
}

/// The keys of a configuration that training wrote; `None` for any other file, whose errors come from opening a model.
fn luna_keys(path: &Path) -> Option<Map<String, Value>> {
    let text = embedded::text(path).ok()?;
    let map = json::object(path, &text, "a model's configuration").ok()?;
    (map.get("model_type").and_then(Value::as_str) == Some(MODEL_TYPE)).then_some(map)
}
