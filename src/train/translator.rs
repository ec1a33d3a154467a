//! An encoder-decoder: its loss over a batch of pairs, and the gradients of its parameters.

use super::loss::{self, Sums};
use super::network::Rates;
use crate::layer::{Backward, Layout, Pass, Tape};
use crate::network::translator::{Pairs, TranslatorConfig, TranslatorGraph};
use crate::{Error, Result};

/// An encoder-decoder in training: [`network::translator::Translator`](crate::network::translator::Translator) is the same
/// in use.
#[derive(Clone, Debug)]
pub struct Translator {
    graph: TranslatorGraph,
}

impl Translator {
    /// The network of a configuration.
    pub fn new(config: &TranslatorConfig) -> Result<Self> {
        let graph = TranslatorGraph::new(config)?;
        graph.check_trainable()?;
        Ok(Self { graph })
    }

    /// Initial weights: they follow from the seed, tensor by tensor.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        self.graph.layout.draw(seed)
    }

    /// Its configuration.
    pub fn config(&self) -> &TranslatorConfig {
        &self.graph.config
    }

    /// Its tensors.
    pub fn layout(&self) -> &Layout {
        &self.graph.layout
    }

    /// The sums over a batch.
    pub fn evaluate(&self, weights: &[f32], pairs: &Pairs) -> Result<Sums> {
        self.check(pairs)?;
        let pass = Pass::new(weights);
        let (x, _) = self.graph.forward(pass, pairs, Some(&mut Tape::forgetting()))?;
        Ok(loss::of_tokens(pass, None, self.graph.tokens, x.view(), &pairs.targets, 0.0).0)
    }

    /// As [`evaluate`](Self::evaluate), and adds the gradient of `weight` times the objective's sum to `gradients`.
    pub fn learn(
        &self,
        weights: &[f32],
        gradients: &mut [f32],
        weight: f32,
        pairs: &Pairs,
        rates: Rates,
    ) -> Result<Sums> {
        self.check(pairs)?;
        let pass = Pass { dropout: rates.dropout, ..Pass::new(weights) };
        let mut tape = Tape::default();
        let (x, source) = self.graph.forward(pass, pairs, Some(&mut tape))?;
        let mut back = Backward { pass, gradients };
        let learn = Some((&mut *back.gradients, weight));
        let smoothing = rates.smoothing as f32;
        let (sums, dx) = loss::of_tokens(pass, learn, self.graph.tokens, x.view(), &pairs.targets, smoothing);
        drop(x);
        if let Some(dx) = dx {
            self.graph.backward(&mut back, &mut tape, pairs, source, dx)?;
        }
        Ok(sums)
    }

    fn check(&self, pairs: &Pairs) -> Result<()> {
        let Pairs { sources, source_rows, inputs, rows, targets } = pairs;
        let found = [sources.len(), inputs.len(), targets.len(), rows.sequences()];
        let expected = [source_rows.total(), rows.total(), rows.total(), source_rows.sequences()];
        if found != expected {
            return Err(Error::Shape {
                what: "sources, inputs, targets and pairs of a batch".into(),
                found: found.to_vec(),
                expected: format!("{expected:?}"),
            });
        }
        loss::check(targets, self.graph.config.encoder.vocab.unwrap_or(0))
    }
}
