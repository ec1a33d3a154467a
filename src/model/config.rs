//! `config.json`: what a model is, whatever its family calls it.

use std::path::Path;

use super::family::Family;
use super::json;
use super::own::TRANSLATOR;
use super::rope::Rope;
use crate::layer::Activation;
use crate::{Error, Result};

pub(super) use super::keys::Keys;

/// A model's configuration in the papers' letters.
///
/// Keys that Hugging Face's own classes have a default for (norms' eps, activations, `rope_theta`, ...) may be
/// missing and take that default; sizes may not.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // facts of their own, not states of one machine
pub struct Config {
    /// The family, by `model_type`.
    pub family: &'static Family,
    /// Layers.
    pub layers: usize,
    /// h: query heads of each layer.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// `d_h`: width of one head.
    pub d_h: usize,
    /// d: width of the model.
    pub d: usize,
    /// Width inside the feed-forward networks.
    pub ffn: usize,
    /// The longest input in tokens (positions that the family keeps for itself are not counted).
    pub positions: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Token types; ids are fed with the first. 0 where the family has none.
    pub segments: usize,
    /// Whether a token sees only itself and what came before.
    pub causal: bool,
    /// How positions enter.
    pub position: Position,
    /// Where the norms stand.
    pub arrangement: Arrangement,
    /// Which norm.
    pub norm: Norm,
    /// What is added to a norm's variance.
    pub eps: f64,
    /// Activation of the feed-forward networks.
    pub activation: Activation,
    /// Activation of the masked-token head, where there is one.
    pub head_activation: Activation,
    /// Whether feed-forward networks multiply `activation(gate x)` with `up x`.
    pub gated: bool,
    /// Whether the head's weight is the token table.
    pub tied: bool,
    /// Whether logits are divided by `sqrt(d_h)`.
    pub scale_logits: bool,
    /// Whether layer i divides its logits by i + 1 too.
    pub scale_by_layer: bool,
    /// Whether the attention's projections have biases (where the family leaves that open).
    pub attention_bias: bool,
    /// Whether the feed-forward networks have biases (where the family leaves that open).
    pub ffn_bias: bool,
    /// How many tokens back a token sees in layers that slide; `None` if it sees them all.
    pub sliding_window: Option<usize>,
    /// The id of the byte 0, where ids are bytes and follow each other; `None` where a tokenizer makes them.
    pub first_byte: Option<u32>,
    /// What a reader of figures should know: keys that luna does not know and did not use, code that it does not run.
    pub notes: Vec<String>,
}

/// How positions enter a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// A learned table, added to the tokens'.
    Learned {
        /// `RoBERTa`'s padding id: positions are counted from behind it, and padding tokens do not count.
        padding: Option<usize>,
    },
    /// Queries and keys are turned by their positions.
    Rotary(Rope),
}

/// Where the norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// norm(x + block(x)), and one norm on the embeddings: BERT.
    NormAfter,
    /// x + block(norm(x)), and one norm at the end: GPT-2, Llama.
    NormBefore,
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// `LayerNorm`: less the mean, over the standard deviation.
    Layer,
    /// `RMSNorm`: over the root of the mean square.
    Rms,
}

impl Config {
    /// The configuration in the text of the `config.json` at `path` (named in errors, not read).
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let map = json::object(path, text, "a model's configuration, as {\"model_type\": ...}")?;
        let keys = Keys::new(path, &map);
        let found = keys.needed_name("model_type", || {
            let names: Vec<_> = super::family::ALL.iter().map(|family| family.name).collect();
            format!("one of {}", names.join(", "))
        })?;
        if found == TRANSLATOR {
            let accepted = "a model of one sequence (an encoder-decoder is for luna translate)";
            return Err(keys.wrong("model_type", accepted));
        }
        let family = Family::find(found)?;
        let keys = keys.of(family);
        let mut notes = family.judge(&keys)?;
        let mut config = (family.config)(family, &keys)?;
        notes.append(&mut config.notes);
        config.notes = notes;
        if !(config.eps.is_finite() && config.eps >= 0.0) {
            return Err(Error::malformed(
                path,
                format!("norms' eps is {}", config.eps),
                "0 or a small number",
            ));
        }
        Ok(config)
    }

    /// The factor on q k^T in a layer.
    pub fn scale(&self, layer: usize) -> f32 {
        let width = if self.scale_logits { (self.d_h as f64).sqrt() } else { 1.0 };
        let depth = if self.scale_by_layer { (layer + 1) as f64 } else { 1.0 };
        (1.0 / (width * depth)) as f32
    }

    /// Rotary positions, if the model has them.
    pub fn rope(&self) -> Option<&Rope> {
        match &self.position {
            Position::Rotary(rope) => Some(rope),
            Position::Learned { .. } => None,
        }
    }

    /// Rows of the position table in the file.
    pub(super) fn position_rows(&self) -> usize {
        match self.position {
            Position::Learned { padding: Some(padding) } => self.positions + padding + 1,
            _ => self.positions,
        }
    }
}
