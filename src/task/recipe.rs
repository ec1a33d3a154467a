//! Sizes of a network and how it is trained: what a task's presets fill in.

use serde::Serialize;

use crate::name::Spec;

/// Sizes of a network and the settings of its training, as they are written beside a checkpoint.
///
/// [`Recipe::default`] is where every [`RecipePreset`] starts from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// Longest sequence, in tokens.
    pub n: usize,
    /// Width of the network.
    pub d: usize,
    /// Heads of a layer.
    pub heads: usize,
    /// Width inside the feed-forward networks.
    pub ffn: usize,
    /// Layers; of an encoder-decoder, on each side.
    pub layers: usize,
    /// Activation of the feed-forward networks.
    pub activation: &'static str,
    /// Whether layer norms are before blocks.
    pub pre_norm: bool,
    /// Whether Luna's P is passed from layer to layer.
    pub p_chain: bool,
    /// What the elements of the initial P are multiplied by.
    #[serde(skip_serializing_if = "is_one")]
    pub p_spread: f64,
    /// What the learning rate of P is of that of all others.
    #[serde(skip_serializing_if = "is_one")]
    pub rate_p: f64,
    /// How the decoder of an encoder-decoder attends, where it was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder: Option<Spec>,
    /// Optimiser steps.
    pub steps: usize,
    /// Sequences of a batch.
    pub batch: usize,
    /// Batches whose gradients are accumulated into one step.
    pub accumulate: usize,
    /// Learning rate after warm-up.
    pub rate: f64,
    /// How the learning rate changes.
    pub schedule: String,
    /// Warm-up steps.
    pub warm_up: usize,
    /// Adam's decay of the mean of gradients.
    pub beta_1: f64,
    /// Adam's decay of the mean of squared gradients.
    pub beta_2: f64,
    /// Adam's epsilon.
    pub adam_eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Maximum global gradient norm; 0 for none.
    pub clip: f64,
    /// Dropout rate.
    pub dropout: f64,
    /// Dropout rate of the weights of attention; checkpoints of versions without it have no such key.
    #[serde(skip_serializing_if = "is_zero")]
    pub attention_dropout: f64,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// Steps between evaluations and checkpoints.
    pub eval_every: usize,
    /// Maximum number of validation examples of one evaluation.
    pub eval_examples: usize,
    /// Share of the data in the validation set.
    pub validation: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            n: 1024,
            d: 128,
            heads: 4,
            ffn: 512,
            layers: 2,
            activation: "gelu",
            pre_norm: false,
            p_chain: true,
            p_spread: 1.0,
            rate_p: 1.0,
            decoder: None,
            steps: 1600,
            batch: 16,
            accumulate: 1,
            rate: 1e-3,
            schedule: "cosine".into(),
            warm_up: 100,
            beta_1: 0.9,
            beta_2: 0.999,
            adam_eps: 1e-8,
            weight_decay: 0.01,
            clip: 1.0,
            dropout: 0.0,
            attention_dropout: 0.0,
            label_smoothing: 0.0,
            eval_every: 200,
            eval_examples: 1000,
            validation: 0.1,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(rate: &f64) -> bool {
    *rate == 0.0
}

/// A recipe with a name, for one task.
#[derive(Debug)]
pub struct RecipePreset {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// What it changes of [`Recipe::default`].
    pub change: fn(&mut Recipe),
}
