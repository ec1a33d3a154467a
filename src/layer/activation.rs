//! Activations of feed-forward networks, over whole arrays at once.

use ndarray::Array2;

use crate::linalg::rows::each_row;
use crate::linalg::softmax::exp;
use crate::{Error, Result, name};

/// An activation, applied to each element by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x Phi(x), with the normal distribution function itself.
    Gelu,
    /// Gelu with Phi approximated by a tanh.
    GeluTanh,
    /// Gelu with Phi approximated by the logistic function of 1.702 x (CLIP).
    GeluQuick,
    /// max(x, 0).
    Relu,
    /// x / (1 + e^-x), also called swish.
    Silu,
}

const NAMES: &[(&str, Activation)] = &[
    ("gelu", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("quick_gelu", Activation::GeluQuick),
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
];

impl Activation {
    /// By Hugging Face's name; an unknown one answers with the list.
    pub fn find(activation: &str) -> Result<Self> {
        let known = || NAMES.iter().map(|(name, _)| *name);
        let found = NAMES.iter().find(|(name, _)| *name == activation);
        found.map(|(_, activation)| *activation).ok_or_else(|| Error::UnknownName {
            kind: "activation",
            name: activation.to_string(),
            suggestion: name::suggest(activation, known()),
            known: known().map(String::from).collect(),
        })
    }

    /// The first of the names that [`find`](Self::find) knows it by.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, activation)| *activation == self).map_or("gelu", |(name, _)| name)
    }

    /// Applies the activation in place, rows in parallel.
    pub(crate) fn apply(self, x: &mut Array2<f32>) {
        each_row(x.view_mut(), |row| self.apply_slice(row));
    }

    /// Applies the activation in place, and multiplies each element of `d`, which is as long, by its derivative there.
    pub(crate) fn apply_and_back(self, x: &mut [f32], d: &mut [f32]) {
        match self {
            // x phi(x) + Phi(x), with phi the density
            Self::Gelu => both(x, d, |x| {
                let phi = normal_cdf(x);
                (x * phi, phi + x * 0.398_942_3 * exp(-0.5 * x * x))
            }),
            Self::GeluTanh => both(x, d, |x| {
                let share = sigmoid(1.595_769_2 * (x + 0.044_715 * x * x * x));
                let inner = 1.595_769_2 * (1.0 + 0.134_145 * x * x);
                (x * share, share + x * share * (1.0 - share) * inner)
            }),
            Self::GeluQuick => both(x, d, |x| {
                let share = sigmoid(1.702 * x);
                (x * share, share + 1.702 * x * share * (1.0 - share))
            }),
            Self::Relu => both(x, d, |x| if x > 0.0 { (x, 1.0) } else { (0.0, 0.0) }),
            Self::Silu => both(x, d, |x| {
                let share = sigmoid(x);
                (x * share, share + x * share * (1.0 - share))
            }),
        }
    }

    pub(super) fn apply_slice(self, row: &mut [f32]) {
        match self {
            Self::Gelu => multiply(row, normal_cdf),
            // (1 + tanh u) / 2 = sigmoid(2 u)
            Self::GeluTanh => multiply(row, |x| sigmoid(1.595_769_2 * (x + 0.044_715 * x * x * x))),
            Self::GeluQuick => multiply(row, |x| sigmoid(1.702 * x)),
            Self::Relu => multiply(row, |x| if x > 0.0 { 1.0 } else { 0.0 }),
            Self::Silu => multiply(row, sigmoid),
        }
    }
}

/// x becomes x times `factor` of x.
fn multiply(row: &mut [f32], factor: impl Fn(f32) -> f32) {
    pulp::Arch::new().dispatch(Multiply { row, factor });
}

/// x becomes the first of what `pair` makes of it, and d is multiplied by the second.
fn both(row: &mut [f32], d: &mut [f32], pair: impl Fn(f32) -> (f32, f32)) {
    pulp::Arch::new().dispatch(Both { row, d, pair });
}

struct Both<'a, F> {
    row: &'a mut [f32],
    d: &'a mut [f32],
    pair: F,
}

impl<F: Fn(f32) -> (f32, f32)> pulp::WithSimd for Both<'_, F> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (x, d) in self.row.iter_mut().zip(self.d) {
            let (active, derivative) = (self.pair)(*x);
            *x = active;
            *d *= derivative;
        }
    }
}

/// A type and not a closure, for the reason given in `linalg::softmax`.
struct Multiply<'a, F> {
    row: &'a mut [f32],
    factor: F,
}

impl<F: Fn(f32) -> f32> pulp::WithSimd for Multiply<'_, F> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for x in self.row {
            *x *= (self.factor)(*x);
        }
    }
}

#[inline(always)]
#[allow(clippy::inline_always)] // as for `exp`: inlined into its caller's vector instructions
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Phi, the distribution function of the normal distribution, within 1.2e-7.
///
/// The tail Phi(-z) is e^(-z^2 / 2) times a smooth function, which is a polynomial of degree 9 in
/// 2 / (1 + 0.35 z) - 1, interpolated at Chebyshev's nodes for z in 0..14 (error 5e-9).
#[inline(always)]
#[allow(clippy::inline_always)] // as for `exp`
fn normal_cdf(x: f32) -> f32 {
    let z = x.abs();
    let u = 2.0 / (1.0 + 0.35 * z) - 1.0;
    let p = -4.872_685_6e-5_f32;
    let p = p * u + 3.937_510_4e-5;
    let p = p * u + 4.455_839_7e-4;
    let p = p * u - 5.217_471_7e-4;
    let p = p * u - 3.429_903_5e-3;
    let p = p * u + 2.559_321_2e-3;
    let p = p * u + 4.066_620_7e-2;
    let p = p * u + 0.121_297_7;
    let p = p * u + 0.212_370_05;
    let p = p * u + 0.126_622_13;
    let tail = p * exp(-0.5 * z * z);
    if x > 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Phi by its series x phi(x) (1 + x^2/3 + x^4/15 + ...), all of one sign, in f64.
    fn reference(x: f64) -> f64 {
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while f64::abs(term) > 1e-18 * f64::abs(sum) {
            k += 2.0;
            term *= x * x / k;
            sum += term;
        }
        0.5 + sum * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
    }

    const ALL: [Activation; 5] =
        [Activation::Gelu, Activation::GeluTanh, Activation::GeluQuick, Activation::Silu, Activation::Relu];

    fn check(activation: Activation, exact: impl Fn(f64) -> f64) {
        let x: Vec<f32> = (-4000..=4000).map(|i| i as f32 * 1.5e-3 + 1e-4).collect();
        let mut y = Array2::from_shape_vec((1, x.len()), x.clone()).unwrap();
        activation.apply(&mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let exact = exact(f64::from(x));
            let off = (f64::from(y) - exact).abs();
            assert!(off < 2.4e-7 * f64::from(x.abs().max(1.0)), "{activation:?}({x}) is off by {off:e}");
        }
    }

    #[test]
    fn activations_follow_f64_references() {
        check(Activation::Gelu, |x| x * reference(x));
        check(Activation::GeluTanh, |x| {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        });
        check(Activation::GeluQuick, |x| x / (1.0 + (-1.702 * x).exp()));
        check(Activation::Silu, |x| x / (1.0 + (-x).exp()));
        check(Activation::Relu, |x| x.max(0.0));
    }

    #[test]
    fn derivatives_are_those_of_the_activation() {
        for activation in ALL {
            let at = |shift: f32| {
                let x: Vec<f32> = (-400..400).map(|i| i as f32 * 0.0125 + 0.004 + shift).collect();
                Array2::from_shape_vec((2, 400), x).unwrap()
            };
            let (mut low, mut high, mut x) = (at(-2e-3), at(2e-3), at(0.0));
            let mut value = x.clone();
            activation.apply(&mut value);
            activation.apply(&mut low);
            activation.apply(&mut high);
            let mut derivatives = Array2::ones(x.raw_dim());
            activation.apply_and_back(x.as_slice_mut().unwrap(), derivatives.as_slice_mut().unwrap());
            assert!((&x - &value).iter().all(|off| off.abs() < 1e-6), "{activation:?}");
            let differences = (high - low) / 4e-3;
            let off = (&differences - &derivatives).fold(0.0_f32, |max, off| max.max(off.abs()));
            assert!(off < 1e-3, "{activation:?}: {off}");
        }
        let (mut x, mut derivatives) = ([-1e4, 1e4], [1.0; 2]);
        Activation::Gelu.apply_and_back(&mut x, &mut derivatives);
        assert_eq!((x, derivatives), ([0.0, 1e4], [0.0, 1.0]));
    }

    #[test]
    fn large_numbers_stay_finite() {
        for activation in ALL {
            let mut x = ndarray::array![[-1e4, -90.0, -30.0, 0.0, 30.0, 90.0, 1e4]];
            activation.apply(&mut x);
            for (found, exact) in x.iter().zip([0.0, 0.0, 0.0, 0.0, 30.0, 90.0, 1e4]) {
                assert!((found - exact).abs() < 1e-8, "{activation:?}: {x}");
            }
        }
    }
}
