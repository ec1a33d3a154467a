//! GPT-NeoX, and Pythia: a decoder whose attention and feed-forward network read the same input, with rotary positions in
//! a part of each head and queries, keys and values fused head by head.

use super::declaration::Family;
use super::decoder::NEUTRAL;
use super::known::Known;
use super::tensors::Dim::{D, Ffn, Q, Qkv, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{Arrangement, ModelConfig, Position, Sizes};
use crate::model::keys::Keys;
use crate::model::rope::{Rope, RopeSettings};

pub(super) static GPT_NEOX: Family = Family {
    name: "gpt_neox",
    about: "GPT-NeoX (Black 2022), Pythia (Biderman 2023): causal decoder, partly rotated heads, parallel residuals",
    example: "EleutherAI/pythia-160m",
    causal: true,
    prefixes: &["gpt_neox."],
    tensors: &[TENSORS],
    ignored: &["layers.*.attention.bias", "layers.*.attention.masked_bias"],
    input_first: false,
    known: Known { read: READ, inert: &["attention_dropout", "hidden_dropout"], neutral: NEUTRAL, hub: true },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size",
    "max_position_embeddings", "layer_norm_eps", "hidden_act", "is_causal", "rope_parameters", "rope_scaling",
    "rotary_emb_base", "rotary_pct", "use_parallel_residual", "attention_bias", "tie_word_embeddings",
];

const IF_ATTENTION: Need = Need::When(|config| config.attention_bias);

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "embed_in.weight", &[Vocab, D]),
    tensor(Role::AttnGain, "layers.{}.input_layernorm.weight", &[D]),
    tensor(Role::AttnShift, "layers.{}.input_layernorm.bias", &[D]),
    tensor(Role::QkvByHead, "layers.{}.attention.query_key_value.weight", &[Qkv, D]),
    tensor(Role::QkvByHeadBias, "layers.{}.attention.query_key_value.bias", &[Qkv]).need(IF_ATTENTION),
    tensor(Role::O, "layers.{}.attention.dense.weight", &[D, Q]),
    tensor(Role::OBias, "layers.{}.attention.dense.bias", &[D]).need(IF_ATTENTION),
    tensor(Role::FfnGain, "layers.{}.post_attention_layernorm.weight", &[D]),
    tensor(Role::FfnShift, "layers.{}.post_attention_layernorm.bias", &[D]),
    tensor(Role::Up, "layers.{}.mlp.dense_h_to_4h.weight", &[Ffn, D]),
    tensor(Role::UpBias, "layers.{}.mlp.dense_h_to_4h.bias", &[Ffn]),
    tensor(Role::Down, "layers.{}.mlp.dense_4h_to_h.weight", &[D, Ffn]),
    tensor(Role::DownBias, "layers.{}.mlp.dense_4h_to_h.bias", &[D]),
    tensor(Role::FinalGain, "final_layer_norm.weight", &[D]),
    tensor(Role::FinalShift, "final_layer_norm.bias", &[D]),
    tensor(Role::HeadOut, "embed_out.weight", &[Vocab, D]).need(Need::Optional),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let d_h = keys.head_width(d, heads)?;
    let positions = keys.size("max_position_embeddings")?;
    let share = Some(("rotary_pct", 0.25));
    let (rope, notes) = Rope::read(
        keys,
        RopeSettings { theta: Some("rotary_emb_base"), share, ..RopeSettings::new(d_h, positions) },
    )?;
    let parallel = keys.flag("use_parallel_residual", true)?;
    let sizes = Sizes {
        layers: keys.layers("num_hidden_layers")?,
        heads,
        d_h,
        d,
        ffn: keys.size("intermediate_size")?,
        positions,
        vocab: keys.size("vocab_size")?,
    };
    Ok(ModelConfig {
        causal: keys.flag("is_causal", true)?,
        arrangement: if parallel { Arrangement::Parallel } else { Arrangement::NormBefore },
        eps: keys.number("layer_norm_eps", 1e-5)?,
        activation: Activation::find(keys.name("hidden_act", "gelu")?)?,
        tied: keys.flag("tie_word_embeddings", false)?,
        attention_bias: keys.flag("attention_bias", true)?,
        notes,
        ..ModelConfig::new(sizes, Position::Rotary(rope))
    })
}
