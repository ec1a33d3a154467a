//! A replacement of softmax attention in a trained model.

use ndarray::Array2;

use super::observe::HeadTap;
use crate::Result;

/// Computes heads' outputs in the place of softmax attention, while everything else of a model stays as it was trained.
///
/// Layers after a replaced one run on its output.
pub trait Substitute: Sync {
    /// Whether this layer's heads are replaced (layers count from 0).
    fn replaces(&self, layer: usize) -> bool;

    /// Whether this head of such a layer is; the others keep softmax attention.
    fn replaces_head(&self, _layer: usize, _head: usize) -> bool {
        true
    }

    /// The output of one head, shape (n, `d_h`). Called for several heads at once, from several threads; an error ends
    /// the forward pass.
    ///
    /// The tap's `matrix`, the softmax that is replaced, is there only if the observer of the same pass asks for it.
    fn attend(&self, head: &HeadTap) -> Result<Array2<f32>>;
}
