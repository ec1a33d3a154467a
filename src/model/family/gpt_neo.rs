//! GPT-Neo, and `TinyStories`: GPT-2's decoder with unscaled logits, and local attention in every other layer.

use super::declaration::Family;
use super::known::{ABSOLUTE, Known};
use super::tensors::Dim::{D, Ffn, Positions, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::attention::Window;
use crate::layer::Activation;
use crate::model::config::{ModelConfig, Position, Sizes, Sliding};
use crate::model::keys::Keys;

pub(super) static GPT_NEO: Family = Family {
    name: "gpt_neo",
    about: "GPT-Neo (Black 2021), TinyStories (Eldan 2023): causal decoder, learned positions, every other layer local",
    example: "EleutherAI/gpt-neo-125m",
    causal: true,
    prefixes: &["transformer."],
    tensors: &[TENSORS],
    ignored: &["h.*.attn.attention.bias", "h.*.attn.attention.masked_bias"],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: &[ABSOLUTE], hub: true },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "hidden_size", "num_heads", "num_attention_heads", "num_layers", "num_hidden_layers",
    "intermediate_size", "max_position_embeddings", "vocab_size", "attention_layers", "attention_types", "window_size",
    "activation_function", "layer_norm_epsilon", "tie_word_embeddings",
];
/// It is causal whatever its file says.
#[rustfmt::skip]
const INERT: &[&str] = &[
    "is_causal", "attention_dropout", "embed_dropout", "resid_dropout", "summary_activation", "summary_first_dropout",
    "summary_proj_to_labels", "summary_type", "summary_use_proj",
];

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "wte.weight", &[Vocab, D]),
    tensor(Role::Position, "wpe.weight", &[Positions, D]),
    tensor(Role::AttnGain, "h.{}.ln_1.weight", &[D]),
    tensor(Role::AttnShift, "h.{}.ln_1.bias", &[D]),
    tensor(Role::Q, "h.{}.attn.attention.q_proj.weight", &[Q, D]),
    tensor(Role::K, "h.{}.attn.attention.k_proj.weight", &[Q, D]),
    tensor(Role::V, "h.{}.attn.attention.v_proj.weight", &[Q, D]),
    tensor(Role::O, "h.{}.attn.attention.out_proj.weight", &[D, Q]),
    tensor(Role::OBias, "h.{}.attn.attention.out_proj.bias", &[D]),
    tensor(Role::FfnGain, "h.{}.ln_2.weight", &[D]),
    tensor(Role::FfnShift, "h.{}.ln_2.bias", &[D]),
    tensor(Role::Up, "h.{}.mlp.c_fc.weight", &[Ffn, D]),
    tensor(Role::UpBias, "h.{}.mlp.c_fc.bias", &[Ffn]),
    tensor(Role::Down, "h.{}.mlp.c_proj.weight", &[D, Ffn]),
    tensor(Role::DownBias, "h.{}.mlp.c_proj.bias", &[D]),
    tensor(Role::FinalGain, "ln_f.weight", &[D]),
    tensor(Role::FinalShift, "ln_f.bias", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let d = keys.size("hidden_size")?;
    let heads = keys.size(keys.either("num_heads", "num_attention_heads"))?;
    let sizes = Sizes {
        layers: keys.layers(keys.either("num_layers", "num_hidden_layers"))?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: keys.size_or("intermediate_size", 4 * d)?,
        positions: keys.size("max_position_embeddings")?,
        vocab: keys.size("vocab_size")?,
    };
    let window = Window { back: keys.size_or("window_size", 256)? - 1, ahead: 0 };
    let layers = local_layers(keys, sizes.layers)?;
    Ok(ModelConfig {
        eps: keys.number("layer_norm_epsilon", 1e-5)?,
        activation: Activation::find(keys.name("activation_function", "gelu_new")?)?,
        tied: keys.flag("tie_word_embeddings", true)?,
        logit_scale: 1.0,
        sliding: layers.contains(&true).then_some(Sliding { window, layers, rope: None }),
        ..ModelConfig::new(sizes, Position::Learned { offset: 0, padding: None })
    })
}

/// Whether each layer is a local one: by `attention_layers`, one name a layer, or by `attention_types`, lists of names
/// each with how often it is repeated.
fn local_layers(keys: &Keys<'_>, layers: usize) -> Result<Vec<bool>> {
    let (key, kinds) = if let Some(kinds) = keys.names("attention_layers")? {
        ("attention_layers", kinds)
    } else {
        let kinds = keys.repeated_names("attention_types", layers + 1)?;
        ("attention_types", kinds.unwrap_or_else(|| ["global", "local"].repeat(12)))
    };
    if kinds.len() != layers || !kinds.iter().all(|kind| ["global", "local"].contains(kind)) {
        return Err(keys.wrong(key, format!("{layers} layers in all, each global or local")));
    }
    Ok(kinds.iter().map(|kind| *kind == "local").collect())
}
