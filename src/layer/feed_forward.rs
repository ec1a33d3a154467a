//! The feed-forward block and its gradients.

use ndarray::{Array2, ArrayView2};

use super::activation::Activation;
use super::linear::Linear;
use super::pass::{Backward, Pass, Tape};
use super::weights::Layout;
use crate::linalg::affine::{affine_pair, product_beside};

/// `fc2(activation(fc1(x)))`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedForward {
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
    /// Its number among the arrays that are dropped from.
    site: usize,
}

/// Saved activations: the input of the activation.
struct Inner(Array2<f32>);

impl FeedForward {
    /// Declares `fc1` (inner, input) and `fc2` (output, inner) under a prefix.
    pub(crate) fn declare(
        layout: &mut Layout,
        prefix: &str,
        [input, inner, output]: [usize; 3],
        activation: Activation,
        site: usize,
    ) -> Self {
        let fc1 = Linear::declare(layout, &format!("{prefix}fc1"), inner, input);
        Self { fc1, fc2: Linear::declare(layout, &format!("{prefix}fc2"), output, inner), activation, site }
    }

    /// Rows (n, d), each by itself.
    pub(crate) fn forward(
        &self,
        pass: Pass<'_>,
        x: ArrayView2<'_, f32>,
        tape: Option<&mut Tape>,
    ) -> Array2<f32> {
        self.fc1.count(pass, x.nrows());
        self.fc2.count(pass, x.nrows());
        let activate = |first: usize, width: usize, inner: &mut [f32]| {
            for (row, inner) in inner.chunks_exact_mut(width.max(1)).enumerate() {
                self.activation.apply_slice(inner);
                pass.dropout.apply_from((first + row) * width, inner, self.site);
            }
        };
        let (y, inner) = affine_pair(x, self.fc1.parts(pass), activate, self.fc2.parts(pass), tape.is_some());
        if let (Some(tape), Some(inner)) = (tape, inner) {
            tape.save(Inner(inner));
        }
        y
    }

    /// The gradient of the input `x` under that of the output.
    pub(crate) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        x: ArrayView2<'_, f32>,
        dy: ArrayView2<'_, f32>,
    ) -> Array2<f32> {
        let dropout = back.pass.dropout;
        let Inner(mut active) = tape.take();
        let (weight, _) = self.fc2.parts(back.pass);
        self.fc2.count(back.pass, dy.nrows());
        let width = weight.nrows();
        let through = |first: usize, d_inner: &mut [f32], active: &mut [f32]| {
            let rows = d_inner.chunks_exact_mut(width.max(1)).zip(active.chunks_exact_mut(width.max(1)));
            for (row, (d_inner, active)) in rows.enumerate() {
                let first = (first + row) * width;
                dropout.apply_from(first, d_inner, self.site);
                self.activation.apply_and_back(active, d_inner);
                dropout.apply_from(first, active, self.site);
            }
        };
        let d_inner = product_beside(dy, weight.reversed_axes(), &mut active, through);
        self.fc2.add_gradients(back, active.view(), dy);
        drop(active);
        self.fc1.add_gradients(back, x, d_inner.view());
        self.fc1.input_gradient(back.pass, d_inner.view())
    }
}
