//! T5: the encoder, whose logits are not scaled and get a learned number for each bucket of distances.

use super::declaration::Family;
use super::known::Known;
use super::tensors::Dim::{Buckets, D, Ffn, Heads, K, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{ModelConfig, Norm, Position, Sizes, UNLIMITED};
use crate::model::keys::Keys;

pub(super) static T5: Family = Family {
    name: "t5",
    about: "T5 (Raffel 2020), its encoder: relative positions in buckets, logits without a scale, RMSNorm",
    example: "google-t5/t5-small",
    causal: false,
    prefixes: &["transformer."],
    tensors: &[TENSORS],
    ignored: &["decoder.*", "lm_head.*", "classification_head.*"],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: &[("is_decoder", &["false"])], hub: true },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "d_model", "hidden_size", "num_heads", "num_attention_heads", "d_kv", "head_dim", "num_layers",
    "num_hidden_layers", "d_ff", "vocab_size", "layer_norm_epsilon", "feed_forward_proj", "dense_act_fn",
    "is_gated_act", "relative_attention_num_buckets", "relative_attention_max_distance",
];
/// `tie_word_embeddings` is about the decoder's head. There is no limit of positions: `n_positions` is how it was trained.
const INERT: &[&str] =
    &["dropout_rate", "n_positions", "num_decoder_layers", "scale_decoder_outputs", "tie_word_embeddings"];

const IF_GATED: Need = Need::When(|config| config.gated);
const IF_PLAIN: Need = Need::When(|config| !config.gated);

const TENSORS: &[Tensor] = &[
    // Tied: if both are there, the encoder's own is used.
    tensor(Role::Token, "encoder.embed_tokens.weight", &[Vocab, D]).need(Need::Optional),
    tensor(Role::Token, "shared.weight", &[Vocab, D]),
    tensor(
        Role::RelativeBias,
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        &[Buckets, Heads],
    ),
    tensor(Role::AttnGain, "encoder.block.{}.layer.0.layer_norm.weight", &[D]),
    tensor(Role::Q, "encoder.block.{}.layer.0.SelfAttention.q.weight", &[Q, D]),
    tensor(Role::K, "encoder.block.{}.layer.0.SelfAttention.k.weight", &[K, D]),
    tensor(Role::V, "encoder.block.{}.layer.0.SelfAttention.v.weight", &[K, D]),
    tensor(Role::O, "encoder.block.{}.layer.0.SelfAttention.o.weight", &[D, Q]),
    tensor(Role::FfnGain, "encoder.block.{}.layer.1.layer_norm.weight", &[D]),
    tensor(Role::Up, "encoder.block.{}.layer.1.DenseReluDense.wi.weight", &[Ffn, D]).need(IF_PLAIN),
    tensor(Role::Gate, "encoder.block.{}.layer.1.DenseReluDense.wi_0.weight", &[Ffn, D]).need(IF_GATED),
    tensor(Role::Up, "encoder.block.{}.layer.1.DenseReluDense.wi_1.weight", &[Ffn, D]).need(IF_GATED),
    tensor(Role::Down, "encoder.block.{}.layer.1.DenseReluDense.wo.weight", &[D, Ffn]),
    tensor(Role::FinalGain, "encoder.final_layer_norm.weight", &[D]),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let buckets = keys.size_or("relative_attention_num_buckets", 32)?;
    let furthest = keys.size_or("relative_attention_max_distance", 128)?;
    // Each side has half of the buckets, of which half hold one distance each.
    if buckets < 4 {
        return Err(keys.wrong("relative_attention_num_buckets", "4 or more"));
    }
    if furthest <= buckets / 4 {
        let accepted = format!("more than a quarter of the {buckets} buckets");
        return Err(keys.wrong("relative_attention_max_distance", accepted));
    }
    let feed_forward = keys.name("feed_forward_proj", "relu")?;
    let (usual, gated) =
        feed_forward.strip_prefix("gated-").map_or((feed_forward, false), |name| (name, true));
    if usual.contains('-') {
        return Err(keys.wrong("feed_forward_proj", "an activation, or gated- and an activation"));
    }
    let usual = if feed_forward == "gated-gelu" { "gelu_new" } else { usual };
    let sizes = Sizes {
        layers: keys.layers(keys.either("num_layers", "num_hidden_layers"))?,
        heads: keys.size(keys.either("num_heads", "num_attention_heads"))?,
        d_h: keys.size(keys.either("d_kv", "head_dim"))?,
        d: keys.size(keys.either("d_model", "hidden_size"))?,
        ffn: keys.size("d_ff")?,
        positions: UNLIMITED,
        vocab: keys.size("vocab_size")?,
    };
    Ok(ModelConfig {
        causal: false,
        norm: Norm::Rms,
        eps: keys.number("layer_norm_epsilon", 1e-6)?,
        activation: Activation::find(keys.name("dense_act_fn", usual)?)?,
        gated: keys.flag("is_gated_act", gated)?,
        logit_scale: 1.0,
        ..ModelConfig::new(sizes, Position::Buckets { buckets, furthest })
    })
}
