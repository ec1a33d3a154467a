//! What learns: a network that reads one sequence, or one that reads a source and writes a target.

use serde_json::{Map, Value};

use crate::error::Result;
use crate::network::EncoderConfig;
use crate::network::translator::{DecoderKind, TranslatorConfig};
use crate::train::loss::{IGNORED, Sums};
use crate::train::{Batch, Layout, Network, Pairs, Rates, Translator};

/// A network of either kind.
pub(in crate::study) enum Learner {
    One(Network),
    Two(Translator),
}

/// What it learns from at once.
pub(in crate::study) enum Examples {
    One(Batch),
    Two(Pairs),
}

impl Learner {
    /// The network for a task whose examples are pairs, or not; `decoder` is what was asked for its decoder.
    pub(super) fn new(config: &EncoderConfig, pairs: bool, decoder: Option<DecoderKind>) -> Result<Self> {
        if pairs {
            let mut config = TranslatorConfig::new(*config);
            config.decoder = decoder.unwrap_or(config.decoder);
            return Translator::new(&config).map(Self::Two);
        }
        Network::new(config).map(Self::One)
    }

    pub(in crate::study) fn layout(&self) -> &Layout {
        match self {
            Self::One(network) => network.layout(),
            Self::Two(translator) => translator.layout(),
        }
    }

    pub(super) fn draw(&self, seed: u64) -> Vec<f32> {
        match self {
            Self::One(network) => network.draw(seed),
            Self::Two(translator) => translator.draw(seed),
        }
    }

    /// How its decoder attends, if it has one.
    pub(in crate::study) fn decoder(&self) -> Option<&'static str> {
        match self {
            Self::One(_) => None,
            Self::Two(translator) => Some(translator.config().decoder.name()),
        }
    }

    /// Its configuration, as the keys of its file.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        match self {
            Self::One(network) => network.config().to_json(),
            Self::Two(translator) => translator.config().to_json(),
        }
    }

    pub(super) fn learn(
        &self,
        numbers: &[f32],
        gradients: &mut [f32],
        weight: f32,
        examples: &Examples,
        rates: Rates,
    ) -> Result<Sums> {
        match (self, examples) {
            (Self::One(network), Examples::One(batch)) => {
                network.learn(numbers, gradients, weight, batch, rates)
            }
            (Self::Two(translator), Examples::Two(pairs)) => {
                translator.learn(numbers, gradients, weight, pairs, rates)
            }
            _ => unreachable!("a task makes the examples of its network"),
        }
    }

    /// The sums over all batches.
    pub(in crate::study) fn evaluate(&self, numbers: &[f32], batches: &[Examples]) -> Result<Sums> {
        let mut all = Sums::default();
        for examples in batches {
            all += match (self, examples) {
                (Self::One(network), Examples::One(batch)) => network.evaluate(numbers, batch)?,
                (Self::Two(translator), Examples::Two(pairs)) => translator.evaluate(numbers, pairs)?,
                _ => unreachable!("a task makes the examples of its network"),
            };
        }
        Ok(all)
    }
}

impl Examples {
    /// How many targets count.
    pub(super) fn counted(&self) -> usize {
        let targets = match self {
            Self::One(batch) => &batch.targets,
            Self::Two(pairs) => &pairs.targets,
        };
        targets.iter().filter(|target| **target != IGNORED).count()
    }

    /// Rows that are learned from, of both sides.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::One(batch) => batch.rows.total(),
            Self::Two(pairs) => pairs.source_rows.total() + pairs.rows.total(),
        }
    }
}
