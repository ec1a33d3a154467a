//! GPT-OSS: Llama's decoder with a sink in each head, every other layer sliding, and experts in the place of its
//! feed-forward networks.

use super::declaration::Family;
use super::decoder::{self, ATTENTION_BIASES, NEUTRAL, NORMS_BEFORE, Usual, and, sliding, sliding_layers};
use super::known::Known;
use super::tensors::Dim::{self, D, Ffn, Heads, K, Q, TwoFfn, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::model::config::{Experts, ModelConfig};
use crate::model::keys::Keys;
use crate::model::rope::Rope;
use crate::model::scaling::Scaling;
use crate::model::weights::DEQUANTIZED;

pub(super) static GPT_OSS: Family = Family {
    name: "gpt_oss",
    about: "GPT-OSS (OpenAI 2025): causal decoder, sinks, every other layer sliding, a mixture of experts, YaRN",
    prefixes: &["model."],
    tensors: &[TENSORS, NORMS_BEFORE, ATTENTION_BIASES],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ, inert: INERT, neutral: NEUTRAL, hub: true },
    config,
};

const READ: [&str; 25] = and(&[
    "attention_bias",
    "sliding_window",
    "layer_types",
    "num_local_experts",
    "num_experts",
    "num_experts_per_tok",
    "swiglu_alpha",
    "swiglu_limit",
    "quantization_config",
]);
/// The older files of the hub hold some of their settings twice.
#[rustfmt::skip]
const INERT: &[&str] = &[
    "attention_dropout", "router_aux_loss_coef", "output_router_logits", "experts_per_token", "initial_context_length",
];

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "embed_tokens.weight", &[Vocab, D]),
    tensor(Role::Q, "layers.{}.self_attn.q_proj.weight", &[Q, D]),
    tensor(Role::K, "layers.{}.self_attn.k_proj.weight", &[K, D]),
    tensor(Role::V, "layers.{}.self_attn.v_proj.weight", &[K, D]),
    tensor(Role::O, "layers.{}.self_attn.o_proj.weight", &[D, Q]),
    tensor(Role::Sinks, "layers.{}.self_attn.sinks", &[Heads]),
    tensor(Role::Router, "layers.{}.mlp.router.weight", &[Dim::Experts, D]),
    tensor(Role::RouterBias, "layers.{}.mlp.router.bias", &[Dim::Experts]),
    // Unlike all other weights, those of the experts are stored (in, out).
    tensor(Role::GateUp, "layers.{}.mlp.experts.gate_up_proj", &[Dim::Experts, D, TwoFfn]),
    tensor(Role::GateUpBias, "layers.{}.mlp.experts.gate_up_proj_bias", &[Dim::Experts, TwoFfn]),
    tensor(Role::Down, "layers.{}.mlp.experts.down_proj", &[Dim::Experts, Ffn, D]),
    tensor(Role::DownBias, "layers.{}.mlp.experts.down_proj_bias", &[Dim::Experts, D]),
    tensor(Role::FinalGain, "norm.weight", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    if keys.has("quantization_config") {
        return Err(keys.wrong("quantization_config", DEQUANTIZED));
    }
    let usual = Usual {
        kv_heads: Some(8),
        d_h: Some(64),
        eps: 1e-5,
        theta: ("rope_theta", 150_000.0),
        ..decoder::LLAMA
    };
    let sizes = usual.sizes(keys)?;
    let (mut rope, notes) = Rope::read(keys, usual.rope(sizes.d_h, sizes.positions))?;
    let scaled = keys.section("rope_scaling")?.is_some_and(|section| section.given().next().is_some());
    if !scaled && !keys.has("rope_parameters") {
        let size = 1.0 + 0.1 * 32.0_f64.ln();
        let old_positions = 4096.0;
        rope.scaling =
            Scaling::Yarn { factor: 32.0, fast: 32.0, slow: 1.0, whole: false, old_positions, size };
    }
    let layers = sliding_layers(keys, sizes.layers, |layer| layer % 2 == 0)?;
    let count = keys.size_or(keys.either("num_local_experts", "num_experts"), 128)?;
    let chosen = keys.size_or("num_experts_per_tok", 4)?;
    if chosen > count {
        return Err(keys.wrong("num_experts_per_tok", format!("at most num_local_experts = {count}")));
    }
    Ok(ModelConfig {
        attention_bias: keys.flag("attention_bias", true)?,
        sliding: sliding(keys, layers, Some(128), None)?,
        experts: Some(Experts {
            count,
            chosen,
            limit: keys.positive_or("swiglu_limit", 7.0)?,
            alpha: keys.number("swiglu_alpha", 1.702)?,
        }),
        ..usual.with(keys, sizes, rope, notes)?
    })
}
