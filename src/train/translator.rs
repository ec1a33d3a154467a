//! An encoder-decoder: one pass over a batch of pairs, and the gradients of everything that it learns.

use ndarray::Array2;

use super::attention::Context;
use super::decoder::{DecoderLayer, Kept, Over, SITES};
use super::dropout::Dropout;
use super::embedding;
use super::layer::{Around, Stream};
use super::loss::{self, Sums};
use super::network::Rates;
use super::norm::{self, LayerNorm};
use super::parameters::{Layout, Matrix, Numbers};
use super::rows::Rows;
use super::trunk::{Risen, Trunk, normed, normed_back};
use crate::model::translator::TranslatorConfig;
use crate::{Error, Result};

/// Sources and targets, pair behind pair.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// What the encoder reads.
    pub sources: Vec<u32>,
    /// Which of them belong to which pair.
    pub source_rows: Rows,
    /// What the decoder reads: the token that begins a text, and the target.
    pub inputs: Vec<u32>,
    /// Which of them belong to which pair.
    pub rows: Rows,
    /// What the decoder should say at each place: the target, and the token that ends a text.
    pub targets: Vec<u32>,
}

/// The twin of [`crate::model::translator`]: the same tensors, the same output, and gradients.
#[derive(Clone, Debug)]
pub struct Translator {
    config: TranslatorConfig,
    layout: Layout,
    encoder: Trunk,
    positions: Option<Matrix>,
    norm: Option<LayerNorm>,
    layers: Vec<DecoderLayer>,
    last: Option<LayerNorm>,
}

/// Dropped from the embeddings of targets; arrays of the decoder's layers have the numbers behind it, far from the
/// encoder's.
const SITE: usize = 1 << 20;

/// What the gradients need.
struct Passed {
    source: Array2<f32>,
    p_rows: Rows,
    encoder: Risen,
    norm: Option<norm::Kept>,
    layers: Vec<Kept>,
    last: Option<norm::Kept>,
}

impl Translator {
    /// The network of a configuration.
    pub fn new(config: &TranslatorConfig) -> Result<Self> {
        config.check()?;
        let mut layout = Layout::default();
        for (name, shape) in config.tensors() {
            layout.push(name, shape, true);
        }
        for (name, shape) in config.features() {
            layout.push(name, shape, false);
        }
        let norm =
            |name: &str, wanted: bool| wanted.then(|| LayerNorm::find(&layout, name, super::EPS)).transpose();
        let encoder = &config.encoder;
        let positions = (encoder.positions > 0).then(|| layout.matrix("decoder.embed_positions.weight"));
        Ok(Self {
            encoder: Trunk::find(&layout, "encoder.", encoder, config.is_luna())?,
            positions: positions.transpose()?,
            norm: norm("decoder.layernorm_embedding", encoder.embedding_norm)?,
            layers: (0..config.decoder_layers)
                .map(|at| DecoderLayer::find(&layout, config, at, SITE + 1 + SITES * at))
                .collect::<Result<_>>()?,
            last: norm("decoder.layer_norm", encoder.pre_norm)?,
            config: *config,
            layout,
        })
    }

    /// The numbers that training begins with: decided by the seed, tensor by tensor.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        super::draw::values(&self.layout, self.config.encoder.d, seed)
    }

    /// What it was made from.
    pub fn config(&self) -> &TranslatorConfig {
        &self.config
    }

    /// Which tensor lies where in its numbers.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The sums over a batch, with `numbers` as its weights.
    pub fn evaluate(&self, numbers: &[f32], pairs: &Pairs) -> Result<Sums> {
        let numbers = Numbers::from(numbers);
        self.check(pairs)?;
        let (x, _) = self.pass(numbers, pairs, Dropout::OFF, false)?;
        let table = self.encoder.tokens;
        Ok(loss::of_tokens(numbers, None, table, x.view(), &pairs.targets, 0.0).0)
    }

    /// As [`evaluate`](Self::evaluate), and adds the gradient of `weight` times the objective's sum to `gradients`.
    pub fn learn(
        &self,
        numbers: &[f32],
        gradients: &mut [f32],
        weight: f32,
        pairs: &Pairs,
        rates: Rates,
    ) -> Result<Sums> {
        let numbers = Numbers::from(numbers);
        self.check(pairs)?;
        let (x, passed) = self.pass(numbers, pairs, rates.dropout, true)?;
        let (table, smoothing) = (self.encoder.tokens, rates.smoothing as f32);
        let learn = Some((&mut *gradients, weight));
        let (sums, dx) = loss::of_tokens(numbers, learn, table, x.view(), &pairs.targets, smoothing);
        drop(x);
        if let Some(dx) = dx {
            self.back(numbers, gradients, pairs, passed, dx, rates.dropout)?;
        }
        Ok(sums)
    }

    /// From both sides' tokens to behind the last layer of the decoder.
    fn pass(
        &self,
        numbers: Numbers<'_>,
        pairs: &Pairs,
        dropout: Dropout,
        keep: bool,
    ) -> Result<(Array2<f32>, Passed)> {
        let p_rows = self.encoder.p_rows(&pairs.source_rows);
        let around = Around { rows: &pairs.source_rows, p_rows: &p_rows, dropout };
        let (Stream { x: source, p }, encoder) = self.encoder.rise(numbers, &pairs.sources, around, keep)?;
        let mut x = embedding::look_up(numbers, self.encoder.tokens, &pairs.inputs)?;
        if let Some(positions) = self.positions {
            embedding::add_positions(numbers, positions, &pairs.rows, &mut x)?;
        }
        let (mut x, norm) = normed(self.norm.as_ref(), numbers, x);
        dropout.apply(&mut x, SITE);
        let mut stream = Stream { x, p };
        let mut layers = Vec::new();
        let over = over(pairs, &p_rows, &source, dropout);
        for layer in &self.layers {
            let of_layer;
            (stream, of_layer) = layer.forward(numbers, stream, over)?;
            if keep {
                layers.push(of_layer);
            }
        }
        let (x, last) = normed(self.last.as_ref(), numbers, stream.x);
        Ok((x, Passed { source, p_rows, encoder, norm, layers, last }))
    }

    /// Adds the gradients of everything, under that of what [`pass`](Self::pass) gave.
    fn back(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        pairs: &Pairs,
        passed: Passed,
        dx: Array2<f32>,
        dropout: Dropout,
    ) -> Result<()> {
        let Passed { source, p_rows, encoder, norm, layers, last } = passed;
        let x = normed_back(self.last.as_ref(), last.as_ref(), numbers, gradients, dx);
        let mut d = Stream { x, p: None };
        let mut d_source = Array2::zeros(source.raw_dim());
        let over = over(pairs, &p_rows, &source, dropout);
        for (layer, kept) in self.layers.iter().zip(layers).rev() {
            d = layer.backward(numbers, gradients, kept, d, over, &mut d_source)?;
        }
        let Stream { x: mut dx, p } = d;
        dropout.apply(&mut dx, SITE);
        let dx = normed_back(self.norm.as_ref(), norm.as_ref(), numbers, gradients, dx);
        if let Some(positions) = self.positions {
            embedding::learn_positions(gradients, positions, &pairs.rows, &dx);
        }
        embedding::learn(gradients, self.encoder.tokens, &pairs.inputs, &dx);
        drop(source);
        let around = Around { rows: &pairs.source_rows, p_rows: &p_rows, dropout };
        let d = Stream { x: d_source, p };
        self.encoder.back(numbers, gradients, &pairs.sources, d, encoder, around)
    }

    fn check(&self, pairs: &Pairs) -> Result<()> {
        let Pairs { sources, source_rows, inputs, rows, targets } = pairs;
        let found = [sources.len(), inputs.len(), targets.len(), rows.sequences()];
        if found != [source_rows.total(), rows.total(), rows.total(), source_rows.sequences()] {
            return Err(Error::Shape {
                what: "sources, inputs, targets and pairs of a batch".into(),
                found: found.to_vec(),
                expected: format!(
                    "({}, {}, {}, {})",
                    source_rows.total(),
                    rows.total(),
                    rows.total(),
                    source_rows.sequences()
                ),
            });
        }
        loss::check(targets, self.encoder.tokens.rows)
    }
}

fn over<'a>(pairs: &'a Pairs, p_rows: &'a Rows, source: &'a Array2<f32>, dropout: Dropout) -> Over<'a> {
    let source = Context { x: source.view(), rows: &pairs.source_rows };
    Over { rows: &pairs.rows, p_rows, source, dropout }
}
