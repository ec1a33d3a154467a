//! The feed-forward block of a layer; in Luna on X only, P has none.

use ndarray::{Array2, ArrayViewMut2};

use super::layer_norm::LayerNorm;
use super::{LayerConfig, Named};
use crate::Result;
use crate::model::Activation;
use crate::model::linear::{Count, Linear};

/// `x + fc2(activation(fc1(x)))` with its norm before or behind.
pub(in crate::model) struct FeedForward {
    fc1: Linear<'static>,
    fc2: Linear<'static>,
    norm: LayerNorm,
    activation: Activation,
    pre_norm: bool,
}

impl FeedForward {
    /// `fc1` (ffn, d), `fc2` (d, ffn) and `final_layer_norm`.
    pub(in crate::model) fn load(named: &Named, config: &LayerConfig) -> Result<Self> {
        let LayerConfig { d, ffn, activation, pre_norm, eps, .. } = *config;
        let (fc1, fc2) = (named.linear("fc1", ffn, d)?, named.linear("fc2", d, ffn)?);
        Ok(Self { fc1, fc2, norm: LayerNorm::load(named, "final_layer_norm", d, eps)?, activation, pre_norm })
    }

    /// Rows (n, d), each by itself.
    pub(super) fn apply(&self, mut x: Array2<f32>) -> Array2<f32> {
        self.run(x.view_mut(), None);
        x
    }

    /// As `apply`, in place, and counts.
    pub(in crate::model) fn run(&self, mut x: ArrayViewMut2<'_, f32>, count: Count<'_>) {
        let mut inner = self.fc1.counted(&self.norm.before(self.pre_norm, x.view()), count);
        self.activation.apply(&mut inner);
        self.fc2.add_to(x.view_mut(), &inner, count);
        self.norm.behind(self.pre_norm, x);
    }
}
