//! The configuration of a model, in the same terms for every family.

use super::rope::Rope;
use crate::layer::Activation;

/// A model's configuration in the papers' letters.
///
/// Keys that Hugging Face's own classes have a default for (norms' eps, activations, `rope_theta`, ...) may be
/// missing and take that default; sizes may not.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts, not states of one machine
pub struct ModelConfig {
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
    /// The longest input in tokens (positions that the family reserves are not counted).
    pub positions: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Token types; ids are fed with the first. 0 where the family has none.
    pub segments: usize,
    /// Whether a token attends only to itself and earlier ones.
    pub causal: bool,
    /// How positions enter.
    pub position: Position,
    /// Where the norms are.
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
    /// Whether the attention's projections have biases (in families where either is possible).
    pub attention_bias: bool,
    /// Whether the feed-forward networks have biases (in families where either is possible).
    pub ffn_bias: bool,
    /// How many tokens back a token attends in layers with a sliding window; `None` if it attends to all.
    pub sliding_window: Option<usize>,
    /// The id of the byte 0, if ids are consecutive bytes; `None` if a tokenizer makes them.
    pub first_byte: Option<u32>,
    /// Notes: unknown keys that were not used, code that is not run.
    pub notes: Vec<String>,
}

/// How positions enter a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// A learned table, added to the tokens'.
    Learned {
        /// `RoBERTa`'s padding id: positions are counted from the one after it, and padding tokens are not counted.
        padding: Option<usize>,
    },
    /// Queries and keys are rotated by their positions.
    Rotary(Rope),
}

/// Where the norms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// norm(x + block(x)), and one norm on the embeddings: BERT.
    NormAfter,
    /// x + block(norm(x)), and one norm at the end: GPT-2, Llama.
    NormBefore,
    /// x + attention(norm(x)) + feed-forward(another norm(x)), and one norm at the end: GPT-NeoX.
    Parallel,
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// `LayerNorm`: minus the mean, divided by the standard deviation.
    Layer,
    /// `RMSNorm`: divided by the root of the mean square.
    Rms,
}

impl ModelConfig {
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
