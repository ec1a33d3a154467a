//! Whole encoders with any of the mechanisms whose forward pass is fused, weights drawn from a seed or given: what
//! attention costs inside a network.
//!
//! A [`Layer`] is the field's Transformer layer (attention, residual, `LayerNorm`, feed-forward network, residual,
//! `LayerNorm`; norms before blocks or behind them), or Luna's layer as its authors published it
//! ([`super::luna::LunaEncoderLayer`]), which carries the packed sequence P upward. An [`Encoder`] is a stack of them,
//! with embeddings of tokens and positions where its [`EncoderConfig`] asks for them. Forward passes only; no dropout.
//!
//! Layers work on a batch of b sequences of length n, shape (b, n, d), of which `real[i]` rows of the i-th are real and
//! the others padding on the right; no real row depends on padding, and what stands in padded rows afterwards means
//! nothing. What a pass costs ([`Layer::cost`], [`Layer::extra_bytes`]) is known in closed form, and
//! [`Layer::forward_counted`] counts it while it is done.
//!
//! A causal stack is a decoder-only language model: row t reads rows 0 to t. With a [`Head`] of tokens it also takes a
//! token at a time ([`Encoder::start`], [`Encoder::step`]). Luna's stacks pass one P on or have one in each layer
//! ([`EncoderConfig::p_chain`]). Folders hold what an encoder is and its tensors ([`Encoder::open`],
//! [`EncoderConfig::to_json`]).

mod attention;
mod config;
mod cost;
mod decode;
mod draw;
mod file;
mod head;
mod layer;
mod luna;
mod mechanism;
mod memory;
mod stack;
mod tensors;

pub(super) use attention::{Attention, Batch};
pub(crate) use config::EPS;
pub use config::EncoderConfig;
pub use decode::DecodingState;
pub use file::{BYTES, BYTES_FROM_ONE};
pub(super) use file::{MODEL_TYPE, TRANSLATOR, first_byte, foreign};
pub use head::Head;
pub use layer::{Layer, Stream};
pub use mechanism::{ALL, Mechanism, MechanismKind};
pub use stack::Encoder;
pub(super) use tensors::{linear, norm};
