//! Encoder-decoders: a source is read whole, a target is written token by token.
//!
//! What one is stands in a [`TranslatorConfig`]: an encoder as in [`super::encoder`], and a decoder of as wide layers
//! over it, each with causal attention of the target, attention of the target over what the encoder made of the source,
//! and a feed-forward network. With softmax it is the Transformer of Vaswani et al. 2017; with Luna the encoder is
//! Luna's, and the decoder is that of its authors ([`super::luna::LunaDecoder`]): causal Luna attention, then Luna
//! attention over the encoder's output, by a P that comes from the encoder. A softmax decoder reads what any encoder made.
//!
//! A [`Translator`] gives the logits of a whole target ([`Translator::logits`]), or takes one token by token, of several
//! targets at once ([`Translator::start`], [`Translator::step_many`]); a [`Beam`] finds a target that is likely as a whole.

mod beam;
mod config;
mod decode;
mod file;
mod softmax;
mod stack;

pub use beam::{Beam, Found, Writer};
pub(crate) use config::MODEL_TYPE;
pub use config::{DecoderKind, TranslatorConfig};
pub use decode::TranslatorState;
pub use stack::Translator;
