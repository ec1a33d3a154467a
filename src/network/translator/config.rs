//! The configuration of an encoder-decoder.

use std::path::Path;

use serde_json::{Map, Value};

use crate::attention::luna_causal::{Average, Packing, Weight};
use crate::layer::{DecoderAttention, DecoderKind, EncoderConfig, Head, Mechanism};
use crate::model::keys::Keys;
use crate::model::{MODEL_TYPE, TRANSLATOR, json};
use crate::{Error, Result};

/// Sizes of an encoder-decoder.
///
/// One table of tokens serves source, target and output; encoder and decoder have a table of positions each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslatorConfig {
    /// The encoder: with a vocabulary, without a mask and a head.
    /// The decoder has its width, heads, feed-forward width, activation, places of norms and positions.
    pub encoder: EncoderConfig,
    /// How the decoder attends.
    pub decoder: DecoderAttention,
    /// Layers of the decoder.
    pub decoder_layers: usize,
}

impl TranslatorConfig {
    /// An encoder-decoder with as many layers on either side: Luna's decoder where the encoder has a P for it.
    pub fn new(encoder: EncoderConfig) -> Self {
        Self { encoder, decoder: DecoderAttention::after(&encoder), decoder_layers: encoder.layers }
    }

    /// How the decoder attends, as `--decoder` names it.
    pub fn decoder_spec(&self) -> String {
        self.decoder.spec(&self.encoder)
    }

    /// Refuses what no encoder-decoder can be.
    pub(crate) fn check(&self) -> Result<()> {
        self.encoder.check()?;
        let EncoderConfig { mechanism, vocab, causal, head, .. } = self.encoder;
        if matches!(mechanism, Mechanism::LunaCausal { .. } | Mechanism::Materialised) {
            let what = "attention of an encoder-decoder";
            let accepted = "softmax, luna, linformer, linear, performer, local";
            return Err(Error::value(what, mechanism.name(), accepted));
        }
        if vocab.is_none() {
            return Err(Error::value("vocabulary of an encoder-decoder", "none", "1 token or more"));
        }
        if causal || head != Head::None {
            let what = "encoder of an encoder-decoder";
            return Err(Error::value(what, "one with a mask or a head", "one with neither"));
        }
        self.decoder.check(&self.encoder)?;
        if self.decoder_layers == 0 {
            return Err(Error::value("layers of a decoder", 0, "1 or more"));
        }
        Ok(())
    }

    /// The configuration as the keys of `config.json`, which [`parse`](Self::parse) reads: those of the encoder,
    /// `decoder`, `decoder_layers` and `weight`, and where they are not the default `decay`, `decoder_tied` and `decoder_l`
    /// (rows of a P of the decoder's own); other keys may stand beside them.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = self.encoder.to_json();
        map.insert("model_type".into(), TRANSLATOR.into());
        let DecoderAttention { kind, l, tied, packing: Packing { weight, average } } = self.decoder;
        map.insert("decoder".into(), kind.name().into());
        map.insert("decoder_layers".into(), self.decoder_layers.into());
        map.insert("weight".into(), weight.name().into());
        if let Some(decay) = average.name() {
            map.insert("decay".into(), decay.into());
        }
        if let Some(l) = l {
            map.insert("decoder_l".into(), l.into());
        }
        if tied != DecoderAttention::of(kind, &self.encoder).tied {
            map.insert("decoder_tied".into(), tied.into());
        }
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
        let average = Average::parse(keys.name("decay", "1")?);
        let encoder = EncoderConfig::read_sizes(&keys)?;
        let kind = keys.name("decoder", DecoderAttention::after(&encoder).kind.name())?;
        let kind = DecoderKind::find(kind)
            .map_err(|_| keys.wrong("decoder", DecoderKind::ALL.map(DecoderKind::name).join(", ")))?;
        let default = DecoderAttention::of(kind, &encoder);
        let decoder = DecoderAttention {
            kind,
            l: keys.has("decoder_l").then(|| keys.size("decoder_l")).transpose()?,
            tied: keys.flag("decoder_tied", default.tied)?,
            packing: Packing {
                weight: weight.ok_or_else(|| keys.wrong("weight", "softplus or elu"))?,
                average: average.ok_or_else(|| keys.wrong("decay", Average::ACCEPTED))?,
            },
        };
        let config = Self { encoder, decoder, decoder_layers: keys.layers("decoder_layers")? };
        let accepted = "what an encoder-decoder can be";
        config.check().map_err(|error| Error::malformed(path, error, accepted))?;
        Ok(config)
    }
}
