//! The flags of `luna train`.

use std::path::PathBuf;

use clap::Args;

use crate::name::List;
use crate::sweep::Shard;

/// What is trained, on what, and how. Flags that are not set come from the preset.
#[derive(Args, Clone, Debug, Default)]
#[allow(missing_docs)] // the flags' help says what they are
pub struct TrainConfig {
    /// Task to train on, with parameters as in listops:max=300 (see luna list task)
    #[arg(long, value_name = "SPEC")]
    pub task: String,
    /// File of the training and validation sets, for tasks that do not generate their data (see luna list task)
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// File of the test set, evaluated once after training
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// Attention mechanism of the layers: softmax, luna:l=16,tied=true, luna-causal:l=16, linformer:l=64, linear, performer:l=64, local:l=64
    #[arg(long, alias = "attention", value_name = "SPEC", conflicts_with = "compare")]
    pub mechanism: Option<String>,
    /// Several mechanisms to compare, trained on the same batches
    #[arg(long, value_name = "SPECS")]
    pub compare: Option<String>,
    /// Number of seeds, from --seed on: runs of each mechanism [default: 1]
    #[arg(long, value_name = "N")]
    pub seeds: Option<usize>,
    /// Whether to continue the interrupted run in the folder.
    #[arg(skip)]
    pub resume: bool,
    /// The part of the trainings that are run; all of them if none.
    #[arg(skip)]
    pub shard: Option<Shard>,
    /// Named sizes and settings (see luna list recipe)
    #[arg(long, value_name = "NAME", help_heading = "Network and training")]
    pub preset: Option<String>,
    /// Maximum sequence length; longer sequences are cut
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub seq_len: Option<usize>,
    /// Width of the network
    #[arg(long, value_name = "D", help_heading = "Network and training")]
    pub d: Option<usize>,
    /// Number of heads of a layer
    #[arg(long, alias = "heads", value_name = "H", help_heading = "Network and training")]
    pub num_heads: Option<usize>,
    /// Width of the feed-forward networks [default: 4 D]
    #[arg(long, value_name = "F", help_heading = "Network and training")]
    pub ffn: Option<usize>,
    /// Number of layers
    #[arg(long, alias = "layers", value_name = "L", help_heading = "Network and training")]
    pub num_layers: Option<usize>,
    /// Activation of the feed-forward networks: gelu, relu, silu
    #[arg(long, value_name = "NAME", help_heading = "Network and training")]
    pub activation: Option<String>,
    /// Layer norms before blocks (default: after them)
    #[arg(long, help_heading = "Network and training")]
    pub pre_norm: bool,
    /// Whether Luna's P is passed from layer to layer: on, or off (each layer learns its own)
    #[arg(long, value_name = "ON|OFF", help_heading = "Network and training")]
    pub p_chain: Option<String>,
    /// Factor on the elements of Luna's initial P, as the layers first read it: its spread [default: 1]
    #[arg(long, value_name = "FACTOR", help_heading = "Network and training")]
    pub p_spread: Option<f64>,
    /// Factor on the learning rate of Luna's P and of its norm [default: 1]
    #[arg(long, value_name = "FACTOR", help_heading = "Network and training")]
    pub rate_p: Option<f64>,
    /// Attention of the decoder of translation, of the target and over the source: softmax (both), luna (both), luna-self (Luna of the target only), luna-source (Luna over the source only), with parameters as in luna:weight=elu (see luna list decoder) [default: luna with a luna encoder and --p-chain on, else softmax]
    #[arg(long, value_name = "SPEC", help_heading = "Network and training")]
    pub decoder: Option<String>,
    /// Optimiser steps
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub steps: Option<usize>,
    /// Sequences of a batch (of translation: as many pairs as B times --seq-len tokens hold)
    #[arg(long, value_name = "B", help_heading = "Network and training")]
    pub batch: Option<usize>,
    /// Batches whose gradients are accumulated into one step
    #[arg(long, value_name = "K", help_heading = "Network and training")]
    pub accumulate: Option<usize>,
    /// Learning rate after warm-up; of several (0.001,0.002) all are trained, and each mechanism is compared at its best by validation
    #[arg(long, value_name = "RATE,...", help_heading = "Network and training")]
    pub rate: Option<List<f64>>,
    /// Learning rate schedule: cosine, inverse-sqrt, linear, constant
    #[arg(long, value_name = "NAME", help_heading = "Network and training")]
    pub schedule: Option<String>,
    /// Warm-up steps
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub warm_up: Option<usize>,
    /// Decoupled weight decay; 0 for plain Adam
    #[arg(long, value_name = "DECAY", help_heading = "Network and training")]
    pub weight_decay: Option<f64>,
    /// Adam's decay rate of squared gradients
    #[arg(long = "beta-2", value_name = "BETA", help_heading = "Network and training")]
    pub beta_2: Option<f64>,
    /// Maximum global gradient norm; 0 for no clipping
    #[arg(long, value_name = "NORM", help_heading = "Network and training")]
    pub clip: Option<f64>,
    /// Dropout rate of embeddings, blocks and feed-forward networks (not of attention weights)
    #[arg(long, value_name = "SHARE", help_heading = "Network and training")]
    pub dropout: Option<f64>,
    /// Dropout rate of attention weights: of softmax, of Luna's pack and unpack, and of the weights and shares of causal Luna [default: 0]
    #[arg(long, value_name = "SHARE", help_heading = "Network and training")]
    pub attention_dropout: Option<f64>,
    /// Label smoothing: the share of each target that is spread over all classes or tokens
    #[arg(long, value_name = "SHARE", help_heading = "Network and training")]
    pub label_smoothing: Option<f64>,
    /// Share of the data in the validation set: drawn by the seed from every class, or pair by pair; of a text its end
    #[arg(long, value_name = "SHARE", help_heading = "Network and training")]
    pub validation: Option<f64>,
    /// Steps between evaluations (and checkpoints)
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub eval_every: Option<usize>,
    /// Maximum number of validation examples of an evaluation: drawn by the seed; of a text, windows spread over all of it
    #[arg(long, value_name = "N", help_heading = "Network and training")]
    pub eval_examples: Option<usize>,
    /// Folder of the cells and their checkpoints.
    #[arg(skip)]
    pub folder: Option<PathBuf>,
}
