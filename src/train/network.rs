//! A network that reads one sequence: one pass over a batch, and the gradients of everything that it learns.

use ndarray::Array2;

use super::dropout::Dropout;
use super::feed_forward::FeedForward;
use super::layer::{Around, Stream};
use super::linear::Linear;
use super::loss::{self, Sums};
use super::pairs;
use super::parameters::{Layout, Numbers};
use super::rows::Rows;
use super::trunk::Trunk;
use crate::model::Activation;
use crate::model::encoder::{EncoderConfig, Head, Mechanism};
use crate::{Error, Result};

/// What a network learns from at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Tokens, sequence behind sequence.
    pub ids: Vec<u32>,
    /// Which of them belong to which sequence.
    pub rows: Rows,
    /// One class for every sequence, or for every two, or one token for every row ([`loss::IGNORED`] for none).
    pub targets: Vec<u32>,
}

/// What is done beside the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// What is dropped.
    pub dropout: Dropout,
    /// Label smoothing, 0 to below 1.
    pub smoothing: f64,
}

impl Rates {
    /// Nothing: as a network is used.
    pub const OFF: Self = Self { dropout: Dropout::OFF, smoothing: 0.0 };
}

/// The twin of [`crate::model::encoder::Encoder`]: the same tensors, the same output, and gradients.
///
/// Everything that it learns lies in one row of numbers ([`Network::layout`]); gradients lie in another. Sequences
/// stand one behind the other, without padding.
#[derive(Clone, Debug)]
pub struct Network {
    config: EncoderConfig,
    layout: Layout,
    trunk: Trunk,
    classifier: Classifier,
}

/// What stands on the last layer.
#[derive(Clone, Debug)]
enum Classifier {
    /// The table of tokens.
    Tokens,
    /// Classes of sequences.
    Classes(Linear),
    /// Classes of pairs of sequences.
    Pairs(FeedForward),
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
        let layout = super::draw::layout(config);
        let classifier = match config.head {
            Head::Classes(_) => Classifier::Classes(Linear::find(&layout, "classifier")?),
            // Nothing is dropped from it.
            Head::Pairs(_) => {
                Classifier::Pairs(FeedForward::find(&layout, "classifier.", Activation::Relu, 0)?)
            }
            _ => Classifier::Tokens,
        };
        Ok(Self { trunk: Trunk::find(&layout, "", config, false)?, classifier, config: *config, layout })
    }

    /// The numbers that training begins with: decided by the seed, tensor by tensor.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        super::draw::values(&self.layout, self.config.d, seed)
    }

    /// What it was made from.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Which tensor lies where in its numbers.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The sums over a batch, with `numbers` as its weights.
    pub fn evaluate(&self, numbers: &[f32], batch: &Batch) -> Result<Sums> {
        let numbers = Numbers::from(numbers);
        self.check(batch)?;
        let p_rows = self.trunk.p_rows(&batch.rows);
        let around = Around { rows: &batch.rows, p_rows: &p_rows, dropout: Dropout::OFF };
        let (stream, _) = self.trunk.rise(numbers, &batch.ids, around, false)?;
        Ok(self.head(numbers, None, &stream.x, batch, Rates::OFF).0)
    }

    /// As [`evaluate`](Self::evaluate), and adds the gradient of `weight` times the objective's sum to `gradients`.
    pub fn learn(
        &self,
        numbers: &[f32],
        gradients: &mut [f32],
        weight: f32,
        batch: &Batch,
        rates: Rates,
    ) -> Result<Sums> {
        let numbers = Numbers::from(numbers);
        self.check(batch)?;
        let p_rows = self.trunk.p_rows(&batch.rows);
        let around = Around { rows: &batch.rows, p_rows: &p_rows, dropout: rates.dropout };
        let (Stream { x, .. }, risen) = self.trunk.rise(numbers, &batch.ids, around, true)?;
        let (sums, dx) = self.head(numbers, Some((gradients, weight)), &x, batch, rates);
        drop(x);
        if let Some(x) = dx {
            self.trunk.back(numbers, gradients, &batch.ids, Stream { x, p: None }, risen, around)?;
        }
        Ok(sums)
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let expected = match self.config.head {
            Head::Classes(_) => batch.rows.sequences(),
            Head::Pairs(_) => batch.rows.sequences() / 2,
            _ => batch.rows.total(),
        };
        let odd = matches!(self.config.head, Head::Pairs(_)) && batch.rows.sequences() % 2 == 1;
        if batch.ids.len() != batch.rows.total() || batch.targets.len() != expected || odd {
            return Err(Error::Shape {
                what: "tokens and targets of a batch".into(),
                found: vec![batch.ids.len(), batch.targets.len()],
                expected: format!("({}, {expected})", batch.rows.total()),
            });
        }
        let classes = match self.config.head {
            Head::Classes(classes) | Head::Pairs(classes) => classes,
            _ => self.trunk.tokens.rows,
        };
        loss::check(&batch.targets, classes)
    }

    fn head(
        &self,
        numbers: Numbers<'_>,
        learn: loss::Learn<'_>,
        x: &Array2<f32>,
        batch: &Batch,
        rates: Rates,
    ) -> (Sums, Option<Array2<f32>>) {
        let (targets, smoothing) = (&batch.targets, rates.smoothing as f32);
        match &self.classifier {
            Classifier::Classes(classifier) => {
                loss::of_classes(numbers, learn, classifier, x.view(), &batch.rows, targets, smoothing)
            }
            Classifier::Pairs(head) => {
                pairs::of_pairs(numbers, learn, head, x.view(), &batch.rows, targets, smoothing)
            }
            Classifier::Tokens => {
                loss::of_tokens(numbers, learn, self.trunk.tokens, x.view(), targets, smoothing)
            }
        }
    }
}
