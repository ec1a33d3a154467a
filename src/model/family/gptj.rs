//! GPT-J: a decoder whose attention and feed-forward network read the same norm, with neighbours rotated in a part of each
//! head.

use super::declaration::Family;
use super::gpt2::sizes;
use super::known::Known;
use super::tensors::Dim::{D, Ffn, Q, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{Arrangement, ModelConfig, Position};
use crate::model::keys::Keys;
use crate::model::rope::Rope;
use crate::model::scaling::Scaling;

pub(super) static GPTJ: Family = Family {
    name: "gptj",
    about: "GPT-J (Wang 2021): causal decoder, partly rotated heads in pairs of neighbours, both blocks behind one norm",
    example: "EleutherAI/gpt-j-6b",
    causal: true,
    prefixes: &["transformer."],
    tensors: &[TENSORS],
    ignored: &["h.*.attn.bias", "h.*.attn.masked_bias"],
    input_first: false,
    known: Known {
        read: READ,
        inert: INERT,
        neutral: &[
            ("position_embedding_type", &["rope", "rotary"]),
            ("rotary", &["true"]),
            ("scale_attn_weights", &["true"]),
        ],
        hub: true,
    },
    config,
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "n_embd", "hidden_size", "n_head", "num_attention_heads", "n_layer", "num_hidden_layers", "n_inner",
    "n_positions", "max_position_embeddings", "vocab_size", "rotary_dim", "activation_function", "layer_norm_epsilon",
    "is_causal", "tie_word_embeddings",
];
#[rustfmt::skip]
const INERT: &[&str] = &[
    "n_ctx", "attn_pdrop", "embd_pdrop", "resid_pdrop", "summary_activation", "summary_first_dropout",
    "summary_proj_to_labels", "summary_type", "summary_use_proj",
];

const TENSORS: &[Tensor] = &[
    tensor(Role::Token, "wte.weight", &[Vocab, D]),
    tensor(Role::AttnGain, "h.{}.ln_1.weight", &[D]),
    tensor(Role::AttnShift, "h.{}.ln_1.bias", &[D]),
    tensor(Role::Q, "h.{}.attn.q_proj.weight", &[Q, D]),
    tensor(Role::K, "h.{}.attn.k_proj.weight", &[Q, D]),
    tensor(Role::V, "h.{}.attn.v_proj.weight", &[Q, D]),
    tensor(Role::O, "h.{}.attn.out_proj.weight", &[D, Q]),
    tensor(Role::Up, "h.{}.mlp.fc_in.weight", &[Ffn, D]),
    tensor(Role::UpBias, "h.{}.mlp.fc_in.bias", &[Ffn]),
    tensor(Role::Down, "h.{}.mlp.fc_out.weight", &[D, Ffn]),
    tensor(Role::DownBias, "h.{}.mlp.fc_out.bias", &[D]),
    tensor(Role::FinalGain, "ln_f.weight", &[D]),
    tensor(Role::FinalShift, "ln_f.bias", &[D]),
    tensor(Role::HeadOut, "lm_head.weight", &[Vocab, D]).need(Need::Optional),
    tensor(Role::HeadOutBias, "lm_head.bias", &[Vocab]).need(Need::With(Role::HeadOut)),
];

fn config(keys: &Keys<'_>) -> Result<ModelConfig> {
    let sizes = sizes(keys)?;
    let width = keys.size_or("rotary_dim", 64)?;
    if width > sizes.d_h || !width.is_multiple_of(2) {
        return Err(
            keys.wrong("rotary_dim", format!("an even number of the {} elements of a head", sizes.d_h))
        );
    }
    let rope = Rope { width, theta: 10_000.0, scaling: Scaling::None, interleaved: true };
    Ok(ModelConfig {
        causal: keys.flag("is_causal", true)?,
        arrangement: Arrangement::Parallel,
        eps: keys.number("layer_norm_epsilon", 1e-5)?,
        activation: Activation::find(keys.name("activation_function", "gelu_new")?)?,
        tied: keys.flag("tie_word_embeddings", false)?,
        ..ModelConfig::new(sizes, Position::Rotary(rope))
    })
}
