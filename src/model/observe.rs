//! Observing attention heads during a forward pass.

use ndarray::{Array2, ArrayView3};

use crate::Result;
use crate::attention::HeadTerms;
use crate::layer::Factors;

/// What a model reads.
#[derive(Clone, Copy, Debug)]
pub enum ModelInput<'a> {
    /// Token ids.
    Tokens(&'a [u32]),
    /// An image of normalised pixels, shape (channels, height, width).
    Pixels(ArrayView3<'a, f32>),
}

/// Observes attention heads during a forward pass.
///
/// Every method has a default.
pub trait Observer {
    /// Whether this layer's heads are passed to the observer (layers count from 0).
    fn wants_layer(&self, _layer: usize) -> bool {
        true
    }

    /// Whether the heads come with their attention matrices; otherwise no n x n array is allocated.
    fn wants_matrix(&self, _layer: usize) -> bool {
        false
    }

    /// `Some(j)`: the forward pass ends after the heads of layer j.
    fn last_layer(&self) -> Option<usize> {
        None
    }

    /// The hidden states (n, d) that a layer is about to read, layer by layer; an error ends the forward pass.
    /// [`Model::run_from`](super::Model::run_from) continues from them.
    fn hidden(&mut self, _layer: usize, _x: &Array2<f32>) -> Result<()> {
        Ok(())
    }

    /// One head, in order of layers and heads; an error ends the forward pass.
    fn head(&mut self, _head: HeadTap) -> Result<()> {
        Ok(())
    }
}

/// The arrays of one attention head. A is softmax(scale q k^T), under the causal mask if there is one, and under `terms`.
#[derive(Clone, Debug)]
pub struct HeadTap {
    /// The layer, from 0.
    pub layer: usize,
    /// The query head within the layer, from 0.
    pub head: usize,
    /// Queries, shape (n, `d_h`); after rotation if positions are rotary.
    pub q: Array2<f32>,
    /// Keys that this head reads (grouped heads share them), shape (n, `d_h`); after rotation.
    pub k: Array2<f32>,
    /// Values that this head reads, shape (n, `d_h`).
    pub v: Array2<f32>,
    /// The factor on q k^T.
    pub scale: f32,
    /// Whether row i attends to columns 0 to i only.
    pub causal: bool,
    /// Window (where it hides anything at this length), softcap, bias and sink of its logits.
    pub terms: HeadTerms,
    /// A, shape (n, n), rows summing to 1 (to less with a sink); if it was requested. Luna's layers never compute it.
    pub matrix: Option<Array2<f32>>,
    /// The pack and unpack weights of a Luna layer, which has no A.
    pub factors: Option<Factors>,
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn wants_layer(&self, _layer: usize) -> bool {
        false
    }
}
