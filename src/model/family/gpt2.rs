//! GPT-2: a decoder whose weights are stored (in, out), with queries, keys and values in one.

use super::declaration::Family;
use super::known::{ABSOLUTE, Known};
use super::tensors::Dim::{D, Ffn, Positions, Q, Qkv, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{ModelConfig, Position, Sizes};
use crate::model::keys::Keys;

pub(super) static GPT2: Family = Family {
    name: "gpt2",
    about: "GPT-2 (Radford 2019): causal decoder, learned positions, LayerNorm before each block",
    example: "openai-community/gpt2",
    causal: true,
    prefixes: &["transformer."],
    tensors: &[TENSORS],
    ignored: &["h.*.attn.bias", "h.*.attn.masked_bias"],
    input_first: true,
    known: Known { read: READ, inert: INERT, neutral: &[ABSOLUTE], hub: true },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "n_embd", "hidden_size", "n_head", "num_attention_heads", "n_layer", "num_hidden_layers", "n_inner",
    "n_positions", "max_position_embeddings", "activation_function", "vocab_size", "layer_norm_epsilon", "is_causal",
    "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "tie_word_embeddings",
];
/// `reorder_and_upcast_attn` changes the order of half-precision arithmetic only: it is f32 throughout here.
#[rustfmt::skip]
const INERT: &[&str] = &[
    "n_ctx", "reorder_and_upcast_attn", "attn_pdrop", "embd_pdrop", "resid_pdrop", "hidden_dropout",
    "summary_activation", "summary_first_dropout", "summary_last_dropout", "summary_proj_to_labels", "summary_type",
    "summary_use_proj",
];

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "wte.weight", &[Vocab, D]),
    tensor(Role::Position, "wpe.weight", &[Positions, D]),
    tensor(Role::AttnGain, "h.{}.ln_1.weight", &[D]),
    tensor(Role::AttnShift, "h.{}.ln_1.bias", &[D]),
    tensor(Role::Qkv, "h.{}.attn.c_attn.weight", &[D, Qkv]),
    tensor(Role::QkvBias, "h.{}.attn.c_attn.bias", &[Qkv]),
    tensor(Role::O, "h.{}.attn.c_proj.weight", &[Q, D]),
    tensor(Role::OBias, "h.{}.attn.c_proj.bias", &[D]),
    tensor(Role::FfnGain, "h.{}.ln_2.weight", &[D]),
    tensor(Role::FfnShift, "h.{}.ln_2.bias", &[D]),
    tensor(Role::Up, "h.{}.mlp.c_fc.weight", &[D, Ffn]),
    tensor(Role::UpBias, "h.{}.mlp.c_fc.bias", &[Ffn]),
    tensor(Role::Down, "h.{}.mlp.c_proj.weight", &[Ffn, D]),
    tensor(Role::DownBias, "h.{}.mlp.c_proj.bias", &[D]),
    tensor(Role::FinalGain, "ln_f.weight", &[D]),
    tensor(Role::FinalShift, "ln_f.bias", &[D]),
    // The head is the one weight stored (out, in) even here.
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
];

/// The sizes, by the names of `OpenAI`'s files or by those of all models.
pub(super) fn sizes(keys: &Keys<'_>) -> Result<Sizes> {
    let (d, heads) = (
        keys.size(keys.either("n_embd", "hidden_size"))?,
        keys.size(keys.either("n_head", "num_attention_heads"))?,
    );
    Ok(Sizes {
        layers: keys.layers(keys.either("n_layer", "num_hidden_layers"))?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: keys.size_or("n_inner", 4 * d)?,
        positions: keys.size(keys.either("n_positions", "max_position_embeddings"))?,
        vocab: keys.size("vocab_size")?,
    })
}

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let config = ModelConfig::new(sizes(keys)?, Position::Learned { offset: 0, padding: None });
    let scaled = keys.flag("scale_attn_weights", true)?;
    Ok(ModelConfig {
        causal: keys.flag("is_causal", true)?,
        eps: keys.number("layer_norm_epsilon", 1e-5)?,
        activation: Activation::find(keys.name("activation_function", "gelu_new")?)?,
        tied: keys.flag("tie_word_embeddings", true)?,
        logit_scale: if scaled { config.logit_scale } else { 1.0 },
        scale_by_layer: keys.flag("scale_attn_by_inverse_layer_idx", false)?,
        ..config
    })
}
