//! How the logits of packing become weights, and the derivative of that.

use pulp::{Simd, WithSimd};

use crate::error::Result;
use crate::linalg::lanes::{Path, elu, exp2, softplus2};
use crate::name::Params;

/// How the logits of packing become weights, which are never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// `log2(1 + 2^x)`: softplus with beta = ln 2, 1 at 0. The authors' code since August 2021, and its default here.
    #[default]
    Softplus,
    /// `elu(x) + 1`: the first version of the paper and the code.
    Elu,
}

impl Weight {
    /// Every weight.
    pub const ALL: [Self; 2] = [Self::Softplus, Self::Elu];

    /// The one that the parameter `weight` names.
    pub(crate) fn of(params: &Params<'_>) -> Result<Self> {
        let name: String = params.get("weight")?;
        let found = Self::ALL.into_iter().find(|weight| weight.name() == name);
        found.ok_or_else(|| params.refuse("weight", &name, "softplus or elu"))
    }

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Softplus => "softplus",
            Self::Elu => "elu",
        }
    }

    /// The weight of one logit; finite for every finite one.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            // torch's threshold: x itself where ln 2 x > 20
            Self::Softplus if x * std::f32::consts::LN_2 > 20.0 => x,
            Self::Softplus => x.exp2().ln_1p() * std::f32::consts::LOG2_E,
            Self::Elu if x > 0.0 => x + 1.0,
            Self::Elu => x.exp(),
        }
    }

    /// As [`apply`](Self::apply), in f64.
    pub fn exact(self, x: f64) -> f64 {
        match self {
            Self::Softplus => x.max(0.0) + (-x.abs()).exp2().ln_1p() / std::f64::consts::LN_2,
            Self::Elu => x.min(0.0).exp() + x.max(0.0),
        }
    }

    /// The weights of many logits, in place.
    pub(crate) fn apply_all(self, path: Path, x: &mut [f32]) {
        match self {
            Self::Softplus => path.run(Weights::<true>(x)),
            Self::Elu => path.run(Weights::<false>(x)),
        }
    }

    /// `d` becomes `scale d f'(z)`, which is known from the weights `w = f(z)` alone: `f' = 1 - 2^-w` of softplus,
    /// `min(w, 1)` of elu + 1.
    pub(crate) fn multiply_by_derivative(self, path: Path, d: &mut [f32], w: &[f32], scale: f32) {
        match self {
            Self::Softplus => path.run(Derivative::<true> { w, d, scale }),
            Self::Elu => path.run(Derivative::<false> { w, d, scale }),
        }
    }
}

/// Elements of the longest vector: what is left after the last whole vector is worked on in a buffer of this size.
const LONGEST: usize = 16;

/// Softplus if `SOFTPLUS`, else elu + 1.
struct Weights<'a, const SOFTPLUS: bool>(&'a mut [f32]);

impl<const SOFTPLUS: bool> WithSimd for Weights<'_, SOFTPLUS> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, rest) = S::as_mut_simd_f32s(self.0);
        for x in vectors {
            *x = if SOFTPLUS { softplus2(simd, *x) } else { elu(simd, *x) };
        }
        let mut buffer = [0.0; LONGEST];
        buffer[..rest.len()].copy_from_slice(rest);
        for x in S::as_mut_simd_f32s(&mut buffer).0 {
            *x = if SOFTPLUS { softplus2(simd, *x) } else { elu(simd, *x) };
        }
        rest.copy_from_slice(&buffer[..rest.len()]);
    }
}

/// Derivative from the weights of softplus if `SOFTPLUS`, else of elu + 1.
struct Derivative<'a, const SOFTPLUS: bool> {
    w: &'a [f32],
    d: &'a mut [f32],
    scale: f32,
}

impl<const SOFTPLUS: bool> WithSimd for Derivative<'_, SOFTPLUS> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) {
        let scale = simd.splat_f32s(self.scale);
        let (ds, d_rest) = S::as_mut_simd_f32s(self.d);
        let (ws, w_rest) = S::as_simd_f32s(self.w);
        for (d, w) in ds.iter_mut().zip(ws) {
            *d = simd.mul_f32s(simd.mul_f32s(*d, scale), derivative::<S, SOFTPLUS>(simd, *w));
        }
        let (mut d, mut w) = ([0.0; LONGEST], [0.0; LONGEST]);
        d[..d_rest.len()].copy_from_slice(d_rest);
        w[..w_rest.len()].copy_from_slice(w_rest);
        for (d, w) in S::as_mut_simd_f32s(&mut d).0.iter_mut().zip(S::as_simd_f32s(&w).0) {
            *d = simd.mul_f32s(simd.mul_f32s(*d, scale), derivative::<S, SOFTPLUS>(simd, *w));
        }
        d_rest.copy_from_slice(&d[..d_rest.len()]);
    }
}

#[inline(always)]
#[allow(clippy::inline_always)] // inlined into the vector instructions of its caller
fn derivative<S: Simd, const SOFTPLUS: bool>(simd: S, w: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    if !SOFTPLUS {
        return simd.min_f32s(w, one);
    }
    let [ln2, third, half, near] = [std::f32::consts::LN_2, 1.0 / 3.0, 0.5, 0.03].map(|x| simd.splat_f32s(x));
    let far = simd.sub_f32s(one, exp2(simd, simd.sub_f32s(simd.splat_f32s(0.0), w)));
    // Nothing is left of the difference where w is small: x - x^2/2 + x^3/6 with x = w ln 2.
    let x = simd.mul_f32s(w, ln2);
    let rest = simd.sub_f32s(one, simd.mul_f32s(x, third));
    let series = simd.mul_f32s(x, simd.sub_f32s(one, simd.mul_f32s(simd.mul_f32s(x, half), rest)));
    simd.select_f32s(simd.less_than_f32s(w, near), series, far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_one_at_a_time_and_slopes_are_differences() {
        let x: Vec<f32> = (-333..334).map(|i| i as f32 * 0.03).collect();
        for weight in [Weight::Softplus, Weight::Elu] {
            for path in Path::ALL {
                let mut w = x.clone();
                weight.apply_all(path, &mut w);
                let mut d = vec![1.0; x.len()];
                weight.multiply_by_derivative(path, &mut d, &w, 0.5);
                for ((x, w), d) in x.iter().zip(&w).zip(&d) {
                    let one = weight.apply(*x);
                    assert!((w - one).abs() <= 2e-6 * one, "{weight:?} {path:?} {x}: {w} and {one}");
                    let exact = |x: f64| match weight {
                        Weight::Softplus => x.exp2().ln_1p() / std::f64::consts::LN_2,
                        Weight::Elu if x > 0.0 => x + 1.0,
                        Weight::Elu => x.exp(),
                    };
                    let x = f64::from(*x);
                    let slope = (exact(x + 1e-6) - exact(x - 1e-6)) / 2e-6;
                    let at_the_bend = weight == Weight::Elu && x.abs() < 1e-5;
                    assert!(
                        at_the_bend || (f64::from(*d) * 2.0 - slope).abs() < 1e-5,
                        "{weight:?} {path:?} {x}"
                    );
                }
            }
        }
    }
}
