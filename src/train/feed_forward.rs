//! The feed-forward block and its gradients.

use ndarray::{Array2, ArrayView2};

use super::dropout::Dropout;
use super::linear::Linear;
use super::parameters::{Layout, Numbers};
use crate::Result;
use crate::linalg::arrays::copied;
use crate::model::Activation;

/// `fc2(activation(fc1(x)))`.
#[derive(Clone, Copy, Debug)]
pub(super) struct FeedForward {
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
    /// Its number among the arrays that are dropped from.
    site: usize,
}

/// What the gradients need beside the input: what the activation read.
#[derive(Debug)]
pub(super) struct Kept(Array2<f32>);

impl FeedForward {
    pub(super) fn find(layout: &Layout, layer: &str, activation: Activation, site: usize) -> Result<Self> {
        let find = |name: &str| Linear::find(layout, &format!("{layer}{name}"));
        Ok(Self { fc1: find("fc1")?, fc2: find("fc2")?, activation, site })
    }

    pub(super) fn forward(
        &self,
        numbers: Numbers<'_>,
        x: ArrayView2<'_, f32>,
        dropout: Dropout,
    ) -> (Array2<f32>, Kept) {
        let inner = self.fc1.forward(numbers, x);
        let mut active = copied(&inner);
        self.activation.apply(&mut active);
        dropout.apply(&mut active, self.site);
        (self.fc2.forward(numbers, active.view()), Kept(inner))
    }

    /// The gradient of the input `x` under that of the output.
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        x: ArrayView2<'_, f32>,
        kept: Kept,
        dy: ArrayView2<'_, f32>,
        dropout: Dropout,
    ) -> Array2<f32> {
        let Kept(mut active) = kept;
        let mut d_inner = self.fc2.back(numbers, dy);
        dropout.apply(&mut d_inner, self.site);
        self.activation.apply_and_back(&mut active, &mut d_inner);
        dropout.apply(&mut active, self.site);
        self.fc2.learn(numbers, gradients, active.view(), dy);
        drop(active);
        self.fc1.learn(numbers, gradients, x, d_inner.view());
        self.fc1.back(numbers, d_inner.view())
    }
}
