//! `LayerNorm` and its gradients.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use ndarray::{Array2, ArrayView2};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::config::EPS;
use super::pass::{Backward, Pass, Tape};
use super::weights::{Init, Layout, Vector};
use crate::linalg::rows::ROWS;

/// Elements that are summed side by side.
const LANES: usize = 16;

/// One `LayerNorm` over rows of d elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    gain: Vector,
    shift: Vector,
    eps: f32,
}

/// Saved activations: each row standardised, and one over its standard deviation.
#[derive(Debug)]
pub(super) struct Standardised {
    unit: Array2<f32>,
    scale: Vec<f32>,
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

    /// Rows (n, d) that `before` has changed, normalised, with what the gradient needs if that is asked for.
    ///
    /// `before` is given the number of the first element of some rows, and those rows, just before they are normalised.
    pub(super) fn normalise(
        &self,
        pass: Pass<'_>,
        x: Array2<f32>,
        save: bool,
        before: impl Fn(usize, &mut [f32]) + Sync,
    ) -> (Array2<f32>, Option<Standardised>) {
        let mut unit = if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() };
        let (n, width) = unit.dim();
        let (gain, shift) = (self.gain.slice(pass), self.shift.slice(pass));
        let mut y = save.then(|| (Array2::uninit((n, width)), vec![0.0; n]));
        let rows = ROWS * width.max(1);
        let normalise = |(at, unit): (usize, &mut [f32]), to: Option<(&mut [_], &mut [f32])>| {
            before(at * rows, unit);
            pulp::Arch::new().dispatch(Forward { unit, to, gain, shift, eps: self.eps });
        };
        if let Some(units) = unit.as_slice_mut() {
            let units = units.par_chunks_mut(rows).enumerate();
            match &mut y {
                Some((y, scale)) => {
                    let y = y.as_slice_mut().unwrap_or_default().par_chunks_mut(rows);
                    let chunks = units.zip(y).zip(scale.par_chunks_mut(ROWS));
                    chunks.for_each(|((unit, y), scale)| normalise(unit, Some((y, scale))));
                }
                None => units.for_each(|unit| normalise(unit, None)),
            }
        }
        match y {
            // SAFETY: each task wrote every element of its rows.
            Some((y, scale)) => (unsafe { y.assume_init() }, Some(Standardised { unit, scale })),
            None => (unit, None),
        }
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
        let (n, width) = saved.unit.dim();
        let mut dx = Array2::uninit((n, width));
        let dy = dy.as_standard_layout();
        let gain = self.gain.slice(back.pass);
        let mut parts = Vec::new();
        if let (Some(dx), Some(dy), Some(unit)) = (dx.as_slice_mut(), dy.as_slice(), saved.unit.as_slice()) {
            let rows = ROWS * width.max(1);
            let chunks = dx.par_chunks_mut(rows).zip(dy.par_chunks(rows)).zip(unit.par_chunks(rows));
            parts = chunks
                .zip(saved.scale.par_chunks(ROWS))
                .map(|(((dx, dy), unit), scale)| {
                    let mut sums = vec![0.0; 2 * width];
                    pulp::Arch::new().dispatch(Gradient { dx, dy, unit, scale, gain, sums: &mut sums });
                    sums
                })
                .collect::<Vec<_>>();
        }
        for part in parts {
            let (of_gain, of_shift) = part.split_at(width);
            self.gain.of_mut(back.gradients).iter_mut().zip(of_gain).for_each(|(sum, x)| *sum += x);
            self.shift.of_mut(back.gradients).iter_mut().zip(of_shift).for_each(|(sum, x)| *sum += x);
        }
        // SAFETY: each task wrote every element of its rows.
        unsafe { dx.assume_init() }
    }
}

/// Some rows to normalise. A type and not a closure, for the reason given in `linalg::softmax`.
struct Forward<'a> {
    /// The rows, which become standardised ones, or without `to` the result.
    unit: &'a mut [f32],
    /// The result, and one over the standard deviation of each row.
    to: Option<(&'a mut [MaybeUninit<f32>], &'a mut [f32])>,
    gain: &'a [f32],
    shift: &'a [f32],
    eps: f32,
}

impl Forward<'_> {
    /// Standardises a row and returns one over its standard deviation.
    #[inline(always)]
    #[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
    fn standardise(row: &mut [f32], eps: f32) -> f32 {
        let width = row.len() as f32;
        let mean = dot(row, row, |x, _| x) / width;
        for x in row.iter_mut() {
            *x -= mean;
        }
        let variance = dot(row, row, |x, y| x * y) / width;
        let scale = 1.0 / (variance + eps).sqrt();
        for x in row.iter_mut() {
            *x *= scale;
        }
        scale
    }
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, _: S) {
        let Self { unit, to, gain, shift, eps } = self;
        let rows = unit.chunks_exact_mut(gain.len().max(1));
        match to {
            Some((y, scale)) => {
                for ((unit, y), scale) in rows.zip(y.chunks_exact_mut(gain.len().max(1))).zip(scale) {
                    *scale = Self::standardise(unit, eps);
                    for (((y, x), gain), shift) in y.iter_mut().zip(unit).zip(gain).zip(shift) {
                        y.write(*x * gain + shift);
                    }
                }
            }
            None => {
                for unit in rows {
                    Self::standardise(unit, eps);
                    for ((x, gain), shift) in unit.iter_mut().zip(gain).zip(shift) {
                        *x = *x * gain + shift;
                    }
                }
            }
        }
    }
}

/// The gradients of some rows: with u the unit rows and g the gradient times the gain,
/// `dx = (g - mean(g) - u mean(g u)) / deviation`.
struct Gradient<'a> {
    dx: &'a mut [MaybeUninit<f32>],
    dy: &'a [f32],
    unit: &'a [f32],
    scale: &'a [f32],
    gain: &'a [f32],
    /// Of the gain, then of the shift.
    sums: &'a mut [f32],
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.gain.len();
        let (of_gain, of_shift) = self.sums.split_at_mut(width);
        let rows = self.dx.chunks_exact_mut(width).zip(self.dy.chunks_exact(width));
        for (((dx, dy), unit), scale) in rows.zip(self.unit.chunks_exact(width)).zip(self.scale) {
            let [mean, along] = along(dy, self.gain, unit).map(|sum| sum / width as f32);
            for (((dx, dy), gain), unit) in dx.iter_mut().zip(dy).zip(self.gain).zip(unit) {
                dx.write((dy * gain - mean - unit * along) * scale);
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

/// The sums of g and of g u, with g = dy gain, over the elements of a row.
#[inline(always)]
#[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
fn along(dy: &[f32], gain: &[f32], unit: &[f32]) -> [f32; 2] {
    let [(dy, dy_rest), (gain, gain_rest), (unit, unit_rest)] =
        [dy, gain, unit].map(<[f32]>::as_chunks::<LANES>);
    let (mut of_g, mut of_gu) = ([0.0; LANES], [0.0; LANES]);
    for ((dy, gain), unit) in dy.iter().zip(gain).zip(unit) {
        for i in 0..LANES {
            let g = dy[i] * gain[i];
            of_g[i] += g;
            of_gu[i] += g * unit[i];
        }
    }
    let mut rest = [0.0, 0.0];
    for ((dy, gain), unit) in dy_rest.iter().zip(gain_rest).zip(unit_rest) {
        let g = dy * gain;
        rest[0] += g;
        rest[1] += g * unit;
    }
    [of_g.iter().sum::<f32>() + rest[0], of_gu.iter().sum::<f32>() + rest[1]]
}

/// The sum of `term` over pairs of elements.
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
