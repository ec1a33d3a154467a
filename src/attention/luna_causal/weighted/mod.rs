//! Causal Luna from the weights of its keys on, forward with saved activations and backward.

mod backward;
mod chunked;
mod forward;
mod heads;
mod size;

pub(super) use backward::Into;
pub(super) use chunked::Weighted;
pub use heads::{WeightedGradients, WeightedHeads};
pub(super) use size::{cost, space, sums};
