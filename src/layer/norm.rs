//! `LayerNorm` and its gradients.

use ndarray::{Array2, ArrayView2};

use super::config::EPS;
use super::pass::{Backward, Pass, Tape};
use super::weights::{Init, Layout, Vector};
use crate::linalg::standardise::{Affine, Standardised, gradient, normalise};

/// One `LayerNorm` over rows of d elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    gain: Vector,
    shift: Vector,
    eps: f32,
}

impl LayerNorm {
    /// Declares `NAME.weight` and `NAME.bias`.
    pub(crate) fn declare(layout: &mut Layout, name: &str, d: usize) -> Self {
        let gain = layout.vector(format!("{name}.weight"), d, Init::Constant(1.0));
        let shift = layout.vector(format!("{name}.bias"), d, Init::Constant(0.0));
        Self { gain, shift, eps: EPS as f32 }
    }

    /// Rows (n, d), normalised: in place without a tape.
    pub(crate) fn forward(&self, pass: Pass<'_>, x: Array2<f32>, tape: Option<&mut Tape>) -> Array2<f32> {
        let (y, saved) = self.normalise(pass, x, tape.is_some(), |_, _| ());
        if let (Some(tape), Some(saved)) = (tape, saved) {
            tape.save(saved);
        }
        y
    }

    /// The gradient of the input of [`forward`](Self::forward) under that of its output; adds those of gain and shift.
    pub(crate) fn backward(&self, back: &mut Backward<'_>, tape: &mut Tape, dy: Array2<f32>) -> Array2<f32> {
        let saved: Standardised = tape.take();
        self.gradient(back, &saved, dy.view())
    }

    /// Rows (n, d) that `before` has changed, normalised, with what the gradient needs if that is asked for: see
    /// [`normalise`].
    pub(super) fn normalise(
        &self,
        pass: Pass<'_>,
        x: Array2<f32>,
        save: bool,
        before: impl Fn(usize, &mut [f32]) + Sync,
    ) -> (Array2<f32>, Option<Standardised>) {
        let (gain, shift) = (self.gain.slice(pass), self.shift.slice(pass));
        normalise(x, Affine { gain, shift, eps: self.eps }, save, before)
    }

    /// What [`normalise`](Self::normalise) gave, computed again.
    pub(super) fn again(&self, pass: Pass<'_>, saved: &Standardised) -> Array2<f32> {
        let mut y = &saved.unit * &self.gain.of(pass);
        y += &self.shift.of(pass);
        y
    }

    /// The gradient of the input under that of the output; adds those of gain and shift.
    pub(super) fn gradient(
        &self,
        back: &mut Backward<'_>,
        saved: &Standardised,
        dy: ArrayView2<'_, f32>,
    ) -> Array2<f32> {
        let (dx, parts) = gradient(saved, self.gain.slice(back.pass), dy);
        for part in parts {
            let (of_gain, of_shift) = part.split_at(part.len() / 2);
            self.gain.of_mut(back.gradients).iter_mut().zip(of_gain).for_each(|(sum, x)| *sum += x);
            self.shift.of_mut(back.gradients).iter_mut().zip(of_shift).for_each(|(sum, x)| *sum += x);
        }
        dx
    }
}
