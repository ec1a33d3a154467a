//! What an encoder-decoder is, beside its weights.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::attention::luna_causal::Weight;
use crate::model::encoder::{self, EncoderConfig, Head, Mechanism, TRANSLATOR, linear, norm};
use crate::model::json;
use crate::model::keys::Keys;
use crate::model::luna::Tensor;
use crate::name;
use crate::{Error, Result};

/// The `model_type` of these files.
pub(crate) const MODEL_TYPE: &str = TRANSLATOR;

/// How the layers of a decoder read the target and the source.
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
                "causal softmax attention, and softmax attention over the source: behind any encoder"
            }
            Self::Luna => {
                "causal Luna attention, and Luna attention over the source by the encoder's P: behind luna with --p-chain on"
            }
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Result<Self> {
        name::find("decoder", name, &Self::ALL, |kind| kind.name()).copied()
    }

    /// Luna's behind a Luna encoder whose P is carried upward, softmax behind any other.
    fn behind(encoder: &EncoderConfig) -> Self {
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
        let decoder = DecoderKind::behind(&encoder);
        Self { encoder, decoder, decoder_layers: encoder.layers, weight: Weight::default() }
    }

    /// Whether the layers of its decoder are Luna's.
    pub fn is_luna(&self) -> bool {
        self.decoder == DecoderKind::Luna
    }

    /// What the layers of a softmax decoder are: the encoder's, with exact attention.
    pub(crate) fn exact(&self) -> EncoderConfig {
        EncoderConfig { mechanism: Mechanism::Softmax, p_chain: true, ..self.encoder }
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
            let what = format!("attention of a decoder behind an encoder with '{}'", mechanism.name());
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

    /// Every learned tensor: its name and its shape. The encoder's stand under `encoder.`, with the table of all tokens;
    /// the decoder's under `decoder.`, by the names of fairseq and of Luna's authors.
    pub fn tensors(&self) -> Vec<Tensor> {
        let EncoderConfig { d, ffn, positions, embedding_norm, pre_norm, mechanism, .. } = self.encoder;
        let cross = if self.is_luna() { mechanism } else { Mechanism::Softmax };
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
        let own = match cross {
            Mechanism::Luna { l, tied } => Mechanism::LunaCausal { l, tied, weight: self.weight },
            other => other,
        };
        for layer in 0..self.decoder_layers {
            let layer = format!("decoder.layers.{layer}.");
            for projection in own.projections() {
                linear(&mut all, &format!("{layer}self_attn.{projection}"), d, d);
            }
            norm(&mut all, &format!("{layer}self_attn_layer_norm"), d);
            for projection in cross.projections() {
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

    /// What is drawn and not learned, and belongs in a file with the rest: the features of a Performer encoder.
    pub fn features(&self) -> Vec<Tensor> {
        let prefixed = |(name, shape): Tensor| (format!("encoder.{name}"), shape);
        self.encoder.features().into_iter().map(prefixed).collect()
    }

    /// How many numbers it learns.
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// The configuration as the keys of `config.json`, which [`parse`](Self::parse) reads: those of the encoder, and
    /// `decoder`, `decoder_layers` and `weight`; other keys may stand beside them.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = self.encoder.to_json();
        map.insert("model_type".into(), MODEL_TYPE.into());
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
        let encoder = EncoderConfig::read_sizes(&keys)?;
        let decoder = keys.name("decoder", DecoderKind::behind(&encoder).name())?;
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
