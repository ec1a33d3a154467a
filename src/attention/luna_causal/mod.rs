//! Causal Luna (Ma et al. 2021, section 3.3) on given heads: pack by running means, unpack by softmax over the l rows.
//!
//! ```text
//! W_t      = w(k_t p^T / sqrt(d_h))                          in R^l, w = softplus or elu + 1
//! logits_t = q_t / sqrt(d_h) . [ (1/t) sum_{j<=t} k_j^T W_j ]   in R^l
//! out_t    = softmax(logits_t) . [ (1/t) sum_{j<=t} W_j^T v_j ]
//! ```
//! There is no softmax over time and nothing divides by the sum of the weights, only by t: rows of the matrix do not
//! sum to 1. This is the core of the authors' `LunarCausalAttention` (fairseq-apollo, `luna_attention.py`) without its
//! projections; there the keys of W have a projection of their own, so that `w` is an argument here.
//!
//! A [`Decay`] puts an exponential average in the place of both means: a variant of our own.
//!
//! [`State`] takes one token now and the next one when it is known; the reference implementation is that for all tokens.
//! [`Fused`](super::Fused) computes many heads at once, [`WeightedHeads`] the same from given weights on, which
//! come from keys of their own in the authors' layer. None of them holds an array of n x m or n x `d_h` x l; the authors'
//! parallel kernel holds the latter.

mod backward;
mod decay;
mod fused;
mod packing;
mod reference;
mod sequential;
mod state;
mod weight;
mod weighted;

pub use decay::Decay;
pub use fused::exact;
pub use packing::{Average, Packing};
pub(super) use reference::KIND;
pub use sequential::unpacking;
pub use state::State;
pub use weight::Weight;
pub use weighted::{WeightedGradients, WeightedHeads};
