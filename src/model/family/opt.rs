//! OPT, and Galactica: a decoder with learned positions from row 2 of their table; norms before its blocks or after them.

use super::declaration::Family;
use super::known::{ABSOLUTE, Known};
use super::tensors::Dim::{D, Embedding, Ffn, Positions, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{Arrangement, ModelConfig, Position, Sizes};
use crate::model::keys::Keys;

pub(super) static OPT: Family = Family {
    name: "opt",
    about: "OPT (Zhang 2022), Galactica (Taylor 2022): causal decoder, learned positions",
    example: "facebook/opt-125m",
    causal: true,
    prefixes: &["model.decoder.", "decoder."],
    tensors: &[TENSORS],
    ignored: &[],
    input_first: false,
    known: Known {
        read: READ,
        inert: &["dropout", "attention_dropout", "activation_dropout", "layerdrop", "init_std"],
        neutral: &[ABSOLUTE],
        hub: true,
    },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "ffn_dim", "max_position_embeddings",
    "vocab_size", "word_embed_proj_dim", "activation_function", "is_causal", "do_layer_norm_before",
    "_remove_final_layer_norm", "layer_norm_elementwise_affine", "enable_bias", "tie_word_embeddings",
];

const IF_PROJECTED: Need = Need::When(|config| config.embedding != config.d);
const IF_BIASES: Need = Need::When(|config| config.attention_bias);
const IF_WEIGHTS: Need = Need::When(|config| config.norm_weights);
const IF_FINAL: Need = Need::When(|config| config.norm_weights && config.final_norm);

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "embed_tokens.weight", &[Vocab, Embedding]),
    tensor(Role::ProjectIn, "project_in.weight", &[D, Embedding]).need(IF_PROJECTED),
    tensor(Role::Position, "embed_positions.weight", &[Positions, D]),
    tensor(Role::AttnGain, "layers.{}.self_attn_layer_norm.weight", &[D]).need(IF_WEIGHTS),
    tensor(Role::AttnShift, "layers.{}.self_attn_layer_norm.bias", &[D]).need(IF_WEIGHTS),
    tensor(Role::Q, "layers.{}.self_attn.q_proj.weight", &[Q, D]),
    tensor(Role::QBias, "layers.{}.self_attn.q_proj.bias", &[Q]).need(IF_BIASES),
    tensor(Role::K, "layers.{}.self_attn.k_proj.weight", &[Q, D]),
    tensor(Role::KBias, "layers.{}.self_attn.k_proj.bias", &[Q]).need(IF_BIASES),
    tensor(Role::V, "layers.{}.self_attn.v_proj.weight", &[Q, D]),
    tensor(Role::VBias, "layers.{}.self_attn.v_proj.bias", &[Q]).need(IF_BIASES),
    tensor(Role::O, "layers.{}.self_attn.out_proj.weight", &[D, Q]),
    tensor(Role::OBias, "layers.{}.self_attn.out_proj.bias", &[D]).need(IF_BIASES),
    // Not the norm at the end, which has the same name without its layer.
    tensor(Role::FfnGain, "layers.{}.final_layer_norm.weight", &[D]).need(IF_WEIGHTS),
    tensor(Role::FfnShift, "layers.{}.final_layer_norm.bias", &[D]).need(IF_WEIGHTS),
    tensor(Role::Up, "layers.{}.fc1.weight", &[Ffn, D]),
    tensor(Role::UpBias, "layers.{}.fc1.bias", &[Ffn]).need(IF_BIASES),
    tensor(Role::Down, "layers.{}.fc2.weight", &[D, Ffn]),
    tensor(Role::DownBias, "layers.{}.fc2.bias", &[D]).need(IF_BIASES),
    tensor(Role::FinalGain, "final_layer_norm.weight", &[D]).need(IF_FINAL),
    tensor(Role::FinalShift, "final_layer_norm.bias", &[D]).need(IF_FINAL),
    tensor(Role::ProjectOut, "project_out.weight", &[Embedding, D]).need(IF_PROJECTED),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, Embedding]).need(Need::Optional),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let sizes = Sizes {
        layers: keys.layers("num_hidden_layers")?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: keys.size("ffn_dim")?,
        positions: keys.size("max_position_embeddings")?,
        vocab: keys.size("vocab_size")?,
    };
    let before = keys.flag("do_layer_norm_before", true)?;
    let biases = keys.flag("enable_bias", true)?;
    Ok(ModelConfig {
        embedding: keys.size_or("word_embed_proj_dim", d)?,
        causal: keys.flag("is_causal", true)?,
        arrangement: if before { Arrangement::NormBefore } else { Arrangement::NormAfter },
        norm_weights: keys.flag("layer_norm_elementwise_affine", true)?,
        final_norm: before && !keys.flag("_remove_final_layer_norm", false)?,
        activation: Activation::find(keys.name("activation_function", "relu")?)?,
        tied: keys.flag("tie_word_embeddings", true)?,
        attention_bias: biases,
        ffn_bias: biases,
        ..ModelConfig::new(sizes, Position::Learned { offset: 2, padding: None })
    })
}
