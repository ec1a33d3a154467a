//! Folders of `luna train` with softmax attention: fairseq's tensor names, as the Luna authors use them.

use super::declaration::Family;
use super::known::Known;
use super::tensors::Dim::{D, Ffn, K, Positions, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::{EPS, EncoderConfig, Head, Mechanism};
use crate::model::config::{Arrangement, ModelConfig, Position, Sizes};
use crate::model::keys::Keys;
use crate::model::own::first_byte;

pub(super) static LUNA: Family = Family {
    name: "luna",
    about: "what luna train writes, with softmax attention: learned positions, norm on embeddings, any head",
    example: "a run of luna train",
    causal: false,
    prefixes: &[],
    tensors: &[TENSORS],
    ignored: &[],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: &[], hub: false },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "attention", "hidden_size", "heads", "ffn", "layers", "activation", "pre_norm", "vocab", "positions",
    "embedding_norm", "causal", "p_chain", "head", "classes", "tokens",
];
/// How it was trained, as recorded by `luna train`.
const INERT: &[&str] = &["task", "seed", "recipe", "class_names", "image_size", "languages"];

const IF_BEFORE: Need = Need::When(|config| config.arrangement == Arrangement::NormBefore);

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "embed_tokens.weight", &[Vocab, D]),
    tensor(Role::Position, "embed_positions.weight", &[Positions, D]),
    tensor(Role::EmbedGain, "layernorm_embedding.weight", &[D]),
    tensor(Role::EmbedShift, "layernorm_embedding.bias", &[D]),
    tensor(Role::Q, "layers.{}.self_attn.q_proj.weight", &[Q, D]),
    tensor(Role::QBias, "layers.{}.self_attn.q_proj.bias", &[Q]),
    tensor(Role::K, "layers.{}.self_attn.k_proj.weight", &[K, D]),
    tensor(Role::KBias, "layers.{}.self_attn.k_proj.bias", &[K]),
    tensor(Role::V, "layers.{}.self_attn.v_proj.weight", &[K, D]),
    tensor(Role::VBias, "layers.{}.self_attn.v_proj.bias", &[K]),
    tensor(Role::O, "layers.{}.self_attn.out_proj.weight", &[D, Q]),
    tensor(Role::OBias, "layers.{}.self_attn.out_proj.bias", &[D]),
    tensor(Role::AttnGain, "layers.{}.self_attn_layer_norm.weight", &[D]),
    tensor(Role::AttnShift, "layers.{}.self_attn_layer_norm.bias", &[D]),
    tensor(Role::Up, "layers.{}.fc1.weight", &[Ffn, D]),
    tensor(Role::UpBias, "layers.{}.fc1.bias", &[Ffn]),
    tensor(Role::Down, "layers.{}.fc2.weight", &[D, Ffn]),
    tensor(Role::DownBias, "layers.{}.fc2.bias", &[D]),
    tensor(Role::FfnGain, "layers.{}.final_layer_norm.weight", &[D]),
    tensor(Role::FfnShift, "layers.{}.final_layer_norm.bias", &[D]),
    tensor(Role::FinalGain, "layer_norm.weight", &[D]).need(IF_BEFORE),
    tensor(Role::FinalShift, "layer_norm.bias", &[D]).need(IF_BEFORE),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let encoder = EncoderConfig::read(keys)?;
    if !matches!(encoder.mechanism, Mechanism::Softmax | Mechanism::Materialised) {
        return Err(keys.wrong("attention", "softmax, the one attention that is read here head by head"));
    }
    if !encoder.embedding_norm {
        return Err(keys.wrong("embedding_norm", "true, the one form that is read here"));
    }
    let sizes = Sizes {
        layers: encoder.layers,
        heads: encoder.heads,
        d_h: encoder.head_width(),
        d: encoder.d,
        ffn: encoder.ffn,
        positions: keys.size("positions")?,
        vocab: keys.size("vocab")?,
    };
    Ok(ModelConfig {
        causal: encoder.causal,
        arrangement: if encoder.pre_norm { Arrangement::NormBefore } else { Arrangement::NormAfter },
        eps: EPS,
        activation: encoder.activation,
        tied: encoder.head == Head::Tokens,
        first_byte: first_byte(keys)?,
        ..ModelConfig::new(sizes, Position::Learned { offset: 0, padding: None })
    })
}
