//! `LayerNorm` with weights of its own.

use ndarray::{Array1, Array2};

use super::Named;
use crate::Result;
use crate::model::config::Norm;
use crate::model::norm::normalise;

/// One `LayerNorm` over rows of d numbers.
pub(super) struct LayerNorm {
    gain: Array1<f32>,
    shift: Array1<f32>,
    eps: f64,
}

impl LayerNorm {
    /// `NAME.weight` and `NAME.bias`, both (d).
    pub(super) fn load(named: &Named, name: &str, d: usize, eps: f64) -> Result<Self> {
        let gain = named.vector(&format!("{name}.weight"), d)?;
        Ok(Self { gain, shift: named.vector(&format!("{name}.bias"), d)?, eps })
    }

    /// Normalises rows (n, d) in place.
    pub(super) fn apply(&self, x: &mut Array2<f32>) {
        normalise(Norm::Layer, x, self.gain.view(), Some(self.shift.view()), self.eps);
    }

    /// The input of a block whose norm is this one: normalised if norms stand before blocks.
    pub(super) fn before(&self, pre_norm: bool, x: &Array2<f32>) -> Array2<f32> {
        let mut x = x.clone();
        if pre_norm {
            self.apply(&mut x);
        }
        x
    }

    /// x + y, normalised if norms stand behind blocks.
    pub(super) fn after(&self, pre_norm: bool, mut x: Array2<f32>, y: &Array2<f32>) -> Array2<f32> {
        x += y;
        if !pre_norm {
            self.apply(&mut x);
        }
        x
    }
}
