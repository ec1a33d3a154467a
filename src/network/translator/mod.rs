//! Encoder-decoders: a source is read whole, a target is written token by token.
//!
//! A [`TranslatorConfig`] has an encoder as in [`crate::network`], and a decoder of as wide layers, each with causal
//! attention of the target, attention of the target over the encoder's output, and a feed-forward network. Either attention
//! is softmax or Luna's ([`DecoderAttention`]), after any encoder: with softmax twice it is the Transformer of Vaswani et
//! al. 2017, with Luna twice after a Luna encoder, whose P it reads, the network of Luna's authors.
//!
//! A [`Translator`] gives the logits of a whole target ([`Translator::logits`]), or decodes token by token, several targets
//! at once ([`Translator::start`], [`Translator::step_many`]); a [`Beam`] searches for a probable target.

mod beam;
mod config;
mod file;
mod graph;
#[allow(clippy::module_inception)] // it defines the translator
mod translator;

pub use crate::layer::{DecoderAttention, DecoderKind};
pub use beam::{Beam, Found, Writer};
pub use config::TranslatorConfig;
pub use graph::Pairs;
pub(crate) use graph::TranslatorGraph;
pub use translator::{Translator, TranslatorState};
