//! BERT and `RoBERTa`: the same encoder; `RoBERTa` counts positions from the one after the padding token's, and the heads
//! differ.

use super::declaration::Family;
use super::known::{Known, Neutral};
use super::tensors::Dim::{D, Ffn, K, Positions, Q, Segments, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{Arrangement, ModelConfig, Position, Sizes};
use crate::model::keys::Keys;

pub(super) static BERT: Family = Family {
    name: "bert",
    about: "BERT (Devlin 2018): encoder, learned positions, LayerNorm after each block",
    prefixes: &["bert."],
    tensors: &[ENCODER, BERT_HEAD],
    ignored: &["pooler.*", "cls.seq_relationship.*", "linear.*"],
    input_first: false,
    known: Known { read: &READ, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| config(keys, false),
};

pub(super) static ROBERTA: Family = Family {
    name: "roberta",
    about: "RoBERTa (Liu 2019): BERT's encoder, positions counted from the one after the padding token's",
    prefixes: &["roberta."],
    tensors: &[ENCODER, ROBERTA_HEAD],
    ignored: &["pooler.*"],
    input_first: false,
    // Where positions begin: in BERT the padding token's id has no effect.
    known: Known { read: &READ_ROBERTA, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| config(keys, true),
};

#[rustfmt::skip]
const READ: [&str; 13] = [
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "hidden_act", "is_decoder", "is_causal",
    "tie_word_embeddings",
];
#[rustfmt::skip]
const READ_ROBERTA: [&str; 14] = [
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "hidden_act", "is_decoder", "is_causal",
    "tie_word_embeddings", "pad_token_id",
];
#[rustfmt::skip]
const INERT: &[&str] = &[
    "hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_fc_size", "pooler_num_attention_heads",
    "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
];
const NEUTRAL: &[Neutral] = &[("position_embedding_type", &["absolute"]), ("directionality", &["bidi"])];

const ENCODER: &[Tensor] = &[
    tensor(Role::Token, "embeddings.word_embeddings.weight", &[Vocab, D]),
    tensor(Role::Position, "embeddings.position_embeddings.weight", &[Positions, D]),
    tensor(Role::Segment, "embeddings.token_type_embeddings.weight", &[Segments, D]),
    tensor(Role::EmbedGain, "embeddings.LayerNorm.weight", &[D]),
    tensor(Role::EmbedShift, "embeddings.LayerNorm.bias", &[D]),
    tensor(Role::Q, "encoder.layer.{}.attention.self.query.weight", &[Q, D]),
    tensor(Role::QBias, "encoder.layer.{}.attention.self.query.bias", &[Q]),
    tensor(Role::K, "encoder.layer.{}.attention.self.key.weight", &[K, D]),
    tensor(Role::KBias, "encoder.layer.{}.attention.self.key.bias", &[K]),
    tensor(Role::V, "encoder.layer.{}.attention.self.value.weight", &[K, D]),
    tensor(Role::VBias, "encoder.layer.{}.attention.self.value.bias", &[K]),
    tensor(Role::O, "encoder.layer.{}.attention.output.dense.weight", &[D, Q]),
    tensor(Role::OBias, "encoder.layer.{}.attention.output.dense.bias", &[D]),
    tensor(Role::AttnGain, "encoder.layer.{}.attention.output.LayerNorm.weight", &[D]),
    tensor(Role::AttnShift, "encoder.layer.{}.attention.output.LayerNorm.bias", &[D]),
    tensor(Role::Up, "encoder.layer.{}.intermediate.dense.weight", &[Ffn, D]),
    tensor(Role::UpBias, "encoder.layer.{}.intermediate.dense.bias", &[Ffn]),
    tensor(Role::Down, "encoder.layer.{}.output.dense.weight", &[D, Ffn]),
    tensor(Role::DownBias, "encoder.layer.{}.output.dense.bias", &[D]),
    tensor(Role::FfnGain, "encoder.layer.{}.output.LayerNorm.weight", &[D]),
    tensor(Role::FfnShift, "encoder.layer.{}.output.LayerNorm.bias", &[D]),
];

const WITH_HEAD: Need = Need::With(Role::HeadDense);

const BERT_HEAD: &[Tensor] = &[
    tensor(Role::HeadDense, "cls.predictions.transform.dense.weight", &[D, D]).need(Need::Optional),
    tensor(Role::HeadDenseBias, "cls.predictions.transform.dense.bias", &[D]).need(WITH_HEAD),
    tensor(Role::HeadGain, "cls.predictions.transform.LayerNorm.weight", &[D]).need(WITH_HEAD),
    tensor(Role::HeadShift, "cls.predictions.transform.LayerNorm.bias", &[D]).need(WITH_HEAD),
    tensor(Role::HeadOut, "cls.predictions.decoder.weight", &[Vocab, D]).need(Need::Optional),
    // Tied: if both are there, the projection's own is used.
    tensor(Role::HeadOutBias, "cls.predictions.decoder.bias", &[Vocab]).need(Need::Optional),
    tensor(Role::HeadOutBias, "cls.predictions.bias", &[Vocab]).need(WITH_HEAD),
];

const ROBERTA_HEAD: &[Tensor] = &[
    tensor(Role::HeadDense, "lm_head.dense.weight", &[D, D]).need(Need::Optional),
    tensor(Role::HeadDenseBias, "lm_head.dense.bias", &[D]).need(WITH_HEAD),
    tensor(Role::HeadGain, "lm_head.layer_norm.weight", &[D]).need(WITH_HEAD),
    tensor(Role::HeadShift, "lm_head.layer_norm.bias", &[D]).need(WITH_HEAD),
    tensor(Role::HeadOut, "lm_head.decoder.weight", &[Vocab, D]).need(Need::Optional),
    tensor(Role::HeadOutBias, "lm_head.decoder.bias", &[Vocab]).need(Need::Optional),
    tensor(Role::HeadOutBias, "lm_head.bias", &[Vocab]).need(WITH_HEAD),
];

fn config(keys: &Keys<'_>, roberta: bool) -> Result<ModelConfig> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let activation = Activation::find(keys.name("hidden_act", "gelu")?)?;
    let rows = keys.size("max_position_embeddings")?;
    let padding = if roberta { Some(keys.count("pad_token_id", 1)?) } else { None };
    let positions = rows.saturating_sub(padding.map_or(0, |padding| padding + 1));
    if positions == 0 {
        let accepted = format!("more than pad_token_id + 1 = {}", rows.max(1));
        return Err(keys.wrong("max_position_embeddings", accepted));
    }
    let sizes = Sizes {
        layers: keys.layers("num_hidden_layers")?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: keys.size("intermediate_size")?,
        positions,
        vocab: keys.size("vocab_size")?,
    };
    Ok(ModelConfig {
        segments: keys.count("type_vocab_size", 2)?.max(1),
        // The mask of a decoder is bidirectional where `is_causal` is false.
        causal: keys.flag("is_decoder", false)? && keys.flag("is_causal", true)?,
        arrangement: Arrangement::NormAfter,
        eps: keys.number("layer_norm_eps", 1e-12)?,
        activation,
        // RoBERTa's head is written with gelu, whatever the encoder's activation.
        head_activation: if roberta { Activation::Gelu } else { activation },
        tied: keys.flag("tie_word_embeddings", true)?,
        ..ModelConfig::new(sizes, Position::Learned { offset: 0, padding })
    })
}
