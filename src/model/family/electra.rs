//! ELECTRA: BERT's encoder after a token table of its own width, with the masked-token head of its generator.

use super::bert::{self, EMBEDDINGS, LAYERS, NORMS_AFTER, WITH_HEAD, encoder, is_causal};
use super::declaration::Family;
use super::known::{ABSOLUTE, Known, joined};
use super::tensors::Dim::{D, Embedding, Vocab};
use super::tensors::{Need, Role, Tensor, tensor};
use crate::layer::Activation;
use crate::model::config::ModelConfig;

pub(super) static ELECTRA: Family = Family {
    name: "electra",
    about: "ELECTRA (Clark 2020): BERT's encoder, trained to find replaced tokens",
    example: "google/electra-base-generator",
    causal: false,
    prefixes: &["electra."],
    tensors: &[EMBEDDINGS, PROJECTION, LAYERS, NORMS_AFTER, HEAD],
    ignored: &["discriminator_predictions.*", "sequence_summary.*"],
    input_first: false,
    known: Known { read: &READ, inert: INERT, neutral: &[ABSOLUTE], hub: true },
    config: |keys| {
        Ok(ModelConfig {
            embedding: keys.size_or("embedding_size", 128)?,
            causal: is_causal(keys)?,
            // The generator's head is written with gelu, whatever the encoder's activation.
            head_activation: Activation::Gelu,
            ..encoder(keys, "gelu", None)?
        })
    },
};

const READ: [&str; 14] = joined(&bert::READ, &["embedding_size"]);
#[rustfmt::skip]
const INERT: &[&str] = &[
    "hidden_dropout_prob", "attention_probs_dropout_prob", "summary_activation", "summary_last_dropout", "summary_type",
    "summary_use_proj",
];

const IF_NARROW: Need = Need::When(|config| config.embedding != config.d);

const PROJECTION: &[Tensor] = &[
    tensor(Role::EmbedProject, "embeddings_project.weight", &[D, Embedding]).need(IF_NARROW),
    tensor(Role::EmbedProjectBias, "embeddings_project.bias", &[D]).need(IF_NARROW),
];

const HEAD: &[Tensor] = &[
    tensor(Role::HeadDense, "generator_predictions.dense.weight", &[Embedding, D]).need(Need::Optional),
    tensor(Role::HeadDenseBias, "generator_predictions.dense.bias", &[Embedding]).need(WITH_HEAD),
    tensor(Role::HeadGain, "generator_predictions.LayerNorm.weight", &[Embedding]).need(WITH_HEAD),
    tensor(Role::HeadShift, "generator_predictions.LayerNorm.bias", &[Embedding]).need(WITH_HEAD),
    tensor(Role::HeadOut, "generator_lm_head.weight", &[Vocab, Embedding]).need(Need::Optional),
    tensor(Role::HeadOutBias, "generator_lm_head.bias", &[Vocab]).need(WITH_HEAD),
];
