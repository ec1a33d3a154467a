//! The arithmetic of `LayerNorm` (Ba et al. 2016), forward and backward.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use ndarray::{Array2, ArrayView2};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::rows::ROWS;

/// Elements that are summed side by side.
const LANES: usize = 16;

/// Rows (n, d), each standardised, and one over the standard deviation of each.
#[derive(Debug)]
pub(crate) struct Standardised {
    pub(crate) unit: Array2<f32>,
    scale: Vec<f32>,
}

/// What every row has in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine<'a> {
    /// (d).
    pub(crate) gain: &'a [f32],
    /// (d).
    pub(crate) shift: &'a [f32],
    /// Added to the variance.
    pub(crate) eps: f32,
}

/// Rows (n, d) that `before` has changed, normalised, with `save` what [`gradient`] needs.
///
/// `before` is given the number of the first element of some rows, and those rows, just before they are normalised.
///
/// # Panics
/// If gain or shift have another length than d.
pub(crate) fn normalise(
    x: Array2<f32>,
    of: Affine<'_>,
    save: bool,
    before: impl Fn(usize, &mut [f32]) + Sync,
) -> (Array2<f32>, Option<Standardised>) {
    let mut unit = if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() };
    let (n, width) = unit.dim();
    assert_eq!([of.gain.len(), of.shift.len()], [width; 2], "shapes of a norm");
    let mut y = save.then(|| (Array2::uninit((n, width)), vec![0.0; n]));
    let rows = ROWS * width.max(1);
    let normalise = |(at, unit): (usize, &mut [f32]), to: Option<(&mut [_], &mut [f32])>| {
        before(at * rows, unit);
        pulp::Arch::new().dispatch(Forward { unit, to, of });
    };
    let units = unit.as_slice_mut().expect("in standard layout").par_chunks_mut(rows).enumerate();
    match &mut y {
        Some((y, scale)) => {
            let y = y.as_slice_mut().expect("a new array").par_chunks_mut(rows);
            let chunks = units.zip(y).zip(scale.par_chunks_mut(ROWS));
            chunks.for_each(|((unit, y), scale)| normalise(unit, Some((y, scale))));
        }
        None => units.for_each(|unit| normalise(unit, None)),
    }
    match y {
        // SAFETY: the tasks cover all rows, and each wrote every element of its own.
        Some((y, scale)) => (unsafe { y.assume_init() }, Some(Standardised { unit, scale })),
        None => (unit, None),
    }
}

/// The gradient of the rows (n, d) under that of the result, and those of gain and shift, part by part: in each part d
/// sums for the gain, then d for the shift.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn gradient(
    saved: &Standardised,
    gain: &[f32],
    dy: ArrayView2<'_, f32>,
) -> (Array2<f32>, Vec<Vec<f32>>) {
    let (n, width) = saved.unit.dim();
    assert_eq!((dy.dim(), gain.len()), ((n, width), width), "shapes of a norm");
    let mut dx = Array2::uninit((n, width));
    let dy = dy.as_standard_layout();
    let rows = ROWS * width.max(1);
    let to = dx.as_slice_mut().expect("a new array").par_chunks_mut(rows);
    let dy = dy.as_slice().expect("in standard layout").par_chunks(rows);
    let unit = saved.unit.as_slice().expect("in standard layout").par_chunks(rows);
    let chunks = to.zip(dy).zip(unit).zip(saved.scale.par_chunks(ROWS));
    let parts = chunks.map(|(((dx, dy), unit), scale)| {
        let mut sums = vec![0.0; 2 * width];
        pulp::Arch::new().dispatch(Gradient { dx, dy, unit, scale, gain, sums: &mut sums });
        sums
    });
    let parts = parts.collect();
    // SAFETY: the tasks cover all rows, and each wrote every element of its own.
    (unsafe { dx.assume_init() }, parts)
}

/// Some rows to normalise. A type and not a closure, for the reason given in `super::softmax`.
struct Forward<'a> {
    /// The rows, which become standardised ones, or without `to` the result.
    unit: &'a mut [f32],
    /// The result, and one over the standard deviation of each row.
    to: Option<(&'a mut [MaybeUninit<f32>], &'a mut [f32])>,
    of: Affine<'a>,
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
        let Self { unit, to, of: Affine { gain, shift, eps } } = self;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The layer's norm of one row in f64.
    fn reference(row: &[f32], of: Affine<'_>) -> Vec<f64> {
        let width = row.len() as f64;
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / width;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width;
        let scale = 1.0 / (variance + f64::from(of.eps)).sqrt();
        let affine = of.gain.iter().zip(of.shift);
        let rows = row.iter().zip(affine);
        rows.map(|(x, (gain, shift))| (f64::from(*x) - mean) * scale * f64::from(*gain) + f64::from(*shift))
            .collect()
    }

    #[test]
    fn rows_follow_an_f64_reference_and_gradients_its_differences() {
        for (n, width) in [(1, 1), (3, 5), (2, 16), (600, 37)] {
            let number = |i: usize, j: usize| ((i * 31 + j * 17) as f32).sin() * 2.0 + 0.5;
            let x = Array2::from_shape_fn((n, width), |(i, j)| number(i, j));
            let gain: Vec<f32> = (0..width).map(|j| 1.0 + 0.1 * number(7, j)).collect();
            let shift: Vec<f32> = (0..width).map(|j| number(9, j)).collect();
            let of = Affine { gain: &gain, shift: &shift, eps: 1e-5 };
            // What is done before counts elements in the order of rows, in every part.
            let before = |first: usize, rows: &mut [f32]| {
                rows.iter_mut().enumerate().for_each(|(i, x)| *x += 0.01 * ((first + i) % 5) as f32);
            };
            let mut changed = x.clone();
            before(0, changed.as_slice_mut().unwrap());
            let (y, saved) = normalise(x.clone(), of, true, before);
            assert_eq!(normalise(x.clone(), of, false, before).0, y);
            assert_eq!(
                normalise(x.t().as_standard_layout().into_owned().reversed_axes(), of, false, before).0,
                y
            );
            for (row, y) in changed.rows().into_iter().zip(y.rows()) {
                for (exact, y) in reference(row.as_slice().unwrap(), of).iter().zip(y) {
                    assert!((exact - f64::from(*y)).abs() < 1e-5, "{n} {width}: {exact} and {y}");
                }
            }
            let dy = Array2::from_shape_fn((n, width), |(i, j)| number(j, i + 3));
            let (dx, parts) = gradient(&saved.unwrap(), &gain, dy.view());
            let sums: Vec<f32> = (0..2 * width).map(|at| parts.iter().map(|part| part[at]).sum()).collect();
            for j in 0..width {
                let of_shift: f64 = dy.column(j).iter().map(|x| f64::from(*x)).sum();
                assert!((of_shift - f64::from(sums[width + j])).abs() < 1e-3, "{n} {width}");
            }
            for i in [0, n - 1] {
                for j in [0, width - 1] {
                    let at = |step: f32| {
                        let mut row = changed.row(i).to_vec();
                        row[j] += step;
                        let loss = reference(&row, of).into_iter().zip(dy.row(i));
                        loss.map(|(y, dy)| y * f64::from(*dy)).sum::<f64>()
                    };
                    // Of one element alone the variance is 0, and 1 / eps would be in the difference's error.
                    let off = (at(1e-3) - at(-1e-3)) / 2e-3 - f64::from(dx[(i, j)]);
                    assert!(width == 1 || off.abs() < 2e-3, "{n} {width}: off by {off}");
                }
            }
        }
    }
}
