//! `DistilBERT`: BERT's encoder with half the layers, no segments, and names of its own.

use super::bert::WITH_HEAD;
use super::declaration::Family;
use super::known::{ABSOLUTE, Known};
use super::tensors::Dim::{D, Ffn, K, Positions, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{Arrangement, ModelConfig, Position, Sizes};
use crate::model::keys::Keys;

pub(super) static DISTILBERT: Family = Family {
    name: "distilbert",
    about: "DistilBERT (Sanh 2019): BERT's encoder with half the layers and no segments",
    example: "distilbert-base-uncased",
    causal: false,
    prefixes: &["distilbert."],
    tensors: &[TENSORS],
    ignored: &["pre_classifier.*"],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: &[ABSOLUTE], hub: true },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "dim", "hidden_size", "n_heads", "num_attention_heads", "n_layers", "num_hidden_layers", "hidden_dim",
    "activation", "max_position_embeddings", "vocab_size", "tie_word_embeddings",
];
/// Positions are in the file, drawn as a sine or not; the attention is bidirectional whatever `is_causal` says.
#[rustfmt::skip]
const INERT: &[&str] = &[
    "dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds", "tie_weights_",
    "is_causal",
];

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "embeddings.word_embeddings.weight", &[Vocab, D]),
    tensor(Role::Position, "embeddings.position_embeddings.weight", &[Positions, D]),
    tensor(Role::EmbedGain, "embeddings.LayerNorm.weight", &[D]),
    tensor(Role::EmbedShift, "embeddings.LayerNorm.bias", &[D]),
    tensor(Role::Q, "transformer.layer.{}.attention.q_lin.weight", &[Q, D]),
    tensor(Role::QBias, "transformer.layer.{}.attention.q_lin.bias", &[Q]),
    tensor(Role::K, "transformer.layer.{}.attention.k_lin.weight", &[K, D]),
    tensor(Role::KBias, "transformer.layer.{}.attention.k_lin.bias", &[K]),
    tensor(Role::V, "transformer.layer.{}.attention.v_lin.weight", &[K, D]),
    tensor(Role::VBias, "transformer.layer.{}.attention.v_lin.bias", &[K]),
    tensor(Role::O, "transformer.layer.{}.attention.out_lin.weight", &[D, Q]),
    tensor(Role::OBias, "transformer.layer.{}.attention.out_lin.bias", &[D]),
    tensor(Role::AttnGain, "transformer.layer.{}.sa_layer_norm.weight", &[D]),
    tensor(Role::AttnShift, "transformer.layer.{}.sa_layer_norm.bias", &[D]),
    tensor(Role::Up, "transformer.layer.{}.ffn.lin1.weight", &[Ffn, D]),
    tensor(Role::UpBias, "transformer.layer.{}.ffn.lin1.bias", &[Ffn]),
    tensor(Role::Down, "transformer.layer.{}.ffn.lin2.weight", &[D, Ffn]),
    tensor(Role::DownBias, "transformer.layer.{}.ffn.lin2.bias", &[D]),
    tensor(Role::FfnGain, "transformer.layer.{}.output_layer_norm.weight", &[D]),
    tensor(Role::FfnShift, "transformer.layer.{}.output_layer_norm.bias", &[D]),
    tensor(Role::HeadDense, "vocab_transform.weight", &[D, D]).need(Need::Optional),
    tensor(Role::HeadDenseBias, "vocab_transform.bias", &[D]).need(WITH_HEAD),
    tensor(Role::HeadGain, "vocab_layer_norm.weight", &[D]).need(WITH_HEAD),
    tensor(Role::HeadShift, "vocab_layer_norm.bias", &[D]).need(WITH_HEAD),
    tensor(Role::HeadOut, "vocab_projector.weight", &[Vocab, D]).need(Need::Optional),
    tensor(Role::HeadOutBias, "vocab_projector.bias", &[Vocab]).need(WITH_HEAD),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let (d, heads) = (
        keys.size(keys.either("dim", "hidden_size"))?,
        keys.size(keys.either("n_heads", "num_attention_heads"))?,
    );
    let activation = Activation::find(keys.name("activation", "gelu")?)?;
    let sizes = Sizes {
        layers: keys.layers(keys.either("n_layers", "num_hidden_layers"))?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: keys.size("hidden_dim")?,
        positions: keys.size("max_position_embeddings")?,
        vocab: keys.size("vocab_size")?,
    };
    Ok(ModelConfig {
        causal: false,
        arrangement: Arrangement::NormAfter,
        eps: 1e-12, // fixed in the family's code, no key
        activation,
        head_activation: activation,
        tied: keys.flag("tie_word_embeddings", true)?,
        ..ModelConfig::new(sizes, Position::Learned { offset: 0, padding: None })
    })
}
