//! What a pass through layers needs beside its input: weights, dropout, a count of products, the tape, gradients.

use std::any::Any;

use super::dropout::Dropout;
use crate::cost::Tally;

/// A forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// The elements of all tensors, as a [`Layout`](super::Layout) has them.
    pub weights: &'a [f32],
    /// What is dropped.
    pub dropout: Dropout,
    /// Where the multiply-adds of products are counted, if anywhere.
    pub tally: Option<&'a Tally>,
}

impl<'a> Pass<'a> {
    /// A pass that drops and counts nothing.
    pub fn new(weights: &'a [f32]) -> Self {
        Self { weights, dropout: Dropout::OFF, tally: None }
    }

    /// Counts a product of shapes (n, d) and (d, m).
    pub(super) fn count(self, n: usize, d: usize, m: usize) {
        if let Some(tally) = self.tally {
            tally.product(n, d, m);
        }
    }
}

/// A backward pass: the forward pass that it belongs to, and the gradients that it adds to.
#[derive(Debug)]
pub struct Backward<'a> {
    /// The forward pass.
    pub pass: Pass<'a>,
    /// Gradients of all tensors, in the order of the weights.
    pub gradients: &'a mut [f32],
}

/// The saved activations of a forward pass, which its backward pass takes back, the last first.
///
/// Each layer saves one value of a type of its own and takes the same type back.
#[derive(Debug, Default)]
pub struct Tape {
    saved: Vec<Box<dyn Any + Send>>,
    forgets: bool,
}

impl Tape {
    /// A tape for evaluation, which keeps what one layer saved only until that layer is done: the loss is, bit for bit, that
    /// of a pass whose gradients are computed.
    pub fn forgetting() -> Self {
        Self { saved: Vec::new(), forgets: true }
    }

    /// Called by networks after each layer.
    pub(crate) fn layer_done(&mut self) {
        if self.forgets {
            self.saved.clear();
        }
    }

    /// Saves what the gradient needs.
    pub(crate) fn save<T: Any + Send>(&mut self, activations: T) {
        self.saved.push(Box::new(activations));
    }

    /// What was saved last.
    ///
    /// # Panics
    /// If layers go backward in another order than the reverse of their forward order.
    pub(crate) fn take<T: Any>(&mut self) -> T {
        let last = self.saved.pop().and_then(|saved| saved.downcast().ok());
        *last.expect("layers go backward in the reverse of their forward order")
    }
}
