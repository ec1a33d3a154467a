//! Llama, Mistral, Qwen2 and Qwen3: decoders with rotary positions, `RMSNorm`, gated feed-forward networks and grouped
//! heads.

use super::declaration::Family;
use super::decoder::{
    self, ATTENTION_BIASES, FFN_BIASES, HEAD_NORMS, INERT, NEUTRAL, NORMS_BEFORE, PROJECTIONS, Usual, and,
    sliding, sliding_layers,
};
use super::known::{Known, Neutral};
use super::tensors::Dim::{K, Q};
use super::tensors::{Role, Tensor, tensor};
use crate::Result;
use crate::model::config::{ModelConfig, QueryKeyNorm, Sliding};
use crate::model::keys::Keys;

pub(super) static LLAMA: Family = Family {
    name: "llama",
    about: "Llama (Touvron 2023): causal decoder, rotary positions, RMSNorm, grouped key and value heads",
    prefixes: &["model."],
    tensors: &[PROJECTIONS, NORMS_BEFORE, ATTENTION_BIASES, FFN_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_LLAMA, inert: INERT_LLAMA, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let config = decoder::LLAMA.config(keys)?;
        if sliding_layers(keys, config.layers, |_| false)?.contains(&true) {
            return Err(keys.wrong("layer_types", "full_attention in every layer, as Llama has it"));
        }
        let attention_bias = keys.flag("attention_bias", false)?;
        Ok(ModelConfig { attention_bias, ffn_bias: keys.flag("mlp_bias", false)?, ..config })
    },
};

pub(super) static MISTRAL: Family = Family {
    name: "mistral",
    about: "Mistral (Jiang 2023): Llama's decoder, with a sliding window in its first release",
    prefixes: &["model."],
    tensors: &[PROJECTIONS, NORMS_BEFORE],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_MISTRAL, inert: INERT_LLAMA, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let config = Usual { kv_heads: Some(8), ..decoder::LLAMA }.config(keys)?;
        let without = keys.is_present("sliding_window") && !keys.has("sliding_window");
        let layers = vec![!without; config.layers];
        Ok(ModelConfig { sliding: sliding(keys, layers, Some(4096), None)?, ..config })
    },
};

pub(super) static QWEN2: Family = Family {
    name: "qwen2",
    about: "Qwen2 (Yang 2024): Llama's decoder with biases on queries, keys and values",
    prefixes: &["model."],
    tensors: &[PROJECTIONS, NORMS_BEFORE, QKV_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_QWEN2, inert: INERT_QWEN2, neutral: NEUTRAL_QWEN2, hub: true },
    config: |keys| {
        let config = Usual { kv_heads: Some(32), ..decoder::LLAMA }.config(keys)?;
        Ok(ModelConfig { attention_bias: true, sliding: late_layers(keys, config.layers)?, ..config })
    },
};

pub(super) static QWEN3: Family = Family {
    name: "qwen3",
    about: "Qwen3 (Yang 2025): Llama's decoder with an RMSNorm on each head's queries and keys",
    prefixes: &["model."],
    tensors: &[PROJECTIONS, NORMS_BEFORE, HEAD_NORMS, ATTENTION_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_QWEN3, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let config = Usual { kv_heads: Some(32), d_h: Some(128), ..decoder::LLAMA }.config(keys)?;
        Ok(ModelConfig {
            query_key_norm: Some(QueryKeyNorm::Head),
            attention_bias: keys.flag("attention_bias", false)?,
            sliding: late_layers(keys, config.layers)?,
            ..config
        })
    },
};

const READ_LLAMA: [&str; 19] = and(&["attention_bias", "mlp_bias", "layer_types"]);
/// One that names kinds of layers is a Ministral by another name, and its `layer_types` must be null.
const READ_MISTRAL: [&str; 17] = and(&["sliding_window"]);
const READ_QWEN2: [&str; 20] =
    and(&["sliding_window", "use_sliding_window", "max_window_layers", "layer_types"]);
const READ_QWEN3: [&str; 21] =
    and(&["sliding_window", "use_sliding_window", "max_window_layers", "layer_types", "attention_bias"]);
/// `pretraining_tp` splits products, which changes only the order of sums.
const INERT_LLAMA: &[&str] = &["attention_dropout", "pretraining_tp"];
/// Qwen2 has its biases whatever its file says.
const INERT_QWEN2: &[&str] = &["attention_dropout", "attention_bias"];
const NEUTRAL_QWEN2: &[Neutral] = &[NEUTRAL[0], ("qkv_bias", &["true"])];

/// The sliding layers of Qwen: those from `max_window_layers` on, if `use_sliding_window` is true.
fn late_layers(keys: &Keys<'_>, layers: usize) -> Result<Option<Sliding>> {
    let null = keys.is_present("sliding_window") && !keys.has("sliding_window");
    let slides = keys.flag("use_sliding_window", false)? && !null;
    let full = keys.count("max_window_layers", 28)?;
    let layers = sliding_layers(keys, layers, |layer| slides && layer >= full)?;
    if layers.contains(&true) && !slides {
        return Err(
            keys.wrong("layer_types", "full_attention only, or use_sliding_window and sliding_window")
        );
    }
    sliding(keys, layers, Some(4096), None)
}

const QKV_BIASES: &[Tensor] = &[
    tensor(Role::QBias, "layers.{}.self_attn.q_proj.bias", &[Q]),
    tensor(Role::KBias, "layers.{}.self_attn.k_proj.bias", &[K]),
    tensor(Role::VBias, "layers.{}.self_attn.v_proj.bias", &[K]),
];
