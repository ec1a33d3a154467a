//! MPT: a decoder with `ALiBi` and without biases, its attention in a section of its configuration.

use super::declaration::Family;
use super::known::{Known, Neutral};
use super::tensors::Dim::{D, Ffn, Q, Qkv, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::model::bias;
use crate::model::config::{ModelConfig, Position, Sizes};
use crate::model::keys::{Keys, unused};

pub(super) static MPT: Family = Family {
    name: "mpt",
    about: "MPT (MosaicML 2023): causal decoder, ALiBi, LayerNorm before each block, no biases",
    prefixes: &["transformer."],
    tensors: &[TENSORS],
    ignored: &[],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: NEUTRAL, hub: true },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "d_model", "hidden_size", "n_heads", "num_attention_heads", "n_layers", "num_hidden_layers",
    "max_seq_len", "vocab_size", "layer_norm_epsilon", "attn_config", "tie_word_embeddings",
];
/// The feed-forward width is 4 d whatever `expansion_ratio` says, as in transformers; `learned_pos_emb` counts without
/// `ALiBi` only.
#[rustfmt::skip]
const INERT: &[&str] = &[
    "expansion_ratio", "learned_pos_emb", "resid_pdrop", "emb_pdrop", "embedding_fraction", "init_device",
    "init_config", "verbose", "tokenizer_name",
];
const NEUTRAL: &[Neutral] = &[
    ("no_bias", &["true"]),
    ("norm_type", &["low_precision_layernorm", "layernorm"]),
    ("is_causal", &["true"]),
    ("position_embedding_type", &["alibi"]),
];

/// The keys of `attn_config`. transformers has the slopes of 8 whatever `alibi_bias_max` says, and the model's own code has
/// others: such a model is refused.
static ATTENTION: Known = Known {
    read: &["clip_qkv", "softmax_scale"],
    inert: &["model_type", "attn_impl", "attn_pdrop", "attn_uses_sequence_id"],
    neutral: &[
        ("alibi", &["true"]),
        ("alibi_bias_max", &["8", "8.0"]),
        ("attn_type", &["multihead_attention"]),
        ("prefix_lm", &["false"]),
        ("qk_ln", &["false"]),
    ],
    hub: true,
};

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "wte.weight", &[Vocab, D]),
    tensor(Role::AttnGain, "blocks.{}.norm_1.weight", &[D]),
    tensor(Role::Qkv, "blocks.{}.attn.Wqkv.weight", &[Qkv, D]),
    tensor(Role::O, "blocks.{}.attn.out_proj.weight", &[D, Q]),
    tensor(Role::FfnGain, "blocks.{}.norm_2.weight", &[D]),
    tensor(Role::Up, "blocks.{}.ffn.up_proj.weight", &[Ffn, D]),
    tensor(Role::Down, "blocks.{}.ffn.down_proj.weight", &[D, Ffn]),
    tensor(Role::FinalGain, "norm_f.weight", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let d = keys.size(keys.either("d_model", "hidden_size"))?;
    let heads = keys.size(keys.either("n_heads", "num_attention_heads"))?;
    let sizes = Sizes {
        layers: keys.layers(keys.either("n_layers", "num_hidden_layers"))?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: 4 * d,
        positions: keys.size("max_seq_len")?,
        vocab: keys.size("vocab_size")?,
    };
    let mut config = ModelConfig {
        eps: keys.number("layer_norm_epsilon", 1e-5)?,
        tied: keys.flag("tie_word_embeddings", true)?,
        ..ModelConfig::new(sizes, Position::Slopes(bias::slopes_of_next(heads)))
    };
    if let Some(attention) = keys.section("attn_config")? {
        let unknown: Vec<String> =
            ATTENTION.check(&attention)?.iter().map(|key| format!("attn_config.{key}")).collect();
        config.notes = unused(&unknown.iter().map(String::as_str).collect::<Vec<_>>()).into_iter().collect();
        config.logit_scale = attention.positive_or("softmax_scale", config.logit_scale)?;
        // As in transformers, 0 is no bound.
        if attention.number("clip_qkv", 0.0)? != 0.0 {
            config.clip = Some(attention.positive("clip_qkv")?);
        }
    }
    Ok(config)
}
