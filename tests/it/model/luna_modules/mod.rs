//! Luna's layers: against the numbers of its authors' modules, and by what they promise.

mod golden;
mod laws;

use luna::layer::{Layout, Pass};
use luna::model::Named;

/// A layer with the weights of a file.
pub(super) struct Loaded<T> {
    pub(super) layer: T,
    weights: Vec<f32>,
}

impl<T> Loaded<T> {
    pub(super) fn new(named: &Named, declare: impl FnOnce(&mut Layout) -> T) -> Self {
        let mut layout = Layout::default();
        let layer = declare(&mut layout);
        Self { layer, weights: named.gather(&layout).unwrap() }
    }

    pub(super) fn pass(&self) -> Pass<'_> {
        Pass::new(&self.weights)
    }
}
