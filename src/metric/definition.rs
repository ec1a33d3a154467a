//! What a metric is.

use super::{OutputProfile, PairProfile, RowProfile, Spectrum};

/// What a metric is computed from.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// The singular values of a matrix. `None`: not determined by the known values.
    Spectrum(fn(&Spectrum<'_>) -> Option<f64>),
    /// The singular values and an index K; its column is named `..._at_K`.
    SpectrumAt(fn(&Spectrum<'_>, usize) -> Option<f64>),
    /// The rows of an attention matrix. `None`: not defined for its shape.
    Rows(fn(&RowProfile) -> Option<f64>),
    /// The rows of an attention matrix and an index K; its column is named `..._at_K`.
    RowsAt(fn(&RowProfile, usize) -> Option<f64>),
    /// An attention matrix and its approximation. `None`: not known of matrices that were compared row by row.
    Pair(fn(&PairProfile) -> Option<f64>),
    /// The output of softmax attention and its approximation.
    Output(fn(&OutputProfile) -> Option<f64>),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name of its column; `_at` is followed by an index.
    pub name: &'static str,
    /// Its formula in one line, in the papers' letters.
    pub about: &'static str,
    /// Its unit; empty for a plain number.
    pub unit: &'static str,
    /// Who defined it.
    pub source: &'static str,
    /// Whether its values are whole numbers.
    pub integer: bool,
    /// How it is computed.
    pub of: Of,
}
