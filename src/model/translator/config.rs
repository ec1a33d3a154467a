//! What an encoder-decoder is, beside its weights.

use std::path::Path;

use serde_json::{Map, Value};

use crate::attention::luna_causal::Weight;
use crate::model::encoder::{self, EncoderConfig, Head, Mechanism, TRANSLATOR, linear, norm};
use crate::model::keys::Keys;
use crate::model::luna::Tensor;
use crate::{Error, Result};

/// The `model_type` of these files.
pub(crate) const MODEL_TYPE: &str = TRANSLATOR;

/// Sizes of an encoder-decoder.
///
/// One table of tokens serves source, target and output; encoder and decoder have a table of positions each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslatorConfig {
    /// The encoder: with a vocabulary, without a mask and a head; its attention is `softmax` or `luna` (P in a chain).
    /// The decoder has its width, heads, feed-forward width, activation, places of norms and positions.
    pub encoder: EncoderConfig,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// What weighs the rows of P in the causal attention of Luna's decoder; softmax has none and does not ask.
    pub weight: Weight,
}

impl TranslatorConfig {
    /// An encoder-decoder with as many layers on either side.
    pub fn new(encoder: EncoderConfig) -> Self {
        Self { encoder, decoder_layers: encoder.layers, weight: Weight::default() }
    }

    /// Whether its layers are Luna's.
    pub fn is_luna(&self) -> bool {
        matches!(self.encoder.mechanism, Mechanism::Luna { .. })
    }

    /// Refuses what no encoder-decoder can be.
    pub(crate) fn check(&self) -> Result<()> {
        self.encoder.check()?;
        let EncoderConfig { mechanism, vocab, causal, head, p_chain, .. } = self.encoder;
        if !matches!(mechanism, Mechanism::Softmax | Mechanism::Luna { .. }) {
            let what = "attention of an encoder-decoder";
            return Err(Error::value(what, mechanism.name(), "softmax, luna"));
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

    /// Every learned tensor: its name and its shape. The encoder's stand under `encoder.`, with the table of all tokens;
    /// the decoder's under `decoder.`, by the names of fairseq and of Luna's authors.
    pub fn tensors(&self) -> Vec<Tensor> {
        let EncoderConfig { d, ffn, positions, embedding_norm, pre_norm, mechanism, .. } = self.encoder;
        let mut all: Vec<Tensor> = self
            .encoder
            .tensors()
            .into_iter()
            .map(|(name, shape)| (format!("encoder.{name}"), shape))
            .collect();
        if positions > 0 {
            all.push(("decoder.embed_positions.weight".into(), vec![positions, d]));
        }
        if embedding_norm {
            norm(&mut all, "decoder.layernorm_embedding", d);
        }
        let own = match mechanism {
            Mechanism::Luna { l, tied } => Mechanism::LunaCausal { l, tied, weight: self.weight },
            other => other,
        };
        for layer in 0..self.decoder_layers {
            let layer = format!("decoder.layers.{layer}.");
            for projection in own.projections() {
                linear(&mut all, &format!("{layer}self_attn.{projection}"), d, d);
            }
            norm(&mut all, &format!("{layer}self_attn_layer_norm"), d);
            for projection in mechanism.projections() {
                linear(&mut all, &format!("{layer}encoder_attn.{projection}"), d, d);
            }
            norm(&mut all, &format!("{layer}encoder_attn_layer_norm"), d);
            if self.is_luna() {
                norm(&mut all, &format!("{layer}encoder_atten_proj_layer_norm"), d);
            }
            linear(&mut all, &format!("{layer}fc1"), ffn, d);
            linear(&mut all, &format!("{layer}fc2"), d, ffn);
            norm(&mut all, &format!("{layer}final_layer_norm"), d);
        }
        if pre_norm {
            norm(&mut all, "decoder.layer_norm", d);
            if self.is_luna() {
                norm(&mut all, "decoder.proj_layer_norm", d);
            }
        }
        all
    }

    /// How many numbers it learns.
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// The configuration as the keys of `config.json`, which [`parse`](Self::parse) reads: those of the encoder, and
    /// `decoder_layers` and `weight`; other keys may stand beside them.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = self.encoder.to_json();
        map.insert("model_type".into(), MODEL_TYPE.into());
        map.insert("decoder_layers".into(), self.decoder_layers.into());
        map.insert("weight".into(), self.weight.name().into());
        map
    }

    /// The configuration in the text of the `config.json` at `path` (named in errors, not read).
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Error::malformed(path, format!("not JSON: {error}"), "a JSON object"))?;
        let map = value.as_object().ok_or_else(|| {
            let layout = "a configuration, as {\"model_type\": \"luna-translator\", ...}";
            Error::malformed(path, "not a JSON object", layout)
        })?;
        let keys = Keys::new(path, map);
        let kind = keys.needed_name("model_type", || MODEL_TYPE.to_string())?;
        if kind != MODEL_TYPE {
            let (found, command) = match (kind, keys.name("head", "").unwrap_or("")) {
                (encoder::MODEL_TYPE, "tokens") => ("a language model", "; luna generate takes this one"),
                (encoder::MODEL_TYPE, "classes") => ("a classifier", "; luna evaluate takes this one"),
                _ => ("another model", ""),
            };
            let what = format!("{found} (model_type '{kind}')");
            let accepted = format!("an encoder-decoder (model_type '{MODEL_TYPE}'){command}");
            return Err(Error::malformed(path, what, accepted));
        }
        let weight = keys.name("weight", Weight::default().name())?;
        let weight = Weight::ALL.into_iter().find(|known| known.name() == weight);
        let config = Self {
            encoder: EncoderConfig::read_sizes(&keys)?,
            decoder_layers: keys.layers("decoder_layers")?,
            weight: weight.ok_or_else(|| keys.wrong("weight", "softplus or elu"))?,
        };
        let accepted = "what an encoder-decoder can be";
        config.check().map_err(|error| Error::malformed(path, error, accepted))?;
        Ok(config)
    }
}
