//! The configuration of a model, in the same terms for every family.

use super::rope::Rope;
use crate::attention::{Mask, Window};
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
    /// Width of the token table, where it is not d.
    pub embedding: usize,
    /// Width inside the feed-forward networks.
    pub ffn: usize,
    /// The longest input in tokens (positions that the family reserves are not counted), or [`UNLIMITED`].
    pub positions: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Token types; ids are fed with the first. 0 where the family has none.
    pub segments: usize,
    /// Whether a token attends only to itself and earlier ones.
    pub causal: bool,
    /// How positions enter.
    pub position: Position,
    /// Layers that see a part of the keys only; `None` if all see all that the mask leaves.
    pub sliding: Option<Sliding>,
    /// Where the norms are.
    pub arrangement: Arrangement,
    /// Which norm.
    pub norm: Norm,
    /// Whether norms multiply by 1 + their weight (Gemma) and not by the weight.
    pub gain_from_one: bool,
    /// Whether the norms have weights.
    pub norm_weights: bool,
    /// Whether there is a norm at the end (in families where either is possible).
    pub final_norm: bool,
    /// What is added to a norm's variance.
    pub eps: f64,
    /// The norm of queries and keys before they are rotated, if there is one.
    pub query_key_norm: Option<QueryKeyNorm>,
    /// Activation of the feed-forward networks.
    pub activation: Activation,
    /// Activation of the masked-token head, where there is one.
    pub head_activation: Activation,
    /// Whether feed-forward networks multiply `activation(gate x)` with `up x`.
    pub gated: bool,
    /// Experts of each layer in the place of one feed-forward network.
    pub experts: Option<Experts>,
    /// Whether the head's weight is the token table.
    pub tied: bool,
    /// The factor on q k^T, usually `1 / sqrt(d_h)`.
    pub logit_scale: f64,
    /// Whether layer i divides its logits by i + 1 too.
    pub scale_by_layer: bool,
    /// c, if attention logits x become `c tanh(x / c)`.
    pub softcap: Option<f64>,
    /// The same of the logits over the vocabulary.
    pub vocab_softcap: Option<f64>,
    /// The factor on token vectors.
    pub embedding_scale: f64,
    /// Whether there is a norm on the embeddings (in families where either is possible).
    pub embedding_norm: bool,
    /// The masked token of a model that was trained with token dropout (ESM-2): its vectors are zeros, and all others are
    /// scaled as if the training's share of them were masked.
    pub token_dropout: Option<u32>,
    /// Sets of weights that the layers share, each by consecutive layers (ALBERT); `None` if every layer has its own.
    pub groups: Option<usize>,
    /// Whether the attention's projections have biases (in families where either is possible).
    pub attention_bias: bool,
    /// Whether the feed-forward networks have biases (in families where either is possible).
    pub ffn_bias: bool,
    /// The bound on queries, keys and values right after their projection (MPT's `clip_qkv`).
    pub clip: Option<f64>,
    /// The images that a vision model reads in the place of tokens.
    pub image: Option<Image>,
    /// The id of the byte 0, if ids are consecutive bytes; `None` if a tokenizer makes them.
    pub first_byte: Option<u32>,
    /// Notes: unknown keys that were not used, code that is not run.
    pub notes: Vec<String>,
}

/// The longest input of a model that takes any (BLOOM).
pub const UNLIMITED: usize = usize::MAX;

/// How positions enter a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// Not at all.
    None,
    /// A learned table, added to the tokens'.
    Learned {
        /// Rows of the table before that of the first position (OPT: 2).
        offset: usize,
        /// `RoBERTa`'s padding id: positions are counted from the one after it, and padding tokens are not counted.
        padding: Option<usize>,
    },
    /// Queries and keys are rotated by their positions.
    Rotary(Rope),
    /// `slope (j - i)` is added to the logit of query i and key j, one slope a head (`ALiBi`, Press 2022).
    Slopes(Vec<f64>),
    /// A learned number for each bucket of distances and each head is added to the logits, the same in all layers (T5).
    Buckets {
        /// Buckets, half of them for keys after the query.
        buckets: usize,
        /// The distance from which on all share the last bucket.
        furthest: usize,
    },
}

/// Layers that see a part of the keys only.
#[derive(Clone, Debug, PartialEq)]
pub struct Sliding {
    /// What they see.
    pub window: Window,
    /// Whether each layer is one of them.
    pub layers: Vec<bool>,
    /// Their rotary positions, where they differ from those of the other layers.
    pub rope: Option<Rope>,
}

/// Where the norms are.
///
/// Beside these, the output of a block is normalised before it is added wherever the family's table has a tensor for
/// that, and its input is not where it has none (Gemma, `OLMo` 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// norm(x + block(x)), and one norm on the embeddings: BERT.
    NormAfter,
    /// x + block(norm(x)), and one norm at the end: GPT-2, Llama.
    NormBefore,
    /// x + attention(norm(x)) + feed-forward(another norm(x)), and one norm at the end: GPT-NeoX. Without another norm in
    /// the family's table both read the same: GPT-J.
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

/// Over what queries and keys are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKeyNorm {
    /// Each head for itself, with a weight of length `d_h` for all (Qwen3).
    Head,
    /// All heads together (`OLMo` 2).
    All,
}

/// A mixture of experts (GPT-OSS).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experts {
    /// Experts of a layer.
    pub count: usize,
    /// How many of them each token is sent to.
    pub chosen: usize,
    /// The bound on the gated activations.
    pub limit: f64,
    /// The factor within the gate's sigmoid.
    pub alpha: f64,
}

/// The images of a vision model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Colour channels.
    pub channels: usize,
    /// Pixels along each side.
    pub side: usize,
    /// Pixels along each side of a patch; each patch is one position.
    pub patch: usize,
    /// Learned vectors before the patches: one for the class, and one for `DeiT`'s teacher.
    pub before: usize,
}

/// The sizes that every family has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) d_h: usize,
    pub(super) d: usize,
    pub(super) ffn: usize,
    pub(super) positions: usize,
    pub(super) vocab: usize,
}

impl ModelConfig {
    /// A causal decoder with `LayerNorm` before each block, GELU and biases; a family says what is different in it.
    pub(super) fn new(sizes: Sizes, position: Position) -> Self {
        let Sizes { layers, heads, d_h, d, ffn, positions, vocab } = sizes;
        Self {
            layers,
            heads,
            kv_heads: heads,
            d_h,
            d,
            embedding: d,
            ffn,
            positions,
            vocab,
            segments: 0,
            causal: true,
            position,
            sliding: None,
            arrangement: Arrangement::NormBefore,
            norm: Norm::Layer,
            gain_from_one: false,
            norm_weights: true,
            final_norm: true,
            eps: 1e-5,
            query_key_norm: None,
            activation: Activation::Gelu,
            head_activation: Activation::Gelu,
            gated: false,
            experts: None,
            tied: false,
            logit_scale: 1.0 / (d_h as f64).sqrt(),
            scale_by_layer: false,
            softcap: None,
            vocab_softcap: None,
            embedding_scale: 1.0,
            embedding_norm: true,
            token_dropout: None,
            groups: None,
            attention_bias: true,
            ffn_bias: true,
            clip: None,
            image: None,
            first_byte: None,
            notes: Vec::new(),
        }
    }

    /// The factor on q k^T in a layer.
    pub fn scale(&self, layer: usize) -> f32 {
        let depth = if self.scale_by_layer { (layer + 1) as f64 } else { 1.0 };
        (self.logit_scale / depth) as f32
    }

    /// The window of a layer, if it has one.
    pub fn window(&self, layer: usize) -> Option<Window> {
        self.sliding.as_ref().filter(|sliding| sliding.layers.get(layer) == Some(&true)).map(|one| one.window)
    }

    /// The window of a layer, if it hides anything over n positions.
    pub fn window_over(&self, layer: usize, n: usize) -> Option<Window> {
        self.window(layer).filter(|window| window.hides(n, self.mask()))
    }

    /// The mask of every layer.
    pub fn mask(&self) -> Mask {
        if self.causal { Mask::Causal } else { Mask::Full }
    }

    /// Rotary positions of a layer, if it has them.
    pub fn rope(&self, layer: usize) -> Option<&Rope> {
        let Position::Rotary(rope) = &self.position else { return None };
        let own = self.sliding.as_ref().and_then(|sliding| sliding.rope.as_ref());
        Some(own.filter(|_| self.window(layer).is_some()).unwrap_or(rope))
    }

    /// The layer whose number stands in the names of a layer's tensors.
    pub(super) fn stored(&self, layer: usize) -> usize {
        // Rounded as Hugging Face's code does it.
        let group = |groups: usize| layer as f64 / (self.layers as f64 / groups as f64);
        self.groups.map_or(layer, |groups| group(groups) as usize)
    }

    /// Rows of the position table in the file.
    pub(super) fn position_rows(&self) -> usize {
        match self.position {
            Position::Learned { offset, padding } => {
                self.positions + offset + padding.map_or(0, |padding| padding + 1)
            }
            _ => self.positions,
        }
    }
}
