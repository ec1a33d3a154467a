//! What a mechanism declares of its fit.

use ndarray::Array2;

use super::window::{Room, Window};
use crate::error::{Error, Result};
use crate::name::Params;
use crate::rng::Rng;

/// How the learned arrays of a mechanism are fitted to windows of one head.
pub struct Fit {
    /// The parameter that asks for a fit when it is "fitted".
    pub(in crate::attention) asks: &'static str,
    /// The names of its arrays; fewer arrays than names where some are shared.
    pub(in crate::attention) names: &'static [&'static str],
    /// The pull towards the start that suits it.
    pub(in crate::attention) decay: f64,
    /// Its arrays before the first step.
    pub(in crate::attention) start: Start,
    /// Its loss, with room for the largest window.
    pub(in crate::attention) objective: fn(&[Array2<f32>], Room) -> Box<dyn Objective>,
}

/// Pieces for windows to learn from, with room for the largest of all.
pub(in crate::attention) type Start = fn(&Params<'_>, &[Window], Room, &mut Rng) -> Result<Vec<Array2<f32>>>;

/// The loss of one window, and its gradient.
pub(in crate::attention) trait Objective {
    /// `||O~ - O||_F^2 / ||O||_F^2` of the window; its gradient is added to `gradients`, one for each array.
    fn loss(&mut self, arrays: &[Array2<f32>], window: &Window, gradients: Option<&mut [Array2<f32>]>)
    -> f64;
}

/// Refuses a loss that is NaN or infinite.
pub(super) fn finite(loss: f64) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    let at = "the windows (queries, keys or values are too large, or not finite)".into();
    Err(Error::NotFinite { what: "error of a fit".into(), value: loss, at })
}
