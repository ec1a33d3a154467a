//! `ModernBERT`: an encoder of long texts whose layers see a band around each token, every third all tokens.

use super::bert::WITH_HEAD;
use super::declaration::Family;
use super::decoder::sliding_layers;
use super::known::{Known, Neutral};
use super::tensors::Dim::{D, Ffn, Q, Qkv, TwoFfn, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::attention::Window;
use crate::layer::Activation;
use crate::model::config::{ModelConfig, Position, Sizes, Sliding};
use crate::model::keys::Keys;
use crate::model::rope::{FULL, Rope, RopeSettings, SLIDING};

pub(super) static MODERNBERT: Family = Family {
    name: "modernbert",
    about: "ModernBERT (Warner 2024): encoder, two of three layers see a band, rotary positions by kind of layer, gated",
    prefixes: &["model."],
    tensors: &[TENSORS],
    ignored: &["drop.*"],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: NEUTRAL, hub: true },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size",
    "max_position_embeddings", "norm_eps", "hidden_activation", "classifier_activation", "attention_bias", "mlp_bias",
    "layer_types", "global_attn_every_n_layers", "local_attention", "rope_parameters", "global_rope_theta",
    "local_rope_theta", "tie_word_embeddings",
];
#[rustfmt::skip]
const INERT: &[&str] = &[
    "attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_pooling", "deterministic_flash_attn",
    "initializer_cutoff_factor", "is_causal", "layer_norm_eps", "position_embedding_type", "reference_compile",
    "repad_logits_with_grad", "sparse_pred_ignore_index", "sparse_prediction",
];
const NEUTRAL: &[Neutral] =
    &[("norm_bias", &["false"]), ("classifier_bias", &["false"]), ("decoder_bias", &["true"])];

const IF_ATTENTION: Need = Need::When(|config| config.attention_bias);
const IF_FFN: Need = Need::When(|config| config.ffn_bias);

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "embeddings.tok_embeddings.weight", &[Vocab, D]),
    tensor(Role::EmbedGain, "embeddings.norm.weight", &[D]),
    tensor(Role::AttnGain, "layers.{}.attn_norm.weight", &[D]).need(Need::AfterFirst),
    tensor(Role::Qkv, "layers.{}.attn.Wqkv.weight", &[Qkv, D]),
    tensor(Role::QkvBias, "layers.{}.attn.Wqkv.bias", &[Qkv]).need(IF_ATTENTION),
    tensor(Role::O, "layers.{}.attn.Wo.weight", &[D, Q]),
    tensor(Role::OBias, "layers.{}.attn.Wo.bias", &[D]).need(IF_ATTENTION),
    tensor(Role::FfnGain, "layers.{}.mlp_norm.weight", &[D]),
    tensor(Role::GateUp, "layers.{}.mlp.Wi.weight", &[TwoFfn, D]),
    tensor(Role::GateUpBias, "layers.{}.mlp.Wi.bias", &[TwoFfn]).need(IF_FFN),
    tensor(Role::Down, "layers.{}.mlp.Wo.weight", &[D, Ffn]),
    tensor(Role::DownBias, "layers.{}.mlp.Wo.bias", &[D]).need(IF_FFN),
    tensor(Role::FinalGain, "final_norm.weight", &[D]),
    // A classifier has the same transformation before a projection to its classes: without the bias over the
    // vocabulary it is no masked-token head.
    tensor(Role::HeadOutBias, "decoder.bias", &[Vocab]).need(Need::Optional),
    tensor(Role::HeadDense, "head.dense.weight", &[D, D]).need(Need::With(Role::HeadOutBias)),
    tensor(Role::HeadGain, "head.norm.weight", &[D]).need(WITH_HEAD),
    tensor(Role::HeadOut, "decoder.weight", &[Vocab, D]).need(Need::Optional),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let (d_h, positions) = (keys.head_width(d, heads)?, keys.size("max_position_embeddings")?);
    if !d_h.is_multiple_of(2) {
        let accepted = "heads of even width (rotary positions rotate pairs of elements)";
        return Err(keys.wrong("hidden_size", accepted));
    }
    let nested =
        |section: &Keys<'_>| section.has(FULL) || section.has(SLIDING) || section.given().next().is_none();
    if keys.section("rope_parameters")?.is_some_and(|section| !nested(&section)) {
        return Err(keys.wrong("rope_parameters", format!("settings of {FULL} and of {SLIDING}")));
    }
    let full = RopeSettings {
        theta: Some("global_rope_theta"),
        base: 160_000.0,
        ..RopeSettings::new(d_h, positions)
    };
    let local = RopeSettings { theta: Some("local_rope_theta"), base: 10_000.0, ..full };
    let ([rope, local], notes) = Rope::read_kinds(keys, full, local)?;
    let layers = keys.layers("num_hidden_layers")?;
    let every = keys.size_or("global_attn_every_n_layers", 3)?;
    let side = keys.size_or("local_attention", 128)? / 2;
    let sizes = Sizes {
        layers,
        heads,
        d_h,
        d,
        ffn: keys.size("intermediate_size")?,
        positions,
        vocab: keys.size("vocab_size")?,
    };
    Ok(ModelConfig {
        causal: false,
        sliding: Some(Sliding {
            window: Window { back: side, ahead: side },
            layers: sliding_layers(keys, layers, |layer| !layer.is_multiple_of(every))?,
            rope: Some(local),
        }),
        eps: keys.number("norm_eps", 1e-5)?,
        activation: Activation::find(keys.name("hidden_activation", "gelu")?)?,
        head_activation: Activation::find(keys.name("classifier_activation", "gelu")?)?,
        gated: true,
        tied: keys.flag("tie_word_embeddings", true)?,
        attention_bias: keys.flag("attention_bias", false)?,
        ffn_bias: keys.flag("mlp_bias", false)?,
        notes,
        ..ModelConfig::new(sizes, Position::Rotary(rope))
    })
}
