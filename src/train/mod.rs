//! Training: losses with their gradients, the optimiser, schedules, checkpoints.
//!
//! A [`Network`] is an [`crate::network::Encoder`] in training, a [`Translator`] an encoder-decoder: one forward and one
//! backward pass over a batch ([`Network::learn`]), by the layers of [`crate::layer`], whose gradients are written by hand
//! beside their forward passes. Training gives the same numbers on any number of threads, whether it was interrupted and
//! resumed or not.

mod adam;
pub mod checkpoint;
mod layers;
pub mod loss;
mod network;
pub mod sample;
pub mod schedule;
mod translator;

pub use adam::{Adam, AdamConfig, norm as gradient_norm};
pub use layers::Layers;
pub use network::{Batch, Network, Rates};
pub use translator::Translator;

pub use crate::layer::{Dropout, Entry, Layout, Rows};
pub use crate::network::translator::Pairs;
