//! Llama, Mistral and Qwen2: decoders with rotary positions, `RMSNorm`, gated feed-forward networks and grouped heads.

use super::declaration::Family;
use super::known::{Known, Neutral};
use super::tensors::Dim::{D, Ffn, K, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{Arrangement, ModelConfig, Norm, Position};
use crate::model::keys::Keys;
use crate::model::rope::{Rope, RopeSettings};

pub(super) static LLAMA: Family = Family {
    name: "llama",
    about: "Llama (Touvron 2023): causal decoder, rotary positions, RMSNorm, grouped key and value heads",
    prefix: "model.",
    tensors: &[DECODER, ALL_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_LLAMA, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let attention_bias = keys.flag("attention_bias", false)?;
        let config = config(keys, None)?;
        layer_types(keys, config.layers, &[FULL])?;
        Ok(ModelConfig { attention_bias, ffn_bias: keys.flag("mlp_bias", false)?, ..config })
    },
};

pub(super) static MISTRAL: Family = Family {
    name: "mistral",
    about: "Mistral (Jiang 2023): Llama's decoder, with a sliding window in its first release",
    prefix: "model.",
    tensors: &[DECODER],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_MISTRAL, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let config = config(keys, Some(8))?;
        Ok(ModelConfig { sliding_window: window(keys)?, ..config })
    },
};

pub(super) static QWEN2: Family = Family {
    name: "qwen2",
    about: "Qwen2 (Yang 2024): Llama's decoder with biases on queries, keys and values",
    prefix: "model.",
    tensors: &[DECODER, QKV_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_QWEN2, inert: INERT_QWEN2, neutral: NEUTRAL_QWEN2, hub: true },
    config: |keys| {
        let config = config(keys, Some(32))?;
        let listed = layer_types(keys, config.layers, &[FULL, SLIDING])?;
        let slides = match &listed {
            Some(types) => types.contains(&SLIDING),
            None => {
                keys.flag("use_sliding_window", false)?
                    && keys.count("max_window_layers", 28)? < config.layers
            }
        };
        let sliding_window = if slides { window(keys)? } else { None };
        if slides && listed.is_some() && sliding_window.is_none() {
            return Err(keys.wrong("sliding_window", "a number of tokens: layer_types has sliding_attention"));
        }
        Ok(ModelConfig { attention_bias: true, sliding_window, ..config })
    },
};

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

#[rustfmt::skip]
const READ: [&str; 16] = [
    "model_type", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "num_hidden_layers",
    "intermediate_size", "vocab_size", "max_position_embeddings", "rms_norm_eps", "hidden_act", "is_causal",
    "rope_parameters", "rope_scaling", "rope_theta", "tie_word_embeddings",
];
const READ_LLAMA: [&str; 19] = and(&["attention_bias", "mlp_bias", "layer_types"]);
/// One that names kinds of layers is a Ministral by another name, and its `layer_types` must be null.
const READ_MISTRAL: [&str; 17] = and(&["sliding_window"]);
const READ_QWEN2: [&str; 20] =
    and(&["sliding_window", "use_sliding_window", "max_window_layers", "layer_types"]);
/// `pretraining_tp` splits products, which changes only the order of sums.
const INERT: &[&str] = &["attention_dropout", "pretraining_tp"];
/// Qwen2 has its biases whatever its file says.
const INERT_QWEN2: &[&str] = &["attention_dropout", "attention_bias"];
const NEUTRAL: &[Neutral] = &[("position_embedding_type", &["rope", "rotary"])];
const NEUTRAL_QWEN2: &[Neutral] = &[NEUTRAL[0], ("qkv_bias", &["true"])];

/// What all three read, and a family's own.
const fn and<const N: usize>(own: &[&'static str]) -> [&'static str; N] {
    let mut keys = [""; N];
    let mut at = 0;
    while at < N {
        keys[at] = if at < READ.len() { READ[at] } else { own[at - READ.len()] };
        at += 1;
    }
    keys
}

/// The kinds of the layers, if the file names them: one a layer, of the accepted ones.
fn layer_types<'a>(keys: &Keys<'a>, layers: usize, accepted: &[&str]) -> Result<Option<Vec<&'a str>>> {
    let types = keys.names("layer_types")?;
    // transformers 5 renamed this one.
    let known = |kind: &&str| accepted.contains(kind) || *kind == "attention";
    if types.as_ref().is_some_and(|types| types.len() != layers || !types.iter().all(known)) {
        return Err(keys.wrong("layer_types", format!("{layers} layers, each {}", accepted.join(" or "))));
    }
    Ok(types)
}

/// How many tokens back are visible: 4096 if the key is missing, unlimited if it is null.
fn window(keys: &Keys<'_>) -> Result<Option<usize>> {
    match (keys.has("sliding_window"), keys.is_present("sliding_window")) {
        (true, _) => keys.size("sliding_window").map(Some),
        (false, true) => Ok(None),
        (false, false) => Ok(Some(4096)),
    }
}

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

/// `default_kv`: key and value heads if the key is missing; as many as query heads if it is null.
fn config(keys: &Keys<'_>, default_kv: Option<usize>) -> Result<ModelConfig> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let default_kv = default_kv.filter(|_| !keys.is_present("num_key_value_heads")).unwrap_or(heads);
    let kv_heads = keys.size_or("num_key_value_heads", default_kv)?;
    if !heads.is_multiple_of(kv_heads) {
        return Err(keys.wrong("num_key_value_heads", format!("a divisor of num_attention_heads = {heads}")));
    }
    let d_h = if keys.has("head_dim") { keys.size("head_dim")? } else { keys.head_width(d, heads)? };
    if !d_h.is_multiple_of(2) {
        let key = if keys.has("head_dim") { "head_dim" } else { "hidden_size" };
        return Err(keys.wrong(key, "heads of even width (rotary positions rotate pairs of elements)"));
    }
    let positions = keys.size("max_position_embeddings")?;
    let settings = RopeSettings { d_h, positions, theta: "rope_theta", share: None };
    let (rope, notes) = Rope::read(keys, settings)?;
    let activation = Activation::find(keys.name("hidden_act", "silu")?)?;
    Ok(ModelConfig {
        layers: keys.layers("num_hidden_layers")?,
        heads,
        kv_heads,
        d_h,
        d,
        ffn: keys.size("intermediate_size")?,
        positions,
        vocab: keys.size("vocab_size")?,
        segments: 0,
        causal: keys.flag("is_causal", true)?,
        position: Position::Rotary(rope),
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
        notes,
    })
}
