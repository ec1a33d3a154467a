//! Training: losses with their gradients, the optimiser, schedules, checkpoints.
//!
//! A [`Network`] is an [`crate::network::Encoder`] in training, a [`Translator`] an encoder-decoder: one forward and one
//! backward pass over a batch ([`Network::learn`]), by the layers of [`crate::layer`], whose gradients are written by hand
//! beside their forward passes. Training gives the same numbers on any number of threads, whether it was interrupted and
//! resumed or not.
//!
//! # Why gradients are written by hand
//!
//! A framework's attention keeps n x n arrays, or O(n l d) ones for Luna and Linformer, and the training step of the
//! framework that was tried takes about twice torch's time on a CPU. The steps here take 0.91 to 0.95 times torch's time
//! with softmax and 0.89 to 1.12 with Luna (Xeon with AVX-512, two threads), 0.74 to 0.86 and 0.64 to 0.89 (EPYC), in less
//! memory; `benches/peers/train_step.py` repeats the comparison. The price is a backward pass for each layer, which the
//! tests compare with torch's autograd (`tests/golden/gradients`).

mod adam;
pub mod checkpoint;
mod layers;
pub mod loss;
mod network;
mod pairs;
pub mod sample;
pub mod schedule;
mod translator;

pub use adam::{Adam, AdamConfig, norm as gradient_norm};
pub use layers::Layers;
pub use network::{Batch, Network, Rates};
pub use translator::Translator;

pub use crate::layer::{Dropout, Entry, Layout, Rows};
pub use crate::network::translator::Pairs;
