//! BERT and `RoBERTa`: the same encoder; `RoBERTa` (with XLM-R and `CamemBERT`, which are it by other names) counts
//! positions from the one after the padding token's, and the heads differ.

use super::declaration::Family;
use super::known::{ABSOLUTE, Known, Neutral, joined};
use super::tensors::Dim::{D, Embedding, Ffn, K, Positions, Q, Segments, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{Arrangement, ModelConfig, Position, Sizes};
use crate::model::keys::Keys;

pub(super) static BERT: Family = Family {
    name: "bert",
    about: "BERT (Devlin 2018): encoder, learned positions, LayerNorm after each block",
    example: "google-bert/bert-base-uncased",
    causal: false,
    prefixes: &["bert."],
    tensors: &[EMBEDDINGS, LAYERS, NORMS_AFTER, BERT_HEAD],
    ignored: &["pooler.*", "cls.seq_relationship.*", "linear.*"],
    input_first: false,
    known: Known { read: &READ, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| Ok(ModelConfig { causal: is_causal(keys)?, ..encoder(keys, "gelu", None)? }),
};

pub(super) static ROBERTA: Family = roberta(
    "roberta",
    "RoBERTa (Liu 2019): BERT's encoder, positions counted from the one after the padding token's",
    "FacebookAI/roberta-base",
);
pub(super) static XLM_ROBERTA: Family = roberta(
    "xlm-roberta",
    "XLM-R (Conneau 2019): RoBERTa's encoder, trained on a hundred languages",
    "FacebookAI/xlm-roberta-base",
);
pub(super) static CAMEMBERT: Family = roberta(
    "camembert",
    "CamemBERT (Martin 2019): RoBERTa's encoder, trained on French",
    "almanach/camembert-base",
);

const fn roberta(name: &'static str, about: &'static str, example: &'static str) -> Family {
    Family {
        name,
        about,
        example,
        causal: false,
        prefixes: &["roberta."],
        tensors: &[EMBEDDINGS, LAYERS, NORMS_AFTER, ROBERTA_HEAD],
        ignored: &["pooler.*"],
        input_first: false,
        // Where positions begin: in BERT the padding token's id has no effect.
        known: Known { read: &READ_ROBERTA, inert: INERT, neutral: NEUTRAL, hub: true },
        config: |keys| {
            let config = encoder(keys, "gelu", Some(keys.count("pad_token_id", 1)?))?;
            // The head is written with gelu, whatever the encoder's activation.
            Ok(ModelConfig { causal: is_causal(keys)?, head_activation: Activation::Gelu, ..config })
        },
    }
}

/// The keys that all of them read.
#[rustfmt::skip]
pub(super) const READ: [&str; 13] = [
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "hidden_act", "is_decoder", "is_causal",
    "tie_word_embeddings",
];
const READ_ROBERTA: [&str; 14] = joined(&READ, &["pad_token_id"]);
#[rustfmt::skip]
const INERT: &[&str] = &[
    "hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_fc_size", "pooler_num_attention_heads",
    "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
];
const NEUTRAL: &[Neutral] = &[ABSOLUTE, ("directionality", &["bidi"])];

/// The embeddings.
pub(super) const EMBEDDINGS: &[Tensor] = &[
    tensor(Role::Token, "embeddings.word_embeddings.weight", &[Vocab, Embedding]),
    tensor(Role::Position, "embeddings.position_embeddings.weight", &[Positions, Embedding]),
    tensor(Role::Segment, "embeddings.token_type_embeddings.weight", &[Segments, Embedding]),
    tensor(Role::EmbedGain, "embeddings.LayerNorm.weight", &[Embedding]),
    tensor(Role::EmbedShift, "embeddings.LayerNorm.bias", &[Embedding]),
];

/// The layers, norms aside.
pub(super) const LAYERS: &[Tensor] = &[
    tensor(Role::Q, "encoder.layer.{}.attention.self.query.weight", &[Q, D]),
    tensor(Role::QBias, "encoder.layer.{}.attention.self.query.bias", &[Q]),
    tensor(Role::K, "encoder.layer.{}.attention.self.key.weight", &[K, D]),
    tensor(Role::KBias, "encoder.layer.{}.attention.self.key.bias", &[K]),
    tensor(Role::V, "encoder.layer.{}.attention.self.value.weight", &[K, D]),
    tensor(Role::VBias, "encoder.layer.{}.attention.self.value.bias", &[K]),
    tensor(Role::O, "encoder.layer.{}.attention.output.dense.weight", &[D, Q]),
    tensor(Role::OBias, "encoder.layer.{}.attention.output.dense.bias", &[D]),
    tensor(Role::Up, "encoder.layer.{}.intermediate.dense.weight", &[Ffn, D]),
    tensor(Role::UpBias, "encoder.layer.{}.intermediate.dense.bias", &[Ffn]),
    tensor(Role::Down, "encoder.layer.{}.output.dense.weight", &[D, Ffn]),
    tensor(Role::DownBias, "encoder.layer.{}.output.dense.bias", &[D]),
];

/// Norms after both blocks.
pub(super) const NORMS_AFTER: &[Tensor] = &[
    tensor(Role::AttnGain, "encoder.layer.{}.attention.output.LayerNorm.weight", &[D]),
    tensor(Role::AttnShift, "encoder.layer.{}.attention.output.LayerNorm.bias", &[D]),
    tensor(Role::FfnGain, "encoder.layer.{}.output.LayerNorm.weight", &[D]),
    tensor(Role::FfnShift, "encoder.layer.{}.output.LayerNorm.bias", &[D]),
];

/// What a masked-token head has when the file has its first tensor.
pub(super) const WITH_HEAD: Need = Need::With(Role::HeadDense);

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

/// `RoBERTa`'s head.
pub(super) const ROBERTA_HEAD: &[Tensor] = &[
    tensor(Role::HeadDense, "lm_head.dense.weight", &[D, D]).need(Need::Optional),
    tensor(Role::HeadDenseBias, "lm_head.dense.bias", &[D]).need(WITH_HEAD),
    tensor(Role::HeadGain, "lm_head.layer_norm.weight", &[D]).need(WITH_HEAD),
    tensor(Role::HeadShift, "lm_head.layer_norm.bias", &[D]).need(WITH_HEAD),
    tensor(Role::HeadOut, "lm_head.decoder.weight", &[Vocab, D]).need(Need::Optional),
    tensor(Role::HeadOutBias, "lm_head.decoder.bias", &[Vocab]).need(Need::Optional),
    tensor(Role::HeadOutBias, "lm_head.bias", &[Vocab]).need(WITH_HEAD),
];

/// Whether a mask is causal: that of a decoder, unless `is_causal` is false.
pub(super) fn is_causal(keys: &Keys<'_>) -> Result<bool> {
    Ok(keys.flag("is_decoder", false)? && keys.flag("is_causal", true)?)
}

/// The encoder of all of them, with the activation where the file has none, and the id of the padding token if positions
/// are counted from it.
pub(super) fn encoder(keys: &Keys<'_>, usual: &'static str, padding: Option<usize>) -> Result<ModelConfig> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let activation = Activation::find(keys.name("hidden_act", usual)?)?;
    let sizes = Sizes {
        layers: keys.layers("num_hidden_layers")?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: keys.size("intermediate_size")?,
        positions: positions(keys, padding)?,
        vocab: keys.size("vocab_size")?,
    };
    Ok(ModelConfig {
        segments: keys.count("type_vocab_size", 2)?.max(1),
        causal: false,
        arrangement: Arrangement::NormAfter,
        eps: keys.number("layer_norm_eps", 1e-12)?,
        activation,
        head_activation: activation,
        tied: keys.flag("tie_word_embeddings", true)?,
        ..ModelConfig::new(sizes, Position::Learned { offset: 0, padding })
    })
}

/// The longest input: rows of the position table, less those up to the padding token's if positions are counted from it.
pub(super) fn positions(keys: &Keys<'_>, padding: Option<usize>) -> Result<usize> {
    let rows = keys.size("max_position_embeddings")?;
    let positions = rows.saturating_sub(padding.map_or(0, |padding| padding + 1));
    if positions == 0 {
        let accepted = format!("more than pad_token_id + 1 = {}", padding.unwrap_or(0) + 1);
        return Err(keys.wrong("max_position_embeddings", accepted));
    }
    Ok(positions)
}
