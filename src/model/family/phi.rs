//! Phi-3 and Phi-4-mini: Llama's decoder with fused projections; Phi-1 and Phi-2: parallel residuals behind one norm.

use super::declaration::Family;
use super::decoder::{self, NEUTRAL, NORMS_BEFORE, Usual, and, sliding};
use super::known::Known;
use super::tensors::Dim::{D, Ffn, K, Q, Qkv, TwoFfn, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::model::config::{Arrangement, ModelConfig, Norm};
use crate::model::scaling::Scaling;

pub(super) static PHI3: Family = Family {
    name: "phi3",
    about: "Phi-3 (Abdin 2024), Phi-4-mini: causal decoder, fused projections, LongRoPE, partly rotated heads",
    prefixes: &["model."],
    tensors: &[FUSED, NORMS_BEFORE],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_PHI3, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let usual = Usual {
            eps: 1e-5,
            share: Some(("partial_rotary_factor", 1.0)),
            old_positions: Some(4096.0),
            ..decoder::LLAMA
        };
        let config = usual.config(keys)?;
        if !matches!(config.rope(0).map(|rope| &rope.scaling), Some(Scaling::None | Scaling::LongRope { .. }))
        {
            let key = if keys.has("rope_scaling") { "rope_scaling" } else { "rope_parameters" };
            return Err(keys.wrong(key, "the rope type default or longrope, as Phi-3 has them"));
        }
        let layers = vec![keys.has("sliding_window"); config.layers];
        Ok(ModelConfig { sliding: sliding(keys, layers, None, None)?, ..config })
    },
};

pub(super) static PHI: Family = Family {
    name: "phi",
    about: "Phi-1, Phi-2 (Gunasekar 2023): causal decoder, partly rotated heads, both blocks behind one LayerNorm",
    prefixes: &["model."],
    tensors: &[PHI_TENSORS],
    ignored: &[],
    input_first: false,
    known: Known { read: &READ_PHI, inert: INERT, neutral: NEUTRAL, hub: true },
    config: |keys| {
        let usual = Usual {
            activation: ("hidden_act", "gelu_new"),
            share: Some(("partial_rotary_factor", 0.5)),
            ..decoder::LLAMA
        };
        let config = usual.config(keys)?;
        Ok(ModelConfig {
            arrangement: Arrangement::Parallel,
            norm: Norm::Layer,
            eps: keys.number("layer_norm_eps", 1e-5)?,
            gated: false,
            ..config
        })
    },
};

const READ_PHI3: [&str; 19] =
    and(&["sliding_window", "partial_rotary_factor", "original_max_position_embeddings"]);
const READ_PHI: [&str; 18] = and(&["layer_norm_eps", "partial_rotary_factor"]);
const INERT: &[&str] = &["attention_dropout", "embd_pdrop", "resid_pdrop"];

const FUSED: &[Tensor] = &[
    tensor(Role::Token, "embed_tokens.weight", &[Vocab, D]),
    tensor(Role::Qkv, "layers.{}.self_attn.qkv_proj.weight", &[Qkv, D]),
    tensor(Role::O, "layers.{}.self_attn.o_proj.weight", &[D, Q]),
    tensor(Role::GateUp, "layers.{}.mlp.gate_up_proj.weight", &[TwoFfn, D]),
    tensor(Role::Down, "layers.{}.mlp.down_proj.weight", &[D, Ffn]),
    tensor(Role::FinalGain, "norm.weight", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
];

const PHI_TENSORS: &[Tensor] = &[
    tensor(Role::Token, "embed_tokens.weight", &[Vocab, D]),
    tensor(Role::AttnGain, "layers.{}.input_layernorm.weight", &[D]),
    tensor(Role::AttnShift, "layers.{}.input_layernorm.bias", &[D]),
    tensor(Role::Q, "layers.{}.self_attn.q_proj.weight", &[Q, D]),
    tensor(Role::QBias, "layers.{}.self_attn.q_proj.bias", &[Q]),
    tensor(Role::K, "layers.{}.self_attn.k_proj.weight", &[K, D]),
    tensor(Role::KBias, "layers.{}.self_attn.k_proj.bias", &[K]),
    tensor(Role::V, "layers.{}.self_attn.v_proj.weight", &[K, D]),
    tensor(Role::VBias, "layers.{}.self_attn.v_proj.bias", &[K]),
    tensor(Role::O, "layers.{}.self_attn.dense.weight", &[D, Q]),
    tensor(Role::OBias, "layers.{}.self_attn.dense.bias", &[D]),
    tensor(Role::Up, "layers.{}.mlp.fc1.weight", &[Ffn, D]),
    tensor(Role::UpBias, "layers.{}.mlp.fc1.bias", &[Ffn]),
    tensor(Role::Down, "layers.{}.mlp.fc2.weight", &[D, Ffn]),
    tensor(Role::DownBias, "layers.{}.mlp.fc2.bias", &[D]),
    tensor(Role::FinalGain, "final_layernorm.weight", &[D]),
    tensor(Role::FinalShift, "final_layernorm.bias", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
    tensor(Role::HeadOutBias, "lm_head.bias", &[Vocab]).need(Need::Optional),
];
