//! A network of either kind that a task trains, and the batches that it is given.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::name::Spec;
use crate::network::translator::{DecoderAttention, TranslatorConfig};
use crate::network::{EncoderConfig, Head, Mechanism};
use crate::task::examples::{Examples, Sequences};
use crate::task::judge::Answers;
use crate::task::{Interface, NetworkKind, NetworkOutput};
use crate::train::loss::Sums;
use crate::train::{Batch, Layout, Network, Pairs, Rates, Rows, Translator};

/// A network that a task trains.
pub(in crate::study) enum TaskNetwork {
    /// An encoder, or a decoder-only network.
    Single(Network),
    /// An encoder-decoder.
    Translator(Box<Translator>),
}

/// A batch as the network is given it.
pub(in crate::study) enum NetworkBatch {
    /// For an encoder, or a decoder-only network.
    Single(Batch),
    /// For an encoder-decoder.
    Pairs(Pairs),
}

/// Vocabulary, mask and head of a network for a task; the rest is to be set.
pub(super) fn config_of(interface: &Interface) -> EncoderConfig {
    let (causal, head) = match interface.prediction {
        NetworkOutput::Classes(classes) => (false, Head::Classes(classes)),
        NetworkOutput::PairClasses(classes) => (false, Head::Pairs(classes)),
        NetworkOutput::NextToken => (true, Head::Tokens),
        NetworkOutput::Text => (false, Head::None),
    };
    let base = EncoderConfig::new(Mechanism::Softmax, 1, 1, 1, 1);
    EncoderConfig { vocab: Some(interface.vocab), causal, head, ..base }
}

impl TaskNetwork {
    /// The network of a configuration; `decoder` is how the decoder of an encoder-decoder attends, if it was chosen.
    pub(super) fn new(config: &EncoderConfig, kind: NetworkKind, decoder: Option<&Spec>) -> Result<Self> {
        if kind == NetworkKind::EncoderDecoder {
            let mut config = TranslatorConfig::new(*config);
            if let Some(spec) = decoder {
                config.decoder = DecoderAttention::build(spec, &config.encoder)?;
            }
            return Translator::new(&config).map(|network| Self::Translator(Box::new(network)));
        }
        Network::new(config).map(Self::Single)
    }

    pub(in crate::study) fn layout(&self) -> &Layout {
        match self {
            Self::Single(network) => network.layout(),
            Self::Translator(translator) => translator.layout(),
        }
    }

    pub(in crate::study) fn encoder(&self) -> &EncoderConfig {
        match self {
            Self::Single(network) => network.config(),
            Self::Translator(translator) => &translator.config().encoder,
        }
    }

    /// What kind of network it is.
    pub(in crate::study) fn kind(&self) -> NetworkKind {
        match self {
            Self::Single(network) if network.config().causal => NetworkKind::Decoder,
            Self::Single(_) => NetworkKind::Encoder,
            Self::Translator(_) => NetworkKind::EncoderDecoder,
        }
    }

    /// The initial parameters: decided by the seed.
    pub(super) fn draw(&self, seed: u64) -> Vec<f32> {
        match self {
            Self::Single(network) => network.draw(seed),
            Self::Translator(translator) => translator.draw(seed),
        }
    }

    /// How its decoder attends, if it has one.
    pub(in crate::study) fn decoder(&self) -> Option<String> {
        match self {
            Self::Single(_) => None,
            Self::Translator(translator) => Some(translator.config().decoder_spec()),
        }
    }

    /// Its configuration, as the keys of its file.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        match self {
            Self::Single(network) => network.config().to_json(),
            Self::Translator(translator) => translator.config().to_json(),
        }
    }

    /// Adds the gradient of `weight` times the objective to `gradients`.
    pub(super) fn learn(
        &self,
        parameters: &[f32],
        gradients: &mut [f32],
        weight: f32,
        batch: &NetworkBatch,
        rates: Rates,
    ) -> Result<Sums> {
        match (self, batch) {
            (Self::Single(network), NetworkBatch::Single(batch)) => {
                network.learn(parameters, gradients, weight, batch, rates)
            }
            (Self::Translator(translator), NetworkBatch::Pairs(pairs)) => {
                translator.learn(parameters, gradients, weight, pairs, rates)
            }
            _ => Err(other_kind()),
        }
    }

    /// The answers to a batch.
    pub(in crate::study) fn evaluate(&self, parameters: &[f32], examples: Examples) -> Result<Answers> {
        let sums = match (self, NetworkBatch::from(examples)) {
            (Self::Single(network), NetworkBatch::Single(batch)) => network.evaluate(parameters, &batch)?,
            (Self::Translator(translator), NetworkBatch::Pairs(pairs)) => {
                translator.evaluate(parameters, &pairs)?
            }
            _ => return Err(other_kind()),
        };
        Ok(Answers { nats: sums.nats, correct: sums.correct, count: sums.count })
    }

    /// The answers to all of these batches.
    pub(super) fn evaluate_all(&self, parameters: &[f32], batches: Vec<Examples>) -> Result<Answers> {
        let mut all = Answers::default();
        for examples in batches {
            all += self.evaluate(parameters, examples)?;
        }
        Ok(all)
    }
}

fn other_kind() -> Error {
    Error::value("examples", "of another kind of network", "those of a task that trains this one")
}

impl From<Examples> for NetworkBatch {
    fn from(examples: Examples) -> Self {
        let rows = |sequences: &Sequences| Rows::of(sequences.lengths.iter().copied());
        match examples {
            Examples::Sequences { inputs, targets } => {
                Self::Single(Batch { rows: rows(&inputs), ids: inputs.tokens, targets })
            }
            Examples::Pairs { sources, inputs, targets } => Self::Pairs(Pairs {
                source_rows: rows(&sources),
                sources: sources.tokens,
                rows: rows(&inputs),
                inputs: inputs.tokens,
                targets,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::task;

    #[test]
    fn tasks_and_models_name_token_ids_alike() {
        assert_eq!(task::BYTES, crate::model::BYTES);
        assert_eq!(task::BYTES_FROM_ONE, crate::model::BYTES_FROM_ONE);
    }
}
