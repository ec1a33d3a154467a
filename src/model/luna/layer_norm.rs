//! `LayerNorm` with weights of its own.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, CowArray, Ix2};

use super::Named;
use crate::Result;
use crate::model::config::Norm;
use crate::model::norm::normalise;

/// One `LayerNorm` over rows of d numbers.
pub(in crate::model) struct LayerNorm {
    gain: Array1<f32>,
    shift: Array1<f32>,
    eps: f64,
}

impl LayerNorm {
    /// `NAME.weight` and `NAME.bias`, both (d).
    pub(in crate::model) fn load(named: &Named, name: &str, d: usize, eps: f64) -> Result<Self> {
        let gain = named.vector(&format!("{name}.weight"), d)?;
        Ok(Self { gain, shift: named.vector(&format!("{name}.bias"), d)?, eps })
    }

    /// Normalises rows (n, d) in place.
    pub(in crate::model) fn apply(&self, x: ArrayViewMut2<'_, f32>) {
        normalise(Norm::Layer, x, self.gain.view(), Some(self.shift.view()), self.eps);
    }

    /// The input of a block whose norm is this one: normalised if norms stand before blocks, else the rows themselves.
    pub(in crate::model) fn before<'a>(
        &self,
        pre_norm: bool,
        x: ArrayView2<'a, f32>,
    ) -> CowArray<'a, f32, Ix2> {
        if !pre_norm {
            return x.into();
        }
        let mut x = x.to_owned();
        self.apply(x.view_mut());
        x.into()
    }

    /// Normalises what a block was added to, if norms stand behind blocks.
    pub(in crate::model) fn behind(&self, pre_norm: bool, x: ArrayViewMut2<'_, f32>) {
        if !pre_norm {
            self.apply(x);
        }
    }

    /// x + y, normalised if norms stand behind blocks.
    pub(super) fn after(&self, pre_norm: bool, mut x: Array2<f32>, y: &Array2<f32>) -> Array2<f32> {
        x += y;
        self.behind(pre_norm, x.view_mut());
        x
    }
}
