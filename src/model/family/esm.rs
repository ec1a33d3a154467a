//! ESM-2 and ESM-1b: encoders of proteins, which read a sequence letter by letter.

use super::bert::{LAYERS, ROBERTA_HEAD, is_causal, positions};
use super::declaration::Family;
use super::known::Known;
use super::tensors::Dim::{D, HalfHead, Positions, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::model::config::{ModelConfig, Position, Sizes};
use crate::model::keys::Keys;
use crate::model::rope::{Rope, RopeSettings};

pub(super) static ESM: Family = Family {
    name: "esm",
    about: "ESM-2 (Lin 2022), ESM-1b (Rives 2019): encoder of proteins, rotary positions, LayerNorm before each block",
    example: "facebook/esm2_t12_35M_UR50D",
    causal: false,
    prefixes: &["esm."],
    tensors: &[OWN, LAYERS, ROBERTA_HEAD],
    ignored: &["pooler.*", "contact_head.*", "embeddings.position_embeddings.weight"],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: &[("is_folding_model", &["false"])], hub: true },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size",
    "max_position_embeddings", "layer_norm_eps", "is_decoder", "is_causal", "tie_word_embeddings",
    "position_embedding_type", "rope_theta", "pad_token_id", "mask_token_id", "token_dropout", "emb_layer_norm_before",
];
/// The activation is written as gelu, whatever `hidden_act` says.
const INERT: &[&str] =
    &["hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "esmfold_config", "vocab_list"];

const IF_LEARNED: Need = Need::When(|config| matches!(config.position, Position::Learned { .. }));
const IF_EMBEDDINGS: Need = Need::When(|config| config.embedding_norm);

const OWN: &[Tensor] = &[
    tensor(Role::Token, "embeddings.word_embeddings.weight", &[Vocab, D]),
    tensor(Role::Position, "embeddings.position_embeddings.weight", &[Positions, D]).need(IF_LEARNED),
    // The model may have been trained with rounded ones; all layers have the same.
    tensor(Role::Frequencies, "rotary_embeddings.inv_freq", &[HalfHead]).need(Need::Optional),
    tensor(Role::Frequencies, "encoder.layer.0.attention.self.rotary_embeddings.inv_freq", &[HalfHead])
        .need(Need::Optional),
    // As transformers 5 writes it.
    tensor(Role::Frequencies, "encoder.layer.*.attention.self.rotary_embeddings.inv_freq", &[HalfHead])
        .need(Need::Optional),
    tensor(Role::EmbedGain, "embeddings.layer_norm.weight", &[D]).need(IF_EMBEDDINGS),
    tensor(Role::EmbedShift, "embeddings.layer_norm.bias", &[D]).need(IF_EMBEDDINGS),
    tensor(Role::AttnGain, "encoder.layer.{}.attention.LayerNorm.weight", &[D]),
    tensor(Role::AttnShift, "encoder.layer.{}.attention.LayerNorm.bias", &[D]),
    tensor(Role::FfnGain, "encoder.layer.{}.LayerNorm.weight", &[D]),
    tensor(Role::FfnShift, "encoder.layer.{}.LayerNorm.bias", &[D]),
    tensor(Role::FinalGain, "encoder.emb_layer_norm_after.weight", &[D]),
    tensor(Role::FinalShift, "encoder.emb_layer_norm_after.bias", &[D]),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let d_h = keys.head_width(d, heads)?;
    let rows = positions(keys, None)?;
    let (positions, position) = match keys.name("position_embedding_type", "absolute")? {
        "rotary" if d_h.is_multiple_of(2) => {
            let (rope, _) = Rope::read(keys, RopeSettings::new(d_h, rows))?;
            (rows, Position::Rotary(rope))
        }
        "rotary" => {
            let accepted = "heads of even width (rotary positions rotate pairs of elements)";
            return Err(keys.wrong("hidden_size", accepted));
        }
        "absolute" => {
            let accepted = "an id: learned positions are counted from the one after it";
            let padding = keys.needed_count("pad_token_id", accepted)?;
            (positions(keys, Some(padding))?, Position::Learned { offset: 0, padding: Some(padding) })
        }
        _ => return Err(keys.wrong("position_embedding_type", "rotary or absolute")),
    };
    let token_dropout =
        if keys.flag("token_dropout", false)? {
            Some(keys.needed_count(
                "mask_token_id",
                "an id: with token_dropout the masked token has its own vector",
            )? as u32)
        } else {
            None
        };
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
        causal: is_causal(keys)?,
        eps: keys.number("layer_norm_eps", 1e-12)?,
        embedding_norm: keys.flag("emb_layer_norm_before", false)?,
        token_dropout,
        tied: keys.flag("tie_word_embeddings", true)?,
        ..ModelConfig::new(sizes, position)
    })
}
