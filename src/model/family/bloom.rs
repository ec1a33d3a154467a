//! BLOOM: a decoder with `ALiBi`, a norm on its token vectors, and queries, keys and values fused head by head.

use super::declaration::Family;
use super::known::{Known, Neutral};
use super::tensors::Dim::{D, Ffn, Q, Qkv, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::bias;
use crate::model::config::{ModelConfig, Position, Sizes, UNLIMITED};
use crate::model::keys::Keys;

pub(super) static BLOOM: Family = Family {
    name: "bloom",
    about: "BLOOM (Le Scao 2022): causal decoder, ALiBi, LayerNorm before each block and on the embeddings",
    prefixes: &["transformer."],
    tensors: &[TENSORS],
    ignored: &[],
    input_first: false,
    known: Known {
        read: READ,
        inert: INERT,
        neutral: &[RESIDUAL, SLOW, ("position_embedding_type", &["alibi"])],
        hub: true,
    },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "hidden_size", "n_embed", "n_head", "num_attention_heads", "n_layer", "num_hidden_layers",
    "vocab_size", "layer_norm_epsilon", "is_causal", "tie_word_embeddings",
];
/// The feed-forward width is 4 d whatever `n_inner` says, and no length is too long for `seq_length`.
#[rustfmt::skip]
const INERT: &[&str] = &[
    "hidden_dropout", "attention_dropout", "pretraining_tp", "seq_length", "n_inner", "offset_alibi",
    "attention_softmax_in_fp32", "masked_softmax_fusion", "bias_dropout_fusion", "skip_bias_add", "skip_bias_add_qkv",
];
/// Residuals from behind the norms; no model on the hub has them.
const RESIDUAL: Neutral = ("apply_residual_connection_post_layernorm", &["false"]);
/// With `pretraining_tp` above 1 it makes transformers leave out biases.
const SLOW: Neutral = ("slow_but_exact", &["false"]);

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "word_embeddings.weight", &[Vocab, D]),
    tensor(Role::EmbedGain, "word_embeddings_layernorm.weight", &[D]),
    tensor(Role::EmbedShift, "word_embeddings_layernorm.bias", &[D]),
    tensor(Role::AttnGain, "h.{}.input_layernorm.weight", &[D]),
    tensor(Role::AttnShift, "h.{}.input_layernorm.bias", &[D]),
    tensor(Role::QkvByHead, "h.{}.self_attention.query_key_value.weight", &[Qkv, D]),
    tensor(Role::QkvByHeadBias, "h.{}.self_attention.query_key_value.bias", &[Qkv]),
    tensor(Role::O, "h.{}.self_attention.dense.weight", &[D, Q]),
    tensor(Role::OBias, "h.{}.self_attention.dense.bias", &[D]),
    tensor(Role::FfnGain, "h.{}.post_attention_layernorm.weight", &[D]),
    tensor(Role::FfnShift, "h.{}.post_attention_layernorm.bias", &[D]),
    tensor(Role::Up, "h.{}.mlp.dense_h_to_4h.weight", &[Ffn, D]),
    tensor(Role::UpBias, "h.{}.mlp.dense_h_to_4h.bias", &[Ffn]),
    tensor(Role::Down, "h.{}.mlp.dense_4h_to_h.weight", &[D, Ffn]),
    tensor(Role::DownBias, "h.{}.mlp.dense_4h_to_h.bias", &[D]),
    tensor(Role::FinalGain, "ln_f.weight", &[D]),
    tensor(Role::FinalShift, "ln_f.bias", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let d = keys.size(keys.either("hidden_size", "n_embed"))?;
    let heads = keys.size(keys.either("n_head", "num_attention_heads"))?;
    let sizes = Sizes {
        layers: keys.layers(keys.either("n_layer", "num_hidden_layers"))?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: 4 * d,
        positions: UNLIMITED,
        vocab: keys.size("vocab_size")?,
    };
    Ok(ModelConfig {
        causal: keys.flag("is_causal", true)?,
        eps: keys.number("layer_norm_epsilon", 1e-5)?,
        activation: Activation::GeluTanh,
        tied: keys.flag("tie_word_embeddings", true)?,
        ..ModelConfig::new(sizes, Position::Slopes(bias::slopes_added(heads)))
    })
}
