//! What can be watched while a model runs.

use ndarray::Array2;

use crate::Result;
use crate::layer::Factors;

/// Watches attention heads during a forward pass.
///
/// Everything has a default: an observer that overrides nothing sees nothing and costs nothing.
pub trait Observer {
    /// Whether this layer's heads are to be handed over (layers count from 0).
    fn wants_layer(&self, _layer: usize) -> bool {
        true
    }

    /// Whether the heads come with their attention matrices; without, no n x n array is made.
    fn wants_matrix(&self, _layer: usize) -> bool {
        false
    }

    /// `Some(j)`: nothing after the heads of layer j is needed, and the forward pass ends there.
    fn last_layer(&self) -> Option<usize> {
        None
    }

    /// One head, in order of layers and heads; an error ends the forward pass.
    fn head(&mut self, _head: HeadTap) -> Result<()> {
        Ok(())
    }
}

/// One attention head at work. A is softmax(scale q k^T), under the causal mask if there is one.
#[derive(Clone, Debug)]
pub struct HeadTap {
    /// The layer, from 0.
    pub layer: usize,
    /// The query head within the layer, from 0.
    pub head: usize,
    /// Queries, shape (n, `d_h`); with rotary positions, after rotation.
    pub q: Array2<f32>,
    /// Keys that this head reads (grouped heads share them), shape (n, `d_h`); after rotation.
    pub k: Array2<f32>,
    /// Values that this head reads, shape (n, `d_h`).
    pub v: Array2<f32>,
    /// The factor on q k^T.
    pub scale: f32,
    /// Whether row i sees columns 0 to i only.
    pub causal: bool,
    /// A, shape (n, n), rows summing to 1; if it was asked for. Luna's layers never make it.
    pub matrix: Option<Array2<f32>>,
    /// What a layer of Luna has in the place of A.
    pub factors: Option<Factors>,
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn wants_layer(&self, _layer: usize) -> bool {
        false
    }
}
