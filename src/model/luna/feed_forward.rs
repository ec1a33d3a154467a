//! The feed-forward block of a layer: on X only, P has none.

use ndarray::Array2;

use super::layer_norm::LayerNorm;
use super::{LayerConfig, Named};
use crate::Result;
use crate::model::Activation;
use crate::model::linear::Linear;

/// `x + fc2(activation(fc1(x)))` with its norm before or behind.
pub(super) struct FeedForward {
    fc1: Linear<'static>,
    fc2: Linear<'static>,
    norm: LayerNorm,
    activation: Activation,
    pre_norm: bool,
}

impl FeedForward {
    /// `fc1` (ffn, d), `fc2` (d, ffn) and `final_layer_norm`.
    pub(super) fn load(named: &Named, config: &LayerConfig) -> Result<Self> {
        let LayerConfig { d, ffn, activation, pre_norm, eps, .. } = *config;
        let (fc1, fc2) = (named.linear("fc1", ffn, d)?, named.linear("fc2", d, ffn)?);
        Ok(Self { fc1, fc2, norm: LayerNorm::load(named, "final_layer_norm", d, eps)?, activation, pre_norm })
    }

    /// Rows (n, d), each by itself.
    pub(super) fn apply(&self, x: Array2<f32>) -> Array2<f32> {
        let mut inner = self.fc1.apply(&self.norm.before(self.pre_norm, &x));
        self.activation.apply(&mut inner);
        self.norm.after(self.pre_norm, x, &self.fc2.apply(&inner))
    }
}
