//! The layers of networks, each once: forward, with a tape also backward, its tensors, and how they are initialised.
//!
//! A layer holds no weights: it declares its tensors in a [`Layout`] and finds them again in the one vector that a
//! [`Pass`] carries. `forward` with a [`Tape`] saves the activations that the gradients need, without one it is inference;
//! `backward` takes them back. Both are written by hand, side by side: attention by the fused passes of
//! [`crate::attention`], which hold nothing of n x m, the rest as matrix products and work on rows.
//!
//! The sequences of a batch stand one after the other without padding ([`Rows`]). Sums are taken in an order that follows
//! from the shapes alone, and dropout's masks are functions of seed, step and place: the same numbers on any number of
//! threads, whether a run was interrupted and resumed or not.
//!
//! An [`EncoderConfig`] says which layers a network has and what they cost ([`EncoderConfig::layer_cost`]).

mod activation;
mod attention;
mod config;
mod cost;
mod decays;
mod decoder_attention;
mod decoder_layer;
mod draw;
mod dropout;
pub(crate) mod embedding;
mod encoder_layer;
mod factors;
mod feed_forward;
mod heads;
mod key_value;
mod linear;
mod luna;
mod luna_causal;
mod mechanism;
mod memory;
mod norm;
mod pass;
mod residual;
mod rows;
mod weights;

pub use self::luna::{LunaAttention, Packed, Streams};
pub use activation::Activation;
pub use attention::Context;
pub(crate) use config::EPS;
pub use config::{EncoderConfig, Head};
pub use decoder_attention::{DecoderAttention, DecoderKind};
pub use decoder_layer::DecoderLayer;
pub(crate) use decoder_layer::{DecoderLayerState, SITES as DECODER_SITES};
pub use dropout::Dropout;
pub(crate) use encoder_layer::LayerState;
pub use encoder_layer::{EncoderLayer, Stream};
pub use factors::Factors;
pub(crate) use factors::WatchedHead;
pub(crate) use feed_forward::FeedForward;
pub(crate) use linear::Linear;
pub use luna_causal::{CausalLunaAttention, CausalState};
pub use mechanism::{ALL, Mechanism, MechanismKind};
pub(crate) use memory::StepElements;
pub(crate) use norm::LayerNorm;
pub use pass::{Backward, Pass, Tape};
pub use rows::Rows;
pub(crate) use rows::{repeated, repeated_backward};
pub(crate) use weights::Matrix;
pub use weights::{Entry, Init, Layout};
