//! `OLMo` 2 and 3: Llama's decoder with norms after its blocks only, and on all queries and all keys.

use super::declaration::Family;
use super::decoder::{
    self, ATTENTION_BIASES, INERT, NEUTRAL, PROJECTIONS, Usual, and, sliding, sliding_layers,
};
use super::known::Known;
use super::tensors::Dim::{D, K, Q};
use super::tensors::{Role, Tensor, tensor};
use crate::model::config::{ModelConfig, QueryKeyNorm};
use crate::model::rope::{Rope, RopeSettings};

pub(super) static OLMO2: Family = Family {
    name: "olmo2",
    about: "OLMo 2 (2025): causal decoder, rotary positions, RMSNorm after each block and on queries and keys",
    prefixes: &["model."],
    tensors: &[PROJECTIONS, NORMS, ATTENTION_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_OLMO2, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let config = Usual { eps: 1e-5, ..decoder::LLAMA }.config(keys)?;
        let attention_bias = keys.flag("attention_bias", false)?;
        Ok(ModelConfig { query_key_norm: Some(QueryKeyNorm::All), attention_bias, ..config })
    },
};

pub(super) static OLMO3: Family = Family {
    name: "olmo3",
    about: "OLMo 3 (2025): OLMo 2 with three of four layers sliding",
    prefixes: &["model."],
    tensors: &[PROJECTIONS, NORMS, ATTENTION_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_OLMO3, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let usual = Usual { eps: 1e-5, theta: ("rope_theta", 5e5), ..decoder::LLAMA };
        let sizes = usual.sizes(keys)?;
        let full = usual.rope(sizes.d_h, sizes.positions);
        // As in transformers, rope_theta is that of full layers.
        let ([rope, local], notes) = Rope::read_kinds(keys, full, RopeSettings { theta: None, ..full })?;
        let config = usual.with(keys, sizes, rope, notes)?;
        let layers = sliding_layers(keys, config.layers, |layer| (layer + 1) % 4 != 0)?;
        Ok(ModelConfig {
            query_key_norm: Some(QueryKeyNorm::All),
            attention_bias: keys.flag("attention_bias", false)?,
            sliding: sliding(keys, layers, Some(4096), Some(local))?,
            ..config
        })
    },
};

const READ_OLMO2: [&str; 17] = and(&["attention_bias"]);
const READ_OLMO3: [&str; 19] = and(&["attention_bias", "sliding_window", "layer_types"]);

const NORMS: &[Tensor] = &[
    tensor(Role::QGain, "layers.{}.self_attn.q_norm.weight", &[Q]),
    tensor(Role::KGain, "layers.{}.self_attn.k_norm.weight", &[K]),
    tensor(Role::AttnOutGain, "layers.{}.post_attention_layernorm.weight", &[D]),
    tensor(Role::FfnOutGain, "layers.{}.post_feedforward_layernorm.weight", &[D]),
];
