//! Networks of the layers in [`crate::layer`], with their weights: encoders, decoder-only networks, encoder-decoders
//! ([`translator`]).
//!
//! An [`Encoder`] has embeddings of tokens and positions where its [`EncoderConfig`] asks for them, layers of one
//! [`Mechanism`], and a [`Head`]. A causal one is a decoder-only language model: row t reads rows 0 to t, and with a head of
//! tokens it also decodes a token at a time ([`Encoder::start`], [`Encoder::step`]). Luna's layers hand one P on, or have one
//! each ([`EncoderConfig::p_chain`]). Folders hold a configuration and its tensors ([`Encoder::open`],
//! [`EncoderConfig::to_json`]), weights are drawn from a seed, or given. Training is in [`crate::train`].
//!
//! [`Network::open`] takes the folder of any model whose heads can be watched: a model with softmax attention, or an encoder
//! of Luna, whose heads come with the weights by which they pack and unpack.

mod classifier;
mod decode;
mod encoder;
mod file;
mod head;
mod learned_p;
mod memory;
mod p_entries;
pub mod translator;
mod trunk;
mod watched;

pub(crate) use classifier::Classifier;
pub use decode::DecodingState;
pub(crate) use encoder::EncoderGraph;
pub use encoder::{Encoder, Layer, Stream};
pub(crate) use head::means;
pub(crate) use memory::LOGIT_ROWS;
pub(crate) use p_entries::{of_p, spread_p};
pub use watched::{Network, Reader};

pub use crate::layer::{ALL, EncoderConfig, Head, Mechanism, MechanismKind};
