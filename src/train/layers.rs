//! Layers alone, from vectors to vectors: a forward and a backward pass without embeddings, head and optimiser.

use ndarray::{Array2, ArrayView2};

use crate::cost::Tally;
use crate::layer::{Backward, EncoderConfig, Layout, Pass, Rows, Stream, Streams, Tape};
use crate::network::EncoderGraph;
use crate::{Error, Result};

/// The layers of an encoder, with their gradients.
#[derive(Clone, Debug)]
pub struct Layers {
    graph: EncoderGraph,
}

impl Layers {
    /// The layers of a configuration, which share one P if they have one; its embeddings and head are not used.
    pub fn new(config: &EncoderConfig) -> Result<Self> {
        let graph = EncoderGraph::new(config)?;
        if !config.p_chain {
            return Err(Error::value("layers to train alone", "a P of each", "one P for all"));
        }
        graph.trunk.check_trainable()?;
        Ok(Self { graph })
    }

    /// Their tensors.
    pub fn layout(&self) -> &Layout {
        &self.graph.layout
    }

    /// Initial weights: they follow from the seed.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        self.graph.layout.draw(seed)
    }

    /// The output of the layers over x (rows, d), and the gradient of x under `d_out` (rows, d); the gradients of the
    /// layers' tensors are added to `gradients`, that of P is left out. Every product adds its multiply-adds to the tally, if
    /// there is one.
    pub fn pass(
        &self,
        weights: &[f32],
        gradients: &mut [f32],
        x: Array2<f32>,
        rows: &Rows,
        d_out: ArrayView2<'_, f32>,
        tally: Option<&Tally>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let (trunk, d) = (&self.graph.trunk, self.graph.config.d);
        if x.dim() != (rows.total(), d) || x.dim() != d_out.dim() {
            return Err(Error::Shape {
                what: "x and its upstream gradient".into(),
                found: [x.shape(), d_out.shape()].concat(),
                expected: format!("({}, {d}), twice", rows.total()),
            });
        }
        let pass = Pass { tally, ..Pass::new(weights) };
        let streams = Streams { x: rows, p: &trunk.p_rows(rows) };
        let mut tape = Tape::default();
        let stream = Stream { x, p: trunk.first_p(pass, 0, streams.p, None) };
        let out = trunk.through_layers(pass, stream, streams, Some(&mut tape))?;
        let d = Stream { x: d_out.to_owned(), p: None };
        let d = trunk.layers_backward(&mut Backward { pass, gradients }, &mut tape, d, streams)?;
        Ok((out.x, d.x))
    }
}
