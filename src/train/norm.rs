//! `LayerNorm` and its gradients.

use ndarray::{Array2, ArrayView2};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::columns::ROWS;
use super::parameters::{Layout, Numbers, Vector};
use crate::Result;
use crate::linalg::arrays::zeros;

/// Numbers that are summed side by side.
const LANES: usize = 16;

/// One `LayerNorm` over rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerNorm {
    gain: Vector,
    shift: Vector,
    eps: f32,
}

/// What the gradients need: each row less its mean over its deviation, and one over that.
#[derive(Debug)]
pub(super) struct Kept {
    unit: Array2<f32>,
    scale: Vec<f32>,
}

impl LayerNorm {
    /// `NAME.weight` and `NAME.bias`.
    pub(super) fn find(layout: &Layout, name: &str, eps: f64) -> Result<Self> {
        let gain = layout.vector(&format!("{name}.weight"))?;
        Ok(Self { gain, shift: layout.vector(&format!("{name}.bias"))?, eps: eps as f32 })
    }

    /// Rows (n, d), normalised.
    pub(super) fn forward(&self, numbers: Numbers<'_>, x: Array2<f32>) -> (Array2<f32>, Kept) {
        let mut unit = if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() };
        let (n, width) = unit.dim();
        let mut y = zeros((n, width));
        let mut scale = vec![0.0; n];
        let (gain, shift) = (self.gain.slice(numbers), self.shift.slice(numbers));
        if let (Some(units), Some(ys)) = (unit.as_slice_mut(), y.as_slice_mut()) {
            let rows = ROWS * width.max(1);
            let chunks =
                units.par_chunks_mut(rows).zip(ys.par_chunks_mut(rows)).zip(scale.par_chunks_mut(ROWS));
            chunks.for_each(|((unit, y), scale)| {
                pulp::Arch::new().dispatch(Forward { unit, y, scale, gain, shift, eps: self.eps });
            });
        }
        (y, Kept { unit, scale })
    }

    /// What [`forward`](Self::forward) gave, once more.
    pub(super) fn again(&self, numbers: Numbers<'_>, kept: &Kept) -> Array2<f32> {
        let mut y = &kept.unit * &self.gain.of(numbers);
        y += &self.shift.of(numbers);
        y
    }

    /// The gradient of the input under that of the output; adds those of gain and shift.
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        kept: &Kept,
        dy: ArrayView2<'_, f32>,
    ) -> Array2<f32> {
        let (n, width) = kept.unit.dim();
        let mut dx = zeros((n, width));
        let dy = dy.as_standard_layout();
        let gain = self.gain.slice(numbers);
        let mut parts = Vec::new();
        if let (Some(dx), Some(dy), Some(unit)) = (dx.as_slice_mut(), dy.as_slice(), kept.unit.as_slice()) {
            let rows = ROWS * width.max(1);
            let chunks = dx.par_chunks_mut(rows).zip(dy.par_chunks(rows)).zip(unit.par_chunks(rows));
            parts = chunks
                .zip(kept.scale.par_chunks(ROWS))
                .map(|(((dx, dy), unit), scale)| {
                    let mut sums = vec![0.0; 2 * width];
                    pulp::Arch::new().dispatch(Backward { dx, dy, unit, scale, gain, sums: &mut sums });
                    sums
                })
                .collect::<Vec<_>>();
        }
        for part in parts {
            let (of_gain, of_shift) = part.split_at(width);
            self.gain.of_mut(gradients).iter_mut().zip(of_gain).for_each(|(sum, x)| *sum += x);
            self.shift.of_mut(gradients).iter_mut().zip(of_shift).for_each(|(sum, x)| *sum += x);
        }
        dx
    }
}

/// Some rows to normalise. A type and not a closure, for the reason given in `linalg::softmax`.
struct Forward<'a> {
    unit: &'a mut [f32],
    y: &'a mut [f32],
    scale: &'a mut [f32],
    gain: &'a [f32],
    shift: &'a [f32],
    eps: f32,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.gain.len();
        let rows = self.unit.chunks_exact_mut(width).zip(self.y.chunks_exact_mut(width));
        for ((unit, y), scale) in rows.zip(self.scale) {
            let mean = dot(unit, unit, |x, _| x) / width as f32;
            for x in unit.iter_mut() {
                *x -= mean;
            }
            let variance = dot(unit, unit, |x, y| x * y) / width as f32;
            *scale = 1.0 / (variance + self.eps).sqrt();
            for x in unit.iter_mut() {
                *x *= *scale;
            }
            for (((y, x), gain), shift) in y.iter_mut().zip(unit).zip(self.gain).zip(self.shift) {
                *y = *x * gain + shift;
            }
        }
    }
}

/// The gradients of some rows: with u the unit rows and g the gradient times the gain,
/// `dx = (g - mean(g) - u mean(g u)) / deviation`.
struct Backward<'a> {
    dx: &'a mut [f32],
    dy: &'a [f32],
    unit: &'a [f32],
    scale: &'a [f32],
    gain: &'a [f32],
    /// Of the gain, then of the shift.
    sums: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.gain.len();
        let (of_gain, of_shift) = self.sums.split_at_mut(width);
        let rows = self.dx.chunks_exact_mut(width).zip(self.dy.chunks_exact(width));
        for (((dx, dy), unit), scale) in rows.zip(self.unit.chunks_exact(width)).zip(self.scale) {
            for ((dx, dy), gain) in dx.iter_mut().zip(dy).zip(self.gain) {
                *dx = dy * gain;
            }
            let mean = dot(dx, dx, |x, _| x) / width as f32;
            let along = dot(dx, unit, |x, y| x * y) / width as f32;
            for (dx, unit) in dx.iter_mut().zip(unit) {
                *dx = (*dx - mean - unit * along) * scale;
            }
            for ((sum, dy), unit) in of_gain.iter_mut().zip(dy).zip(unit) {
                *sum += dy * unit;
            }
            for (sum, dy) in of_shift.iter_mut().zip(dy) {
                *sum += dy;
            }
        }
    }
}

/// The sum of `term` over pairs of numbers.
#[inline(always)]
#[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
fn dot(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..LANES {
            lanes[i] += term(x[i], y[i]);
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| term(*x, *y)).sum();
    lanes.iter().sum::<f32>() + rest
}
