//! How to fit.

/// How to fit. What is drawn (starts, woven windows, their order) comes from the [`Origin`](crate::attention::Origin)'s seed and label.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Steps at most, one window each.
    pub steps: usize,
    /// Adam's rate at the first step, as a share of the root mean square of a piece's entries at its start; it falls to
    /// 0 along a cosine.
    pub rate: f64,
    /// Pull towards the start: half of this, times the mean squared move of a piece's entries (in the same unit as
    /// `rate`), is added to the loss. `None`: what suits the mechanism.
    pub decay: Option<f64>,
    /// Windows that are woven from the given ones; 0: the given ones as they are.
    pub woven: usize,
    /// Evaluations on the held-out window, one every 20 steps, without improvement after which a fit ends.
    pub patience: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 400, rate: 0.05, decay: None, woven: 96, patience: 5 }
    }
}
