//! Gemma 2 and Gemma 3: Llama's decoder with norms on both sides of each block, which multiply by 1 + their weight.

use super::declaration::Family;
use super::decoder::{
    self, ATTENTION_BIASES, HEAD_NORMS, NEUTRAL, PROJECTIONS, Usual, and, sliding, sliding_layers,
};
use super::known::Known;
use super::tensors::Dim::D;
use super::tensors::{Role, Tensor, tensor};
use crate::Result;
use crate::model::config::{ModelConfig, QueryKeyNorm};
use crate::model::keys::Keys;
use crate::model::rope::{Rope, RopeSettings};

pub(super) static GEMMA2: Family = Family {
    name: "gemma2",
    about: "Gemma 2 (2024): causal decoder, every other layer sliding, logits bounded by a softcap",
    prefixes: &["model."],
    tensors: &[PROJECTIONS, NORMS, ATTENTION_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_GEMMA2, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let config = Usual { tied: true, ..USUAL }.config(keys)?;
        let null = |key| keys.is_present(key) && !keys.has(key);
        let softcap = |key, usual| if null(key) { Ok(None) } else { keys.positive_or(key, usual).map(Some) };
        let layers = sliding_layers(keys, config.layers, |layer| layer % 2 == 0)?;
        Ok(ModelConfig {
            softcap: softcap("attn_logit_softcapping", 50.0)?,
            vocab_softcap: softcap("final_logit_softcapping", 30.0)?,
            sliding: sliding(keys, layers, Some(4096), None)?,
            ..common(keys, config)?
        })
    },
};

pub(super) static GEMMA3: Family = Family {
    name: "gemma3_text",
    about: "Gemma 3 (2025): causal decoder, five of six layers sliding by a rotary base of their own, norms on q and k",
    prefixes: &["model.language_model.", "language_model.model.", "language_model.", "model."],
    tensors: &[PROJECTIONS, NORMS, HEAD_NORMS, ATTENTION_BIASES],
    ignored: &[
        "vision_tower.*",
        "model.vision_tower.*",
        "multi_modal_projector.*",
        "model.multi_modal_projector.*",
    ],
    input_first: false,
    known: Known { read: &READ_GEMMA3, inert: INERT_GEMMA3, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let usual = Usual { theta: ("rope_theta", 1e6), ..USUAL };
        let sizes = usual.sizes(keys)?;
        let full = usual.rope(sizes.d_h, sizes.positions);
        let local = RopeSettings { theta: Some("rope_local_base_freq"), base: 1e4, ..full };
        let ([rope, local], notes) = Rope::read_kinds(keys, full, local)?;
        let config = usual.with(keys, sizes, rope, notes)?;
        let pattern = keys.size_or("sliding_window_pattern", 6)?;
        let layers = sliding_layers(keys, config.layers, |layer| !(layer + 1).is_multiple_of(pattern))?;
        let cap = "final_logit_softcapping";
        Ok(ModelConfig {
            query_key_norm: Some(QueryKeyNorm::Head),
            vocab_softcap: keys.has(cap).then(|| keys.positive(cap)).transpose()?,
            sliding: sliding(keys, layers, Some(4096), Some(local))?,
            ..common(keys, config)?
        })
    },
};

const USUAL: Usual = Usual {
    kv_heads: Some(4),
    d_h: Some(256),
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    tied: true,
    ..decoder::LLAMA
};

const READ_GEMMA2: [&str; 23] = and(&[
    "hidden_activation",
    "attention_bias",
    "query_pre_attn_scalar",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "sliding_window",
    "layer_types",
]);
/// Gemma 3 has no softcap on its attention, in its class neither.
const READ_GEMMA3: [&str; 24] = and(&[
    "hidden_activation",
    "attention_bias",
    "query_pre_attn_scalar",
    "final_logit_softcapping",
    "sliding_window",
    "layer_types",
    "rope_local_base_freq",
    "sliding_window_pattern",
]);
const INERT: &[&str] = &["attention_dropout", "cache_implementation"];
const INERT_GEMMA3: &[&str] = &["attention_dropout", "cache_implementation", "_sliding_window_pattern"];

const NORMS: &[Tensor] = &[
    tensor(Role::AttnGain, "layers.{}.input_layernorm.weight", &[D]),
    tensor(Role::AttnOutGain, "layers.{}.post_attention_layernorm.weight", &[D]),
    tensor(Role::FfnGain, "layers.{}.pre_feedforward_layernorm.weight", &[D]),
    tensor(Role::FfnOutGain, "layers.{}.post_feedforward_layernorm.weight", &[D]),
];

/// What both have: gains from 1, token vectors scaled by the root of d, and a factor on the logits of their own.
fn common(keys: &Keys<'_>, config: ModelConfig) -> Result<ModelConfig> {
    Ok(ModelConfig {
        gain_from_one: true,
        embedding_scale: (config.d as f64).sqrt(),
        logit_scale: 1.0 / keys.positive_or("query_pre_attn_scalar", 256.0)?.sqrt(),
        attention_bias: keys.flag("attention_bias", false)?,
        ..config
    })
}
