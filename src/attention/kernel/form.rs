//! What a mechanism implements to have a fused implementation.

use ndarray::Array2;

use super::arrays::{Arrays, Part};
use super::exact::{ExactArrays, ExactHead, Maxima};
use super::flat::{Flat, Size};
use super::pass::{Pass, Raw, Upstream};
use super::past::Past;
use super::saved::Saved;
use crate::attention::Mask;
use crate::cost::{Cost, Shape};

/// Masks of mechanisms that honour both.
pub(in crate::attention) const BOTH: &[Mask] = &[Mask::Full, Mask::Causal];

/// A mechanism with its parameters set, over many heads without an n x m array.
///
/// Implementations see heads whose shapes fit, at least one real query and key, masks of [`masks`](Self::masks), and
/// the arrays that [`parts`](Self::parts) declares.
pub(in crate::attention) trait Form: std::fmt::Debug + Send + Sync {
    /// The masks that it honours.
    fn masks(&self) -> &'static [Mask];

    /// Whether it honours [`Heads::dropout`](super::heads::Heads::dropout).
    fn drops(&self) -> bool {
        false
    }

    /// Its learned arrays for contexts of m keys of width `d_h`.
    fn parts(&self, _m: usize, _d_h: usize) -> Vec<Part> {
        Vec::new()
    }

    /// The longest sequence under a mask, where there is one.
    fn longest(&self, _mask: Mask) -> Option<usize> {
        None
    }

    /// The output into (h, n, `d_v`), of which the rows of real queries are written; saves activations where asked.
    fn forward(&self, heads: &Flat<'_>, arrays: &Arrays<'_>, saved: Option<&mut Saved>, out: &mut [f32]);

    /// Elements of work space of [`forward`](Self::forward).
    fn space(&self, size: &Size) -> usize;

    /// What one head costs where keys and values are one array, if that is less than usual.
    fn tied_cost(&self, _shape: &Shape, _untied: Cost) -> Option<Cost> {
        None
    }

    /// One head in f64 with its matrices written out: what rounding and gradients are judged by.
    fn exact(&self, head: &ExactHead, arrays: &ExactArrays, maxima: &mut Maxima) -> Array2<f64>;

    /// What a causal head remembers before the first row, with keys of width `d_h` and values of width `d_v`.
    fn past(&self, _d_h: usize, _d_v: usize) -> Option<Box<dyn Past>> {
        None
    }

    /// Its gradients.
    fn backward(&self) -> Option<&dyn Backward> {
        None
    }
}

/// The backward pass of a [`Form`].
pub(in crate::attention) trait Backward {
    /// The masks that it honours.
    fn masks(&self) -> &'static [Mask];

    /// Gradients into `raw` under the upstream gradient.
    fn backward(
        &self,
        pass: &Pass<'_>,
        arrays: &Arrays<'_>,
        saved: &Saved,
        upstream: &Upstream<'_>,
        raw: Raw<'_>,
        space: &mut [f32],
    );

    /// Elements of work space of the backward pass; widths are in whole cache lines.
    fn space(&self, size: &Size) -> usize;

    /// Numbers that the forward pass saves; widths are in whole cache lines.
    fn saved(&self, size: &Size) -> usize;

    /// Operations of one head, forward and backward, every product over the pairs that the mask leaves open.
    fn cost(&self, shape: &Shape) -> [Cost; 2];
}
