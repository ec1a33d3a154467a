//! Networks that learn: the twins of [`crate::model::encoder`], their gradients, the optimiser, checkpoints.
//!
//! A [`Network`] computes what an [`crate::model::encoder::Encoder`] of the same configuration and tensors computes, and the
//! gradient of every tensor. Each block has a forward and a backward pass, written by hand and side by side: attention
//! by the fused passes of [`crate::attention::backward`], which hold nothing of n x m; the rest as matrix products and
//! work on rows. What a backward pass needs is kept by the forward pass where it cannot be had again cheaply. Sequences
//! of a batch stand one behind the other, so that padding costs nothing.
//!
//! Sums are taken in an order that the shapes alone decide, and dropout's masks are functions of seed, step and place:
//! the same run on any number of threads, stopped and resumed or not, has the same numbers.
//!
//! # Why gradients are written by hand
//!
//! A framework's attention keeps n x n arrays, or O(n l d) ones for Luna and Linformer, and the training step of the
//! framework that was tried takes about twice torch's time on a CPU. The steps here take 0.91 to 0.95 times torch's time
//! with softmax and 0.89 to 1.12 with Luna (Xeon with AVX-512, two threads), 0.74 to 0.86 and 0.64 to 0.89 (EPYC), in less
//! memory; `benches/peers/train_step.py` repeats the comparison. The price is a backward pass for each layer, which the
//! tests compare with torch's autograd (`tests/golden/gradients`).

mod adam;
mod attention;
pub mod checkpoint;
mod columns;
mod core;
mod decoder;
mod draw;
mod dropout;
mod embedding;
mod feed_forward;
mod layer;
mod layers;
mod linear;
pub mod loss;
mod luna;
mod luna_causal;
mod memory;
mod network;
mod norm;
mod pairs;
mod parameters;
mod residual;
mod rows;
pub mod sample;
pub mod schedule;
mod translator;
mod trunk;

pub use adam::{Adam, AdamConfig, norm as gradient_norm};
pub use dropout::Dropout;
pub use layers::Layers;
pub use network::{Batch, Network, Rates};
pub use parameters::{Entry, Layout};
pub use rows::Rows;
pub use translator::{Pairs, Translator};

use crate::model::encoder::EPS;
