//! Encoder-decoders: a source is read whole, a target is written token by token.
//!
//! What one is stands in a [`TranslatorConfig`]: an encoder as in [`super::encoder`], and a decoder of as wide layers
//! over it, each with causal attention of the target, attention of the target over what the encoder made of the source,
//! and a feed-forward network. With softmax it is the Transformer of Vaswani et al. 2017; with Luna the encoder is
//! Luna's, and the decoder is that of its authors ([`super::luna::LunaDecoder`]): causal Luna attention, then Luna
//! attention over the encoder's output, by a P that comes from the encoder.
//!
//! A [`Translator`] reads a source ([`Translator::start`]) and says the logits of a target token by token
//! ([`Translator::step`]); a [`Beam`] finds a target that is likely as a whole.

mod beam;
mod config;
mod network;
mod softmax;

pub use beam::{Beam, Found};
use config::MODEL_TYPE;
pub use config::TranslatorConfig;
pub use network::{Translator, TranslatorState};
