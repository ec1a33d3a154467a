//! Vision Transformers: encoders of images cut into patches, `ViT`, `DeiT`, `DINOv2` and the vision tower of CLIP.

use super::declaration::Family;
use super::known::Known;
use super::tensors::Dim::{Channels, D, Ffn, K, Of, Patch, Positions, Q, TwoFfn};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::Result;
use crate::layer::Activation;
use crate::model::config::{Image, ModelConfig, Position, Sizes};
use crate::model::keys::Keys;

pub(super) static VIT: Family = Family {
    name: "vit",
    about: "ViT (Dosovitskiy 2020): encoder of images, learned positions of patches, LayerNorm before each block",
    example: "google/vit-base-patch16-224",
    causal: false,
    prefixes: &["vit."],
    tensors: &[EMBEDDINGS, ATTENTION, NORMS, FFN, FINAL],
    ignored: &["pooler.*", "decoder.*", "embeddings.mask_token"],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: &[], hub: true },
    config: |keys| vit(keys, &USUAL),
};

pub(super) static DEIT: Family = Family {
    name: "deit",
    about: "DeiT (Touvron 2020): ViT with a second learned vector before the patches, for a teacher's answer",
    example: "facebook/deit-base-distilled-patch16-224",
    causal: false,
    prefixes: &["deit."],
    tensors: &[EMBEDDINGS, DISTILLATION, ATTENTION, NORMS, FFN, FINAL],
    ignored: &[
        "pooler.*",
        "decoder.*",
        "embeddings.mask_token",
        "cls_classifier.*",
        "distillation_classifier.*",
    ],
    input_first: false,
    known: Known { read: READ, inert: INERT, neutral: &[], hub: true },
    config: |keys| vit(keys, &Usual { before: 2, ..USUAL }),
};

pub(super) static DINOV2: Family = Family {
    name: "dinov2",
    about: "DINOv2 (Oquab 2023): ViT trained without labels, blocks scaled by learned vectors",
    example: "facebook/dinov2-base",
    causal: false,
    prefixes: &["dinov2."],
    tensors: &[EMBEDDINGS, ATTENTION, DINO_LAYERS, FINAL],
    ignored: &["embeddings.mask_token"],
    input_first: false,
    known: Known { read: READ_DINO, inert: INERT_DINO, neutral: &[], hub: true },
    config: |keys| {
        let gated = keys.flag("use_swiglu_ffn", false)?;
        let ratio = keys.size_or("mlp_ratio", 4)?;
        let config = config(keys, &Usual { patch: 14, eps: 1e-6, ..USUAL }, |d| {
            // Two thirds, rounded up to a multiple of 8.
            Ok(if gated { (ratio * d * 2 / 3).div_ceil(8) * 8 } else { ratio * d })
        })?;
        let activation = if gated { Activation::Silu } else { config.activation };
        Ok(ModelConfig { gated, activation, attention_bias: keys.flag("qkv_bias", true)?, ..config })
    },
};

pub(super) static CLIP: Family = Family {
    name: "clip_vision_model",
    about: "CLIP (Radford 2021), its vision tower: ViT trained with texts, a norm on the embeddings",
    example: "openai/clip-vit-base-patch32",
    causal: false,
    prefixes: &["vision_model."],
    tensors: &[CLIP_TENSORS],
    ignored: &["post_layernorm.*", "visual_projection.*", "text_model.*", "text_projection.*", "logit_scale"],
    input_first: false,
    known: Known { read: READ_CLIP, inert: INERT_CLIP, neutral: &[], hub: true },
    config: |keys| {
        let usual = Usual { patch: 32, eps: 1e-5, activation: "quick_gelu", ..USUAL };
        config(keys, &usual, |_| keys.size("intermediate_size"))
    },
};

#[rustfmt::skip]
const READ: &[&str] = &[
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "layer_norm_eps",
    "hidden_act", "image_size", "patch_size", "num_channels", "qkv_bias",
];
#[rustfmt::skip]
const READ_DINO: &[&str] = &[
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "mlp_ratio", "use_swiglu_ffn",
    "layer_norm_eps", "hidden_act", "image_size", "patch_size", "num_channels", "qkv_bias",
];
#[rustfmt::skip]
const READ_CLIP: &[&str] = &[
    "model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "layer_norm_eps",
    "hidden_act", "image_size", "patch_size", "num_channels",
];
#[rustfmt::skip]
const INERT: &[&str] = &[
    "hidden_dropout_prob", "attention_probs_dropout_prob", "encoder_stride", "pooler_act", "pooler_output_size",
    "tie_word_embeddings",
];
#[rustfmt::skip]
const INERT_DINO: &[&str] = &[
    "hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate", "layerscale_value", "use_mask_token",
    "apply_layernorm", "reshape_hidden_states", "out_features", "out_indices", "stage_names", "tie_word_embeddings",
];
const INERT_CLIP: &[&str] = &["attention_dropout", "dropout", "projection_dim", "tie_word_embeddings"];

const IF_BIAS: Need = Need::When(|config| config.attention_bias);
const IF_PLAIN: Need = Need::When(|config| !config.gated);
const IF_GATED: Need = Need::When(|config| config.gated);

const EMBEDDINGS: &[Tensor] = &[
    tensor(Role::Class, "embeddings.cls_token", &[Of(1), Of(1), D]),
    tensor(Role::Position, "embeddings.position_embeddings", &[Of(1), Positions, D]),
    tensor(Role::Patch, "embeddings.patch_embeddings.projection.weight", &[D, Channels, Patch, Patch]),
    tensor(Role::PatchBias, "embeddings.patch_embeddings.projection.bias", &[D]),
];

const DISTILLATION: &[Tensor] =
    &[tensor(Role::Distillation, "embeddings.distillation_token", &[Of(1), Of(1), D])];

const ATTENTION: &[Tensor] = &[
    tensor(Role::Q, "encoder.layer.{}.attention.attention.query.weight", &[Q, D]),
    tensor(Role::QBias, "encoder.layer.{}.attention.attention.query.bias", &[Q]).need(IF_BIAS),
    tensor(Role::K, "encoder.layer.{}.attention.attention.key.weight", &[K, D]),
    tensor(Role::KBias, "encoder.layer.{}.attention.attention.key.bias", &[K]).need(IF_BIAS),
    tensor(Role::V, "encoder.layer.{}.attention.attention.value.weight", &[K, D]),
    tensor(Role::VBias, "encoder.layer.{}.attention.attention.value.bias", &[K]).need(IF_BIAS),
    tensor(Role::O, "encoder.layer.{}.attention.output.dense.weight", &[D, Q]),
    tensor(Role::OBias, "encoder.layer.{}.attention.output.dense.bias", &[D]),
];

const NORMS: &[Tensor] = &[
    tensor(Role::AttnGain, "encoder.layer.{}.layernorm_before.weight", &[D]),
    tensor(Role::AttnShift, "encoder.layer.{}.layernorm_before.bias", &[D]),
    tensor(Role::FfnGain, "encoder.layer.{}.layernorm_after.weight", &[D]),
    tensor(Role::FfnShift, "encoder.layer.{}.layernorm_after.bias", &[D]),
];

const FFN: &[Tensor] = &[
    tensor(Role::Up, "encoder.layer.{}.intermediate.dense.weight", &[Ffn, D]),
    tensor(Role::UpBias, "encoder.layer.{}.intermediate.dense.bias", &[Ffn]),
    tensor(Role::Down, "encoder.layer.{}.output.dense.weight", &[D, Ffn]),
    tensor(Role::DownBias, "encoder.layer.{}.output.dense.bias", &[D]),
];

const DINO_LAYERS: &[Tensor] = &[
    tensor(Role::AttnGain, "encoder.layer.{}.norm1.weight", &[D]),
    tensor(Role::AttnShift, "encoder.layer.{}.norm1.bias", &[D]),
    tensor(Role::AttnScale, "encoder.layer.{}.layer_scale1.lambda1", &[D]),
    tensor(Role::FfnGain, "encoder.layer.{}.norm2.weight", &[D]),
    tensor(Role::FfnShift, "encoder.layer.{}.norm2.bias", &[D]),
    tensor(Role::FfnScale, "encoder.layer.{}.layer_scale2.lambda1", &[D]),
    tensor(Role::Up, "encoder.layer.{}.mlp.fc1.weight", &[Ffn, D]).need(IF_PLAIN),
    tensor(Role::UpBias, "encoder.layer.{}.mlp.fc1.bias", &[Ffn]).need(IF_PLAIN),
    tensor(Role::Down, "encoder.layer.{}.mlp.fc2.weight", &[D, Ffn]).need(IF_PLAIN),
    tensor(Role::DownBias, "encoder.layer.{}.mlp.fc2.bias", &[D]).need(IF_PLAIN),
    tensor(Role::GateUp, "encoder.layer.{}.mlp.weights_in.weight", &[TwoFfn, D]).need(IF_GATED),
    tensor(Role::GateUpBias, "encoder.layer.{}.mlp.weights_in.bias", &[TwoFfn]).need(IF_GATED),
    tensor(Role::Down, "encoder.layer.{}.mlp.weights_out.weight", &[D, Ffn]).need(IF_GATED),
    tensor(Role::DownBias, "encoder.layer.{}.mlp.weights_out.bias", &[D]).need(IF_GATED),
];

const FINAL: &[Tensor] =
    &[tensor(Role::FinalGain, "layernorm.weight", &[D]), tensor(Role::FinalShift, "layernorm.bias", &[D])];

/// The last norm is over the class only, and no part of the hidden states.
const CLIP_TENSORS: &[Tensor] = &[
    tensor(Role::Class, "embeddings.class_embedding", &[D]),
    tensor(Role::Position, "embeddings.position_embedding.weight", &[Positions, D]),
    tensor(Role::Patch, "embeddings.patch_embedding.weight", &[D, Channels, Patch, Patch]),
    tensor(Role::EmbedGain, "pre_layrnorm.weight", &[D]),
    tensor(Role::EmbedShift, "pre_layrnorm.bias", &[D]),
    tensor(Role::AttnGain, "encoder.layers.{}.layer_norm1.weight", &[D]),
    tensor(Role::AttnShift, "encoder.layers.{}.layer_norm1.bias", &[D]),
    tensor(Role::Q, "encoder.layers.{}.self_attn.q_proj.weight", &[Q, D]),
    tensor(Role::QBias, "encoder.layers.{}.self_attn.q_proj.bias", &[Q]),
    tensor(Role::K, "encoder.layers.{}.self_attn.k_proj.weight", &[K, D]),
    tensor(Role::KBias, "encoder.layers.{}.self_attn.k_proj.bias", &[K]),
    tensor(Role::V, "encoder.layers.{}.self_attn.v_proj.weight", &[K, D]),
    tensor(Role::VBias, "encoder.layers.{}.self_attn.v_proj.bias", &[K]),
    tensor(Role::O, "encoder.layers.{}.self_attn.out_proj.weight", &[D, Q]),
    tensor(Role::OBias, "encoder.layers.{}.self_attn.out_proj.bias", &[D]),
    tensor(Role::FfnGain, "encoder.layers.{}.layer_norm2.weight", &[D]),
    tensor(Role::FfnShift, "encoder.layers.{}.layer_norm2.bias", &[D]),
    tensor(Role::Up, "encoder.layers.{}.mlp.fc1.weight", &[Ffn, D]),
    tensor(Role::UpBias, "encoder.layers.{}.mlp.fc1.bias", &[Ffn]),
    tensor(Role::Down, "encoder.layers.{}.mlp.fc2.weight", &[D, Ffn]),
    tensor(Role::DownBias, "encoder.layers.{}.mlp.fc2.bias", &[D]),
];

/// What differs between the families.
struct Usual {
    /// Pixels along a side of a patch, where the file has none.
    patch: usize,
    /// Learned vectors before the patches.
    before: usize,
    /// The activation, where the file has none.
    activation: &'static str,
    /// What is added to a norm's variance, where the file has none.
    eps: f64,
}

const USUAL: Usual = Usual { patch: 16, before: 1, activation: "gelu", eps: 1e-12 };

fn vit(keys: &Keys<'_>, usual: &Usual) -> Result<ModelConfig> {
    let config = config(keys, usual, |_| keys.size("intermediate_size"))?;
    Ok(ModelConfig { attention_bias: keys.flag("qkv_bias", true)?, ..config })
}

/// The configuration of all of them, with feed-forward networks of this width.
fn config(keys: &Keys<'_>, usual: &Usual, ffn: impl Fn(usize) -> Result<usize>) -> Result<ModelConfig> {
    let (d, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let image = Image {
        channels: keys.size_or("num_channels", 3)?,
        side: keys.size_or("image_size", 224)?,
        patch: keys.size_or("patch_size", usual.patch)?,
        before: usual.before,
    };
    if image.patch > image.side {
        return Err(keys.wrong("patch_size", format!("at most image_size = {}", image.side)));
    }
    let sizes = Sizes {
        layers: keys.layers("num_hidden_layers")?,
        heads,
        d_h: keys.head_width(d, heads)?,
        d,
        ffn: ffn(d)?,
        positions: image.positions(),
        vocab: 0,
    };
    Ok(ModelConfig {
        causal: false,
        eps: keys.number("layer_norm_eps", usual.eps)?,
        activation: Activation::find(keys.name("hidden_act", usual.activation)?)?,
        image: Some(image),
        ..ModelConfig::new(sizes, Position::Learned { offset: 0, padding: None })
    })
}
