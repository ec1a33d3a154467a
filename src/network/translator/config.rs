//! The configuration of an encoder-decoder.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::attention::luna_causal::Weight;
use crate::layer::{EncoderConfig, Head, Mechanism};
use crate::model::keys::Keys;
use crate::model::{MODEL_TYPE, TRANSLATOR, json};
use crate::name;
use crate::{Error, Result};

/// The attention of a decoder's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecoderKind {
    /// Causal softmax attention, then softmax attention over the source, which any encoder may have read.
    Softmax,
    /// Causal Luna attention, then Luna attention over the source, by the P of a Luna encoder.
    Luna,
}

impl DecoderKind {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Softmax, Self::Luna];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Luna => "luna",
        }
    }

    /// What it is, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Softmax => {
                "causal softmax attention, and softmax attention over the source: after any encoder"
            }
            Self::Luna => {
                "causal Luna attention, and Luna attention over the source by the encoder's P: after luna with --p-chain on"
            }
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Result<Self> {
        name::find("decoder", name, &Self::ALL, |kind| kind.name()).copied()
    }

    /// Luna's after a Luna encoder whose P is handed from layer to layer, softmax after any other.
    fn after(encoder: &EncoderConfig) -> Self {
        let luna = matches!(encoder.mechanism, Mechanism::Luna { .. }) && encoder.p_chain;
        if luna { Self::Luna } else { Self::Softmax }
    }
}

/// Sizes of an encoder-decoder.
///
/// One table of tokens serves source, target and output; encoder and decoder have a table of positions each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslatorConfig {
    /// The encoder: with a vocabulary, without a mask and a head.
    /// The decoder has its width, heads, feed-forward width, activation, places of norms and positions.
    pub encoder: EncoderConfig,
    /// How the decoder attends. `luna` needs a `luna` encoder with P in a chain.
    pub decoder: DecoderKind,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// What weighs the rows of P in the causal attention of Luna's decoder; softmax has none and does not ask.
    pub weight: Weight,
}

impl TranslatorConfig {
    /// An encoder-decoder with as many layers on either side: Luna's decoder where the encoder has a P for it.
    pub fn new(encoder: EncoderConfig) -> Self {
        let decoder = DecoderKind::after(&encoder);
        Self { encoder, decoder, decoder_layers: encoder.layers, weight: Weight::default() }
    }

    /// Whether the layers of its decoder are Luna's.
    pub fn is_luna(&self) -> bool {
        self.decoder == DecoderKind::Luna
    }

    /// Refuses what no encoder-decoder can be.
    pub(crate) fn check(&self) -> Result<()> {
        self.encoder.check()?;
        let EncoderConfig { mechanism, vocab, causal, head, p_chain, .. } = self.encoder;
        if matches!(mechanism, Mechanism::LunaCausal { .. } | Mechanism::Materialised) {
            let what = "attention of an encoder-decoder";
            let accepted = "softmax, luna, linformer, linear, performer, local";
            return Err(Error::value(what, mechanism.name(), accepted));
        }
        if self.is_luna() && !matches!(mechanism, Mechanism::Luna { .. }) {
            let what = format!("attention of a decoder after an encoder with '{}'", mechanism.name());
            return Err(Error::value(what, "luna", "softmax; luna reads the P of a luna encoder"));
        }
        if vocab.is_none() {
            return Err(Error::value("vocabulary of an encoder-decoder", "none", "1 token or more"));
        }
        if causal || head != Head::None {
            let what = "encoder of an encoder-decoder";
            return Err(Error::value(what, "one with a mask or a head", "one with neither"));
        }
        if self.is_luna() && !p_chain {
            let accepted = "one P, which the encoder hands to the decoder";
            return Err(Error::value("P of an encoder-decoder", "one in each layer", accepted));
        }
        if self.decoder_layers == 0 {
            return Err(Error::value("layers of a decoder", 0, "1 or more"));
        }
        Ok(())
    }

    /// The configuration as the keys of `config.json`, which [`parse`](Self::parse) reads: those of the encoder, and
    /// `decoder`, `decoder_layers` and `weight`; other keys may stand beside them.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = self.encoder.to_json();
        map.insert("model_type".into(), TRANSLATOR.into());
        map.insert("decoder".into(), self.decoder.name().into());
        map.insert("decoder_layers".into(), self.decoder_layers.into());
        map.insert("weight".into(), self.weight.name().into());
        map
    }

    /// The configuration in the text of the `config.json` at `path` (named in errors, not read).
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let layout = "a configuration, as {\"model_type\": \"luna-translator\", ...}";
        let map = json::object(path, text, layout)?;
        let keys = Keys::new(path, &map);
        let kind = keys.needed_name("model_type", || TRANSLATOR.to_string())?;
        if kind != TRANSLATOR {
            let (found, command) = match (kind, keys.name("head", "").unwrap_or("")) {
                (MODEL_TYPE, "tokens") => ("a language model", "; luna generate takes this one"),
                (MODEL_TYPE, "classes") => ("a classifier", "; luna evaluate takes this one"),
                _ => ("another model", ""),
            };
            let what = format!("{found} (model_type '{kind}')");
            let accepted = format!("an encoder-decoder (model_type '{TRANSLATOR}'){command}");
            return Err(Error::malformed(path, what, accepted));
        }
        let weight = keys.name("weight", Weight::default().name())?;
        let weight = Weight::ALL.into_iter().find(|known| known.name() == weight);
        let encoder = EncoderConfig::read_sizes(&keys)?;
        let decoder = keys.name("decoder", DecoderKind::after(&encoder).name())?;
        let config = Self {
            encoder,
            decoder: DecoderKind::find(decoder).map_err(|_| keys.wrong("decoder", "softmax or luna"))?,
            decoder_layers: keys.layers("decoder_layers")?,
            weight: weight.ok_or_else(|| keys.wrong("weight", "softplus or elu"))?,
        };
        let accepted = "what an encoder-decoder can be";
        config.check().map_err(|error| Error::malformed(path, error, accepted))?;
        Ok(config)
    }
}
