//! Causal Luna from the weights of its keys on, forward with saved activations and backward.

mod heads;
mod passes;
mod size;

pub use heads::{WeightedGradients, WeightedHeads};
pub(super) use passes::{Into, Weighted};
pub(super) use size::{cost, space, sums};
