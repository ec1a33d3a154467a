//! A network that reads one sequence: its loss over a batch, and the gradients of its parameters.

use ndarray::Array2;

use super::loss::{self, Sums};
use super::pairs;
use crate::layer::{
    Backward, Dropout, EncoderConfig, Head, Layout, Mechanism, Pass, Rows, Stream, Streams, Tape,
};
use crate::network::{Classifier, EncoderGraph};
use crate::{Error, Result};

/// Sequences with their targets.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Tokens, sequence after sequence.
    pub ids: Vec<u32>,
    /// Which of them belong to which sequence.
    pub rows: Rows,
    /// One class for every sequence, or for every two, or one token for every row ([`loss::IGNORED`] for none).
    pub targets: Vec<u32>,
}

/// Regularisation of a training step.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Dropout.
    pub dropout: Dropout,
    /// Label smoothing, 0 to below 1.
    pub smoothing: f64,
}

impl Rates {
    /// None.
    pub const OFF: Self = Self { dropout: Dropout::OFF, smoothing: 0.0 };
}

/// A classifier or a language model in training: [`Encoder`](crate::network::Encoder) is the same in use.
///
/// Its weights are one vector ([`Network::layout`]), and so are their gradients. Sequences stand one after the other,
/// without padding.
#[derive(Clone, Debug)]
pub struct Network {
    graph: EncoderGraph,
}

impl Network {
    /// The network of a configuration, which must have a vocabulary and a head.
    pub fn new(config: &EncoderConfig) -> Result<Self> {
        config.check()?;
        if config.vocab.is_none() || config.head == Head::None {
            return Err(Error::value("network to train", "vectors", "one with a vocabulary and a head"));
        }
        if config.mechanism == Mechanism::Materialised {
            let accepted = "softmax, which is the same without an n x n array";
            return Err(Error::value("attention to train with", "materialised", accepted));
        }
        let EncoderGraph { config, layout, trunk, classifier } = EncoderGraph::new(config)?;
        trunk.check_trainable()?;
        let graph = EncoderGraph { config, layout, trunk: trunk.without_last_p(), classifier };
        Ok(Self { graph })
    }

    /// Initial weights: they follow from the seed, tensor by tensor.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        self.graph.layout.draw(seed)
    }

    /// Its configuration.
    pub fn config(&self) -> &EncoderConfig {
        &self.graph.config
    }

    /// Its tensors.
    pub fn layout(&self) -> &Layout {
        &self.graph.layout
    }

    /// The sums over a batch.
    pub fn evaluate(&self, weights: &[f32], batch: &Batch) -> Result<Sums> {
        self.check(batch)?;
        let (pass, trunk) = (Pass::new(weights), &self.graph.trunk);
        let streams = Streams { x: &batch.rows, p: &trunk.p_rows(&batch.rows) };
        let x = trunk.forward(pass, &batch.ids, streams, Some(&mut Tape::forgetting()))?.x;
        Ok(self.head(pass, None, &x, batch, 0.0).0)
    }

    /// As [`evaluate`](Self::evaluate), and adds the gradient of `weight` times the objective's sum to `gradients`.
    pub fn learn(
        &self,
        weights: &[f32],
        gradients: &mut [f32],
        weight: f32,
        batch: &Batch,
        rates: Rates,
    ) -> Result<Sums> {
        self.check(batch)?;
        let pass = Pass { dropout: rates.dropout, ..Pass::new(weights) };
        let trunk = &self.graph.trunk;
        let streams = Streams { x: &batch.rows, p: &trunk.p_rows(&batch.rows) };
        let mut tape = Tape::default();
        let x = trunk.forward(pass, &batch.ids, streams, Some(&mut tape))?.x;
        let mut back = Backward { pass, gradients };
        let smoothing = rates.smoothing as f32;
        let (sums, dx) = self.head(pass, Some((&mut *back.gradients, weight)), &x, batch, smoothing);
        drop(x);
        if let Some(x) = dx {
            trunk.backward(&mut back, &mut tape, &batch.ids, Stream { x, p: None }, streams)?;
        }
        Ok(sums)
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let expected = match self.graph.config.head {
            Head::Classes(_) => batch.rows.sequences(),
            Head::Pairs(_) => batch.rows.sequences() / 2,
            _ => batch.rows.total(),
        };
        let odd = matches!(self.graph.config.head, Head::Pairs(_)) && batch.rows.sequences() % 2 == 1;
        if batch.ids.len() != batch.rows.total() || batch.targets.len() != expected || odd {
            return Err(Error::Shape {
                what: "tokens and targets of a batch".into(),
                found: vec![batch.ids.len(), batch.targets.len()],
                expected: format!("({}, {expected})", batch.rows.total()),
            });
        }
        loss::check(&batch.targets, self.classes())
    }

    /// Classes, or tokens of the vocabulary.
    fn classes(&self) -> usize {
        match self.graph.config.head {
            Head::Classes(classes) | Head::Pairs(classes) => classes,
            _ => self.graph.config.vocab.unwrap_or(0),
        }
    }

    fn head(
        &self,
        pass: Pass<'_>,
        learn: loss::Learn<'_>,
        x: &Array2<f32>,
        batch: &Batch,
        smoothing: f32,
    ) -> (Sums, Option<Array2<f32>>) {
        let EncoderGraph { trunk, classifier, .. } = &self.graph;
        let (rows, targets) = (&batch.rows, &batch.targets);
        match (classifier, trunk.tokens()) {
            (Classifier::Classes(linear), _) => {
                loss::of_classes(pass, learn, linear, x.view(), rows, targets, smoothing)
            }
            (Classifier::Pairs(head), _) => {
                pairs::of_pairs(pass, learn, head, x.view(), rows, targets, smoothing)
            }
            (Classifier::None, Some(tokens)) => {
                loss::of_tokens(pass, learn, tokens, x.view(), targets, smoothing)
            }
            (Classifier::None, None) => (Sums::default(), None),
        }
    }
}
