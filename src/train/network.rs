//! A whole network: one pass over a batch, and the gradients of everything that it learns.

use ndarray::Array2;

use super::core::{repeated, repeated_back};
use super::dropout::Dropout;
use super::embedding;
use super::layer::{Around, Kept, Layer, Stream};
use super::linear::Linear;
use super::loss::{self, Sums};
use super::norm::{self, LayerNorm};
use super::parameters::{Layout, Matrix};
use super::rows::Rows;
use crate::model::encoder::{EncoderConfig, Head, Mechanism};
use crate::{Error, Result};

/// What a network learns from at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Tokens, sequence behind sequence.
    pub ids: Vec<u32>,
    /// Which of them belong to which sequence.
    pub rows: Rows,
    /// One class for every sequence, or one token for every row ([`loss::IGNORED`] for none).
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
    tokens: Matrix,
    positions: Option<Matrix>,
    /// P below the lowest layer, or one for every layer.
    p: Vec<Matrix>,
    norm: Option<LayerNorm>,
    p_norm: Option<LayerNorm>,
    layers: Vec<Layer>,
    last: Option<LayerNorm>,
    classifier: Option<Linear>,
}

/// Dropped from the embeddings of X, and behind all layers from those of P.
const SITE: usize = 0;
const P_SITE: usize = usize::MAX >> 33;

/// What the gradients of the embeddings need.
struct Embedded {
    norm: Option<norm::Kept>,
    p_norm: Option<norm::Kept>,
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
        let norm =
            |name: &str, wanted: bool| wanted.then(|| LayerNorm::find(&layout, name, super::EPS)).transpose();
        let luna = matches!(config.mechanism, Mechanism::Luna { .. } | Mechanism::LunaCausal { .. });
        let p = match (luna, config.p_chain) {
            (false, _) => Vec::new(),
            (true, true) => vec![layout.matrix("projected_embeddings")?],
            (true, false) => (0..config.layers)
                .map(|layer| layout.matrix(&format!("layers.{layer}.projected_embeddings")))
                .collect::<Result<_>>()?,
        };
        let of_p = luna && config.p_chain && config.embedding_norm;
        let classifier = match config.head {
            Head::Classes(_) => Some(Linear::find(&layout, "classifier")?),
            _ => None,
        };
        Ok(Self {
            tokens: layout.matrix("embed_tokens.weight")?,
            positions: (config.positions > 0).then(|| layout.matrix("embed_positions.weight")).transpose()?,
            p,
            norm: norm("layernorm_embedding", config.embedding_norm)?,
            p_norm: norm("layernorm_porjected_embedding", of_p)?,
            layers: (0..config.layers).map(|at| Layer::find(&layout, config, at)).collect::<Result<_>>()?,
            last: norm("layer_norm", config.pre_norm)?,
            classifier,
            config: *config,
            layout,
        })
    }

    /// The numbers that training begins with: decided by the seed, tensor by tensor.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        super::draw::values(&self.layout, &self.config, seed)
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
        self.check(batch)?;
        let (stream, ..) = self.rise(numbers, batch, Rates::OFF, false)?;
        let (x, _) = self.top(numbers, stream.x);
        Ok(self.head(numbers, None, &x, batch, Rates::OFF).0)
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
        self.check(batch)?;
        let p_rows = self.p_rows(&batch.rows);
        let (stream, embedded, kept) = self.rise(numbers, batch, rates, true)?;
        let (x, last) = self.top(numbers, stream.x);
        let (sums, dx) = self.head(numbers, Some((gradients, weight)), &x, batch, rates);
        drop(x);
        let Some(mut dx) = dx else { return Ok(sums) };
        if let (Some(norm), Some(kept)) = (&self.last, &last) {
            dx = norm.backward(numbers, gradients, kept, dx.view());
        }
        let around = Around { rows: &batch.rows, p_rows: &p_rows, dropout: rates.dropout };
        let mut d = Stream { x: dx, p: None };
        for (at, (layer, kept)) in self.layers.iter().zip(kept).enumerate().rev() {
            d = layer.backward(numbers, gradients, kept, d, around)?;
            if !self.config.p_chain
                && let Some(dp) = d.p.take()
            {
                self.learn_p(gradients, at, &dp, around);
            }
        }
        self.back_to_tables(numbers, gradients, batch, d, &embedded, around);
        Ok(sums)
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let expected = match self.config.head {
            Head::Classes(_) => batch.rows.sequences(),
            _ => batch.rows.total(),
        };
        if batch.ids.len() != batch.rows.total() || batch.targets.len() != expected {
            return Err(Error::Shape {
                what: "tokens and targets of a batch".into(),
                found: vec![batch.ids.len(), batch.targets.len()],
                expected: format!("({}, {expected})", batch.rows.total()),
            });
        }
        let classes = match self.config.head {
            Head::Classes(classes) => classes,
            _ => self.tokens.rows,
        };
        let beyond = |target: &&u32| **target != loss::IGNORED && **target as usize >= classes;
        match batch.targets.iter().find(beyond) {
            Some(target) => Err(Error::value("target", target, format!("below {classes}"))),
            None => Ok(()),
        }
    }

    /// Of P in each sequence: min(l, length) rows.
    fn p_rows(&self, rows: &Rows) -> Rows {
        match self.config.mechanism {
            Mechanism::Luna { l, .. } => rows.at_most(l),
            _ => rows.at_most(0),
        }
    }

    /// The P that layer `at` reads first, for every sequence.
    fn first_p(&self, numbers: &[f32], at: usize, p_rows: &Rows, dropout: Dropout) -> PAndNorm {
        let Some(p) = self.p.get(at) else { return (None, None) };
        let mut p = p.of(numbers).to_owned();
        let mut kept = None;
        if let Some(norm) = &self.p_norm {
            let (normed, of_norm) = norm.forward(numbers, p);
            (p, kept) = (normed, Some(of_norm));
        }
        dropout.apply(&mut p, P_SITE - at);
        let own = matches!(self.config.mechanism, Mechanism::Luna { .. });
        (Some(if own { repeated(&p, p_rows) } else { p }), kept)
    }

    /// From tokens to behind the last layer.
    fn rise(&self, numbers: &[f32], batch: &Batch, rates: Rates, keep: bool) -> Result<Risen> {
        let p_rows = self.p_rows(&batch.rows);
        let dropout = rates.dropout;
        let mut x = embedding::look_up(numbers, self.tokens, &batch.ids)?;
        if let Some(positions) = self.positions {
            embedding::add_positions(numbers, positions, &batch.rows, &mut x)?;
        }
        let mut embedded = Embedded { norm: None, p_norm: None };
        if let Some(norm) = &self.norm {
            let (normed, kept) = norm.forward(numbers, x);
            (x, embedded.norm) = (normed, Some(kept));
        }
        dropout.apply(&mut x, SITE);
        let (p, p_norm) = self.first_p(numbers, 0, &p_rows, dropout);
        embedded.p_norm = p_norm;
        let around = Around { rows: &batch.rows, p_rows: &p_rows, dropout };
        let mut stream = Stream { x, p };
        let mut kept = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            if at > 0 && !self.config.p_chain {
                (stream.p, _) = self.first_p(numbers, at, &p_rows, dropout);
            }
            let of_layer;
            (stream, of_layer) = layer.forward(numbers, stream, around)?;
            if keep {
                kept.push(of_layer);
            }
        }
        Ok((stream, embedded, kept))
    }

    /// The last norm, if norms stand before blocks.
    fn top(&self, numbers: &[f32], x: Array2<f32>) -> (Array2<f32>, Option<norm::Kept>) {
        match &self.last {
            Some(norm) => {
                let (x, kept) = norm.forward(numbers, x);
                (x, Some(kept))
            }
            None => (x, None),
        }
    }

    fn head(
        &self,
        numbers: &[f32],
        learn: loss::Learn<'_>,
        x: &Array2<f32>,
        batch: &Batch,
        rates: Rates,
    ) -> (Sums, Option<Array2<f32>>) {
        let (targets, smoothing) = (&batch.targets, rates.smoothing as f32);
        match &self.classifier {
            Some(classifier) => {
                loss::of_classes(numbers, learn, classifier, x.view(), &batch.rows, targets, smoothing)
            }
            None => loss::of_tokens(numbers, learn, self.tokens, x.view(), targets, smoothing),
        }
    }

    /// Adds the gradient of a layer's first P to that of its table.
    fn learn_p(&self, gradients: &mut [f32], at: usize, dp: &Array2<f32>, around: Around<'_>) {
        let mut dp = self.of_one_p(dp, at, around);
        around.dropout.apply(&mut dp, P_SITE - at);
        let mut sum = self.p[at].of_mut(gradients);
        sum += &dp;
    }

    /// The gradient of a P (l, d) that every sequence read, as its own rows or as the same.
    fn of_one_p(&self, dp: &Array2<f32>, at: usize, around: Around<'_>) -> Array2<f32> {
        match self.config.mechanism {
            Mechanism::Luna { .. } => repeated_back(dp, around.p_rows, self.p[at].rows),
            _ => dp.clone(),
        }
    }

    /// From below the lowest layer into the tables.
    fn back_to_tables(
        &self,
        numbers: &[f32],
        gradients: &mut [f32],
        batch: &Batch,
        d: Stream,
        embedded: &Embedded,
        around: Around<'_>,
    ) {
        let dropout = around.dropout;
        if let (Some(table), Some(dp)) = (self.p.first(), d.p) {
            let mut dp = self.of_one_p(&dp, 0, around);
            dropout.apply(&mut dp, P_SITE);
            if let (Some(norm), Some(kept)) = (&self.p_norm, &embedded.p_norm) {
                dp = norm.backward(numbers, gradients, kept, dp.view());
            }
            let mut sum = table.of_mut(gradients);
            sum += &dp;
        }
        let mut dx = d.x;
        dropout.apply(&mut dx, SITE);
        if let (Some(norm), Some(kept)) = (&self.norm, &embedded.norm) {
            dx = norm.backward(numbers, gradients, kept, dx.view());
        }
        if let Some(positions) = self.positions {
            embedding::learn_positions(gradients, positions, &batch.rows, &dx);
        }
        embedding::learn(gradients, self.tokens, &batch.ids, &dx);
    }
}

/// P for every sequence, and what the gradients of its norm need.
type PAndNorm = (Option<Array2<f32>>, Option<norm::Kept>);

/// Behind the last layer: the stream, and what the gradients need.
type Risen = (Stream, Embedded, Vec<Kept>);
