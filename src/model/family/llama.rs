//! Llama, Mistral and Qwen2: decoders with rotary positions, `RMSNorm`, gated feed-forward networks and grouped heads.

use super::Dim::{D, Ffn, K, Q, Vocab};
use super::{Config, Family, Keys, Need, Role, Tensor, tensor};
use crate::Result;
use crate::model::activation::Activation;
use crate::model::config::{Arrangement, Norm, Position};
use crate::model::rope::Rope;

pub(super) static LLAMA: Family = Family {
    name: "llama",
    about: "Llama (Touvron 2023): causal decoder, rotary positions, RMSNorm, grouped key and value heads",
    prefix: "model.",
    tensors: &[DECODER, ALL_BIASES],
    ignored: &[],
    input_first: false,
    config: |family, keys| {
        let attention_bias = keys.flag("attention_bias", false)?;
        Ok(Config { attention_bias, ffn_bias: keys.flag("mlp_bias", false)?, ..config(family, keys)? })
    },
};

pub(super) static MISTRAL: Family = Family {
    name: "mistral",
    about: "Mistral (Jiang 2023): Llama's decoder, with a sliding window in its first release",
    prefix: "model.",
    tensors: &[DECODER],
    ignored: &[],
    input_first: false,
    config: |family, keys| {
        let sliding_window =
            if keys.has("sliding_window") { Some(keys.size("sliding_window")?) } else { None };
        Ok(Config { sliding_window, ..config(family, keys)? })
    },
};

pub(super) static QWEN2: Family = Family {
    name: "qwen2",
    about: "Qwen2 (Yang 2024): Llama's decoder with biases on queries, keys and values",
    prefix: "model.",
    tensors: &[DECODER, QKV_BIASES],
    ignored: &[],
    input_first: false,
    config: |family, keys| {
        let config = config(family, keys)?;
        let slides = match keys.names("layer_types")? {
            Some(types) => types.contains(&"sliding_attention"),
            None => {
                keys.flag("use_sliding_window", false)?
                    && keys.count("max_window_layers", 28)? < config.layers
            }
        };
        let windowed = slides && keys.has("sliding_window");
        let sliding_window = if windowed { Some(keys.size("sliding_window")?) } else { None };
        Ok(Config { attention_bias: true, sliding_window, ..config })
    },
};

const DECODER: &[Tensor] = &[
    tensor(Role::Token, "embed_tokens.weight", &[Vocab, D]),
    tensor(Role::AttnGain, "layers.{}.input_layernorm.weight", &[D]),
    tensor(Role::Q, "layers.{}.self_attn.q_proj.weight", &[Q, D]),
    tensor(Role::K, "layers.{}.self_attn.k_proj.weight", &[K, D]),
    tensor(Role::V, "layers.{}.self_attn.v_proj.weight", &[K, D]),
    tensor(Role::O, "layers.{}.self_attn.o_proj.weight", &[D, Q]),
    tensor(Role::FfnGain, "layers.{}.post_attention_layernorm.weight", &[D]),
    tensor(Role::Gate, "layers.{}.mlp.gate_proj.weight", &[Ffn, D]),
    tensor(Role::Up, "layers.{}.mlp.up_proj.weight", &[Ffn, D]),
    tensor(Role::Down, "layers.{}.mlp.down_proj.weight", &[D, Ffn]),
    tensor(Role::FinalGain, "norm.weight", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
];

const QKV_BIASES: &[Tensor] = &[
    tensor(Role::QBias, "layers.{}.self_attn.q_proj.bias", &[Q]),
    tensor(Role::KBias, "layers.{}.self_attn.k_proj.bias", &[K]),
    tensor(Role::VBias, "layers.{}.self_attn.v_proj.bias", &[K]),
];

const IF_ATTENTION: Need = Need::When(|config| config.attention_bias);
const IF_FFN: Need = Need::When(|config| config.ffn_bias);

const ALL_BIASES: &[Tensor] = &[
    tensor(Role::QBias, "layers.{}.self_attn.q_proj.bias", &[Q]).need(IF_ATTENTION),
    tensor(Role::KBias, "layers.{}.self_attn.k_proj.bias", &[K]).need(IF_ATTENTION),
    tensor(Role::VBias, "layers.{}.self_attn.v_proj.bias", &[K]).need(IF_ATTENTION),
    tensor(Role::OBias, "layers.{}.self_attn.o_proj.bias", &[D]).need(IF_ATTENTION),
    tensor(Role::GateBias, "layers.{}.mlp.gate_proj.bias", &[Ffn]).need(IF_FFN),
    tensor(Role::UpBias, "layers.{}.mlp.up_proj.bias", &[Ffn]).need(IF_FFN),
    tensor(Role::DownBias, "layers.{}.mlp.down_proj.bias", &[D]).need(IF_FFN),
];

fn config(family: &'static Family, keys: &Keys<'_>) -> Result<Config> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let kv_heads = if keys.has("num_key_value_heads") { keys.size("num_key_value_heads")? } else { heads };
    if !heads.is_multiple_of(kv_heads) {
        return Err(keys.wrong("num_key_value_heads", format!("a divisor of num_attention_heads = {heads}")));
    }
    let d_h = if keys.has("head_dim") { keys.size("head_dim")? } else { keys.head_width(d, heads)? };
    if !d_h.is_multiple_of(2) {
        let key = if keys.has("head_dim") { "head_dim" } else { "hidden_size" };
        return Err(keys.wrong(key, "heads of even width (rotary positions turn pairs of numbers)"));
    }
    let activation = Activation::find(keys.name("hidden_act", "silu")?)?;
    Ok(Config {
        family,
        layers: keys.layers("num_hidden_layers")?,
        heads,
        kv_heads,
        d_h,
        d,
        ffn: keys.size("intermediate_size")?,
        positions: keys.size("max_position_embeddings")?,
        vocab: keys.size("vocab_size")?,
        segments: 0,
        causal: true,
        position: Position::Rotary(Rope::read(keys)?),
        arrangement: Arrangement::NormBefore,
        norm: Norm::Rms,
        eps: keys.number("rms_norm_eps", 1e-6)?,
        activation,
        head_activation: activation,
        gated: true,
        tied: keys.flag("tie_word_embeddings", false)?,
        scale_logits: true,
        scale_by_layer: false,
        attention_bias: false,
        ffn_bias: false,
        sliding_window: None,
        first_byte: None,
    })
}
