//! ALBERT: BERT's encoder with weights that its layers share, after a narrower token table.

use super::bert::{EMBEDDINGS, WITH_HEAD, encoder};
use super::declaration::Family;
use super::known::{ABSOLUTE, Known};
use super::tensors::Dim::{D, Embedding, Ffn, K, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::model::config::ModelConfig;

pub(super) static ALBERT: Family = Family {
    name: "albert",
    about: "ALBERT (Lan 2019): BERT's encoder, layers that share their weights, a narrow token table",
    example: "albert/albert-base-v2",
    causal: false,
    prefixes: &["albert."],
    tensors: &[EMBEDDINGS, SHARED_LAYERS, HEAD],
    ignored: &["pooler.*", "sop_classifier.*"],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: &[ABSOLUTE, ("inner_group_num", &["1"])], hub: true },
    config: |keys| {
        Ok(ModelConfig {
            embedding: keys.size_or("embedding_size", 128)?,
            groups: Some(keys.size_or("num_hidden_groups", 1)?),
            ..encoder(keys, "gelu_new", None)?
        })
    },
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "hidden_act", "tie_word_embeddings",
    "embedding_size", "num_hidden_groups",
];
#[rustfmt::skip]
const INERT: &[&str] = &[
    "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob", "is_causal", "down_scale_factor", "gap_size",
    "net_structure_type", "num_memory_blocks",
];

const SHARED_LAYERS: &[Tensor] = &[
    tensor(Role::EmbedProject, "encoder.embedding_hidden_mapping_in.weight", &[D, Embedding]),
    tensor(Role::EmbedProjectBias, "encoder.embedding_hidden_mapping_in.bias", &[D]),
    tensor(Role::Q, "encoder.albert_layer_groups.{}.albert_layers.0.attention.query.weight", &[Q, D]),
    tensor(Role::QBias, "encoder.albert_layer_groups.{}.albert_layers.0.attention.query.bias", &[Q]),
    tensor(Role::K, "encoder.albert_layer_groups.{}.albert_layers.0.attention.key.weight", &[K, D]),
    tensor(Role::KBias, "encoder.albert_layer_groups.{}.albert_layers.0.attention.key.bias", &[K]),
    tensor(Role::V, "encoder.albert_layer_groups.{}.albert_layers.0.attention.value.weight", &[K, D]),
    tensor(Role::VBias, "encoder.albert_layer_groups.{}.albert_layers.0.attention.value.bias", &[K]),
    tensor(Role::O, "encoder.albert_layer_groups.{}.albert_layers.0.attention.dense.weight", &[D, Q]),
    tensor(Role::OBias, "encoder.albert_layer_groups.{}.albert_layers.0.attention.dense.bias", &[D]),
    tensor(Role::AttnGain, "encoder.albert_layer_groups.{}.albert_layers.0.attention.LayerNorm.weight", &[D]),
    tensor(Role::AttnShift, "encoder.albert_layer_groups.{}.albert_layers.0.attention.LayerNorm.bias", &[D]),
    tensor(Role::Up, "encoder.albert_layer_groups.{}.albert_layers.0.ffn.weight", &[Ffn, D]),
    tensor(Role::UpBias, "encoder.albert_layer_groups.{}.albert_layers.0.ffn.bias", &[Ffn]),
    tensor(Role::Down, "encoder.albert_layer_groups.{}.albert_layers.0.ffn_output.weight", &[D, Ffn]),
    tensor(Role::DownBias, "encoder.albert_layer_groups.{}.albert_layers.0.ffn_output.bias", &[D]),
    tensor(
        Role::FfnGain,
        "encoder.albert_layer_groups.{}.albert_layers.0.full_layer_layer_norm.weight",
        &[D],
    ),
    tensor(Role::FfnShift, "encoder.albert_layer_groups.{}.albert_layers.0.full_layer_layer_norm.bias", &[D]),
];

const HEAD: &[Tensor] = &[
    tensor(Role::HeadDense, "predictions.dense.weight", &[Embedding, D]).need(Need::Optional),
    tensor(Role::HeadDenseBias, "predictions.dense.bias", &[Embedding]).need(WITH_HEAD),
    tensor(Role::HeadGain, "predictions.LayerNorm.weight", &[Embedding]).need(WITH_HEAD),
    tensor(Role::HeadShift, "predictions.LayerNorm.bias", &[Embedding]).need(WITH_HEAD),
    tensor(Role::HeadOut, "predictions.decoder.weight", &[Vocab, Embedding]).need(Need::Optional),
    // Tied: if both are there, the projection's own is used.
    tensor(Role::HeadOutBias, "predictions.decoder.bias", &[Vocab]).need(Need::Optional),
    tensor(Role::HeadOutBias, "predictions.bias", &[Vocab]).need(WITH_HEAD),
];
