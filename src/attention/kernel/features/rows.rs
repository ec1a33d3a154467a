//! From rows to features and back.

use crate::linalg::lanes::Path;

/// Which rows they are that become features.
#[derive(Clone, Copy)]
pub(in crate::attention) struct Rows {
    pub(in crate::attention) head: usize,
    /// Whether they are keys, or queries.
    pub(in crate::attention) keys: bool,
    /// The position of the first one.
    pub(in crate::attention) first: usize,
}

/// A feature map. Rows come in whole cache lines with zeros after them in the backward pass, as they are in the forward
/// pass; features come in whole cache lines.
pub(in crate::attention) trait Features: Sync {
    /// Features of rows, with zeros after them.
    fn make(&self, path: Path, rows: Rows, x: &[f32], phi: &mut [f32]);

    /// The gradient of rows under that of their features, which may be overwritten.
    fn back(&self, path: Path, rows: Rows, x: &[f32], phi: &[f32], d_phi: &mut [f32], dx: &mut [f32]);

    /// What is added to each denominator.
    fn eps(&self) -> f32;

    /// Multiply-adds of making the features of one row, and of going back.
    fn macs(&self) -> [usize; 2];
}
