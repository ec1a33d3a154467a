//! What decoders of Llama's kind have in common: tensor names, and the keys of sizes, positions and sliding layers.

use super::known::{Neutral, joined};
use super::tensors::Dim::{D, Ffn, Head, K, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::attention::Window;
use crate::layer::Activation;
use crate::model::config::{ModelConfig, Norm, Position, Sizes, Sliding};
use crate::model::keys::Keys;
use crate::model::rope::{FULL, Rope, RopeSettings, SLIDING};

/// The keys that all of them read.
#[rustfmt::skip]
pub(super) const READ: [&str; 16] = [
    "model_type", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "num_hidden_layers",
    "intermediate_size", "vocab_size", "max_position_embeddings", "rms_norm_eps", "hidden_act", "is_causal",
    "rope_parameters", "rope_scaling", "rope_theta", "tie_word_embeddings",
];
pub(super) const INERT: &[&str] = &["attention_dropout"];
pub(super) const NEUTRAL: &[Neutral] = &[("position_embedding_type", &["rope", "rotary"])];

/// What all read, and a family's own keys.
pub(super) const fn and<const N: usize>(own: &[&'static str]) -> [&'static str; N] {
    joined(&READ, own)
}

/// The names of Llama's tensors, norms aside.
pub(super) const PROJECTIONS: &[Tensor] = &[
    tensor(Role::Token, "embed_tokens.weight", &[Vocab, D]),
    tensor(Role::Q, "layers.{}.self_attn.q_proj.weight", &[Q, D]),
    tensor(Role::K, "layers.{}.self_attn.k_proj.weight", &[K, D]),
    tensor(Role::V, "layers.{}.self_attn.v_proj.weight", &[K, D]),
    tensor(Role::O, "layers.{}.self_attn.o_proj.weight", &[D, Q]),
    tensor(Role::Gate, "layers.{}.mlp.gate_proj.weight", &[Ffn, D]),
    tensor(Role::Up, "layers.{}.mlp.up_proj.weight", &[Ffn, D]),
    tensor(Role::Down, "layers.{}.mlp.down_proj.weight", &[D, Ffn]),
    tensor(Role::FinalGain, "norm.weight", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
];

/// Norms before both blocks, by Llama's names.
pub(super) const NORMS_BEFORE: &[Tensor] = &[
    tensor(Role::AttnGain, "layers.{}.input_layernorm.weight", &[D]),
    tensor(Role::FfnGain, "layers.{}.post_attention_layernorm.weight", &[D]),
];

/// Norms of queries and keys, one weight for all heads.
pub(super) const HEAD_NORMS: &[Tensor] = &[
    tensor(Role::QGain, "layers.{}.self_attn.q_norm.weight", &[Head]),
    tensor(Role::KGain, "layers.{}.self_attn.k_norm.weight", &[Head]),
];

const IF_ATTENTION: Need = Need::When(|config| config.attention_bias);
const IF_FFN: Need = Need::When(|config| config.ffn_bias);

/// Biases of the attention's projections, where the file says so.
pub(super) const ATTENTION_BIASES: &[Tensor] = &[
    tensor(Role::QBias, "layers.{}.self_attn.q_proj.bias", &[Q]).need(IF_ATTENTION),
    tensor(Role::KBias, "layers.{}.self_attn.k_proj.bias", &[K]).need(IF_ATTENTION),
    tensor(Role::VBias, "layers.{}.self_attn.v_proj.bias", &[K]).need(IF_ATTENTION),
    tensor(Role::OBias, "layers.{}.self_attn.o_proj.bias", &[D]).need(IF_ATTENTION),
];

/// Biases of the feed-forward networks, where the file says so.
pub(super) const FFN_BIASES: &[Tensor] = &[
    tensor(Role::GateBias, "layers.{}.mlp.gate_proj.bias", &[Ffn]).need(IF_FFN),
    tensor(Role::UpBias, "layers.{}.mlp.up_proj.bias", &[Ffn]).need(IF_FFN),
    tensor(Role::DownBias, "layers.{}.mlp.down_proj.bias", &[D]).need(IF_FFN),
];

/// What a family's own class has for keys that a file may leave out.
pub(super) struct Usual {
    /// Query heads, positions and vocabulary, in a family whose files leave even these out.
    pub(super) sizes: Option<[usize; 3]>,
    /// Key and value heads; as many as query heads if `None`, or if the key is null.
    pub(super) kv_heads: Option<usize>,
    /// The width of a head; d / h if `None`.
    pub(super) d_h: Option<usize>,
    /// What is added to a norm's variance.
    pub(super) eps: f64,
    /// The key of the activation, and which it is.
    pub(super) activation: (&'static str, &'static str),
    /// Whether the head is the token table.
    pub(super) tied: bool,
    /// The key of the base of rotary positions, and which it is.
    pub(super) theta: (&'static str, f64),
    /// The key of the share of a head that is rotated; whole heads if `None`.
    pub(super) share: Option<(&'static str, f64)>,
    /// The original training length; `None` if the rotary settings decide.
    pub(super) old_positions: Option<f64>,
}

/// Those of Llama.
pub(super) const LLAMA: Usual = Usual {
    sizes: None,
    kv_heads: None,
    d_h: None,
    eps: 1e-6,
    activation: ("hidden_act", "silu"),
    tied: false,
    theta: ("rope_theta", 10_000.0),
    share: None,
    old_positions: None,
};

impl Usual {
    /// The rotary settings of heads of this width.
    pub(super) fn rope(&self, d_h: usize, positions: usize) -> RopeSettings {
        let (theta, base) = self.theta;
        RopeSettings {
            theta: Some(theta),
            base,
            share: self.share,
            old_positions: self.old_positions,
            ..RopeSettings::new(d_h, positions)
        }
    }

    /// The sizes, norms and activation of a decoder with rotary positions; what is different in a family it changes.
    pub(super) fn config(&self, keys: &Keys<'_>) -> Result<ModelConfig> {
        let sizes = self.sizes(keys)?;
        let (rope, notes) = Rope::read(keys, self.rope(sizes.d_h, sizes.positions))?;
        self.with(keys, sizes, rope, notes)
    }

    /// The sizes.
    pub(super) fn sizes(&self, keys: &Keys<'_>) -> Result<Sizes> {
        let size =
            |key, at: usize| self.sizes.map_or_else(|| keys.size(key), |usual| keys.size_or(key, usual[at]));
        let (d, heads) = (keys.size("hidden_size")?, size("num_attention_heads", 0)?);
        let d_h = match self.d_h {
            _ if keys.has("head_dim") => keys.size("head_dim")?,
            Some(usual) if !keys.is_present("head_dim") => usual,
            _ => keys.head_width(d, heads)?,
        };
        if !d_h.is_multiple_of(2) {
            let key = if keys.has("head_dim") { "head_dim" } else { "hidden_size" };
            return Err(keys.wrong(key, "heads of even width (rotary positions rotate pairs of elements)"));
        }
        Ok(Sizes {
            layers: keys.layers("num_hidden_layers")?,
            heads,
            d_h,
            d,
            ffn: keys.size("intermediate_size")?,
            positions: size("max_position_embeddings", 1)?,
            vocab: size("vocab_size", 2)?,
        })
    }

    /// The rest, with rotary positions that were read.
    pub(super) fn with(
        &self,
        keys: &Keys<'_>,
        sizes: Sizes,
        rope: Rope,
        notes: Vec<String>,
    ) -> Result<ModelConfig> {
        let heads = sizes.heads;
        let usual = self.kv_heads.filter(|_| !keys.is_present("num_key_value_heads")).unwrap_or(heads);
        let kv_heads = keys.size_or("num_key_value_heads", usual)?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(
                keys.wrong("num_key_value_heads", format!("a divisor of num_attention_heads = {heads}"))
            );
        }
        let positions = rope.scaling.reach(sizes.positions);
        Ok(ModelConfig {
            kv_heads,
            positions,
            causal: keys.flag("is_causal", true)?,
            norm: Norm::Rms,
            eps: keys.number("rms_norm_eps", self.eps)?,
            activation: Activation::find(keys.name(self.activation.0, self.activation.1)?)?,
            gated: true,
            tied: keys.flag("tie_word_embeddings", self.tied)?,
            attention_bias: false,
            ffn_bias: false,
            notes,
            ..ModelConfig::new(sizes, Position::Rotary(rope))
        })
    }
}

/// Whether each layer is a sliding one: as `layer_types` says, or as `usual` does of layers from 0.
pub(super) fn sliding_layers(
    keys: &Keys<'_>,
    layers: usize,
    usual: impl Fn(usize) -> bool,
) -> Result<Vec<bool>> {
    let Some(types) = keys.names("layer_types")? else { return Ok((0..layers).map(usual).collect()) };
    // transformers 5 renamed this one.
    let known = |kind: &&str| [FULL, SLIDING, "attention"].contains(kind);
    if types.len() != layers || !types.iter().all(known) {
        return Err(keys.wrong("layer_types", format!("{layers} layers, each {FULL} or {SLIDING}")));
    }
    Ok(types.iter().map(|kind| *kind == SLIDING).collect())
}

/// The `sliding_window` keys that are visible to these layers of a causal decoder, their own among them; nothing if no
/// layer is one. `usual` is the number if the key is missing; null is no window.
pub(super) fn sliding(
    keys: &Keys<'_>,
    layers: Vec<bool>,
    usual: Option<usize>,
    rope: Option<Rope>,
) -> Result<Option<Sliding>> {
    if !layers.contains(&true) {
        return Ok(None);
    }
    let usual = usual.filter(|_| !keys.is_present("sliding_window"));
    let width = if keys.has("sliding_window") { Some(keys.size("sliding_window")?) } else { usual };
    let Some(width) = width else {
        return Err(
            keys.wrong("sliding_window", "a number of tokens: there are layers with sliding attention")
        );
    };
    // As in transformers: of a bidirectional window the width is counted to each side, and its edge is within.
    let causal = keys.flag("is_causal", true)?;
    let window =
        if causal { Window { back: width - 1, ahead: 0 } } else { Window { back: width, ahead: width } };
    Ok(Some(Sliding { window, layers, rope }))
}
