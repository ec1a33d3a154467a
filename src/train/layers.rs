//! Layers alone, from vectors to vectors: what a pass each way costs without embeddings, head and optimiser.

use ndarray::{Array2, ArrayView2};

use super::core::repeated;
use super::dropout::Dropout;
use super::layer::{Around, Layer, Stream};
use super::parameters::{Layout, Matrix, Numbers};
use super::rows::Rows;
use crate::cost::Tally;
use crate::model::encoder::{EncoderConfig, Mechanism};
use crate::{Error, Result};

/// The layers of an encoder, with their gradients.
#[derive(Clone, Debug)]
pub struct Layers {
    config: EncoderConfig,
    layout: Layout,
    stack: Vec<Layer>,
    p: Option<Matrix>,
}

impl Layers {
    /// The layers of a configuration, whose P (if it has one) is one for all; its embeddings and head play no part.
    pub fn new(config: &EncoderConfig) -> Result<Self> {
        config.check()?;
        if !config.p_chain {
            return Err(Error::value("layers to train alone", "a P of each", "one P for all"));
        }
        let layout = super::draw::layout(config);
        let luna = matches!(config.mechanism, Mechanism::Luna { .. } | Mechanism::LunaCausal { .. });
        Ok(Self {
            stack: (0..config.layers)
                .map(|at| Layer::find(&layout, "", config, at))
                .collect::<Result<_>>()?,
            p: luna.then(|| layout.matrix("projected_embeddings")).transpose()?,
            config: *config,
            layout,
        })
    }

    /// Where each tensor lies among the numbers.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The numbers of all tensors, decided by the seed.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        super::draw::values(&self.layout, self.config.d, seed)
    }

    /// What the layers make of x (rows, d), and the gradient of x under `d_out` (rows, d); the gradients of the layers'
    /// tensors are added to `gradients`, that of P is found and not kept. Every product adds its multiply-adds to the tally,
    /// if there is one.
    pub fn pass(
        &self,
        numbers: &[f32],
        gradients: &mut [f32],
        x: Array2<f32>,
        rows: &Rows,
        d_out: ArrayView2<'_, f32>,
        tally: Option<&Tally>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        if x.dim() != (rows.total(), self.config.d) || x.dim() != d_out.dim() {
            return Err(Error::Shape {
                what: "x and its upstream gradient".into(),
                found: [x.shape(), d_out.shape()].concat(),
                expected: format!("({}, {}), twice", rows.total(), self.config.d),
            });
        }
        let numbers = Numbers::counted(numbers, tally);
        let p_rows = match self.config.mechanism {
            Mechanism::Luna { l, .. } => rows.at_most(l),
            _ => rows.at_most(0),
        };
        let around = Around { rows, p_rows: &p_rows, dropout: Dropout::OFF };
        let p = self.p.map(|p| p.of(numbers).to_owned());
        let p = match self.config.mechanism {
            Mechanism::Luna { .. } => p.map(|p| repeated(&p, &p_rows)),
            _ => p,
        };
        let mut stream = Stream { x, p };
        let mut kept = Vec::new();
        for layer in &self.stack {
            let of_layer;
            (stream, of_layer) = layer.forward(numbers, stream, around)?;
            kept.push(of_layer);
        }
        let mut d = Stream { x: d_out.to_owned(), p: None };
        for (layer, kept) in self.stack.iter().zip(kept).rev() {
            d = layer.backward(numbers, gradients, kept, d, around)?;
        }
        Ok((stream.x, d.x))
    }
}
