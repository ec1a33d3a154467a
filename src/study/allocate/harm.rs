//! What a replaced head does to the output of the model: a number for every pass beside the pass of the model as trained.

use ndarray::{Array2, ArrayView1, Axis};
use rayon::prelude::*;

use crate::error::Result;
use crate::linalg::softmax::softmax_rows;
use crate::metric::Output;
use crate::model::{Model, ModelInput};

/// Positions whose predictions are compared: spread over the window, where it has more.
const POSITIONS: usize = 256;

/// The output of the model as it was trained, over one window.
pub(super) enum Exact {
    /// Of a language model: logits at some positions, and the probabilities of next tokens.
    Predictions { positions: Vec<usize>, logits: Array2<f32>, probabilities: Array2<f32> },
    /// Of any other: the last hidden states.
    Hidden(Output),
}

impl Exact {
    /// Of the last hidden states (n, d).
    pub(super) fn of(model: &Model, input: ModelInput<'_>, hidden: &Array2<f32>) -> Result<Self> {
        if let ModelInput::Tokens(_) = input
            && model.config().causal
        {
            let step = hidden.nrows().div_ceil(POSITIONS);
            let positions: Vec<usize> = (0..hidden.nrows()).step_by(step).collect();
            if let Some(logits) = model.logits(&hidden.select(Axis(0), &positions))? {
                let mut probabilities = logits.clone();
                softmax_rows(probabilities.view_mut());
                return Ok(Self::Predictions { positions, logits, probabilities });
            }
        }
        Ok(Self::Hidden(Output::new(hidden.clone())))
    }

    /// How far another pass is from it: the mean over positions of `sum p ln(p / p')` of the next-token distributions, in
    /// nats; without predictions `||H - H'||_F^2 / ||H||_F^2`.
    ///
    /// Both grow with the square of a small error.
    pub(super) fn harm(&self, model: &Model, hidden: &Array2<f32>) -> Result<f64> {
        match self {
            Self::Hidden(exact) => Ok(exact.compare(hidden.view()).rel_fro.powi(2)),
            Self::Predictions { positions, logits, probabilities } => {
                let Some(other) = model.logits(&hidden.select(Axis(0), positions))? else {
                    return Ok(f64::NAN);
                };
                let rows = (0..positions.len()).into_par_iter();
                let each: Vec<f64> =
                    rows.map(|row| kl(probabilities.row(row), logits.row(row), other.row(row))).collect();
                Ok(each.iter().sum::<f64>() / each.len() as f64)
            }
        }
    }
}

/// `sum p ln(p / q)` of `p = softmax(a)`, which is given, and `q = softmax(b)`.
///
/// With `x = b - a` less its mean under p it is `ln sum p e^x = ln(1 + sum p (e^x - 1 - x))`: nothing cancels where the two
/// are near to each other, and no exponential of a whole vocabulary is needed.
fn kl(p: ArrayView1<'_, f32>, a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    let all = || p.iter().zip(a).zip(b).map(|((p, a), b)| (f64::from(*p), f64::from(*b) - f64::from(*a)));
    let (mean, sum) = all().fold((0.0, 0.0), |(mean, sum), (p, x)| (mean + p * x, sum + p));
    let mean = mean / sum;
    let rest: f64 = all().map(|(p, x)| p * beyond_linear(x - mean)).sum();
    (rest / sum).ln_1p()
}

/// `e^x - 1 - x`, by its series where that converges fast.
fn beyond_linear(x: f64) -> f64 {
    if x.abs() > 0.5 {
        return x.exp() - 1.0 - x;
    }
    // x^2 (1/2! + x (1/3! + ...)); the first term left out is below 1e-13 of the sum.
    const COEFFICIENTS: [f64; 10] = [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
    ];
    x * x * COEFFICIENTS.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;
    use crate::rng::{normal, stream};

    fn reference(a: &Array1<f64>, b: &Array1<f64>) -> f64 {
        let log = |x: &Array1<f64>| x - x.mapv(f64::exp).sum().ln();
        let (a, b) = (log(a), log(b));
        a.iter().zip(&b).map(|(a, b)| a.exp() * (a - b)).sum()
    }

    #[test]
    fn divergences_of_any_size_are_those_of_f64() {
        let mut rng = stream(4, "divergences");
        for size in [1e-4_f32, 1e-2, 1.0, 5.0] {
            let a = normal(&mut rng, 1, 500).row(0).mapv(|x| 2.0 * x);
            // A shift of all logits changes nothing.
            let b = &a + &normal(&mut rng, 1, 500).row(0).mapv(|x| size * x + 3.0);
            let mut p = a.clone().insert_axis(Axis(0));
            softmax_rows(p.view_mut());
            let found = kl(p.row(0), a.view(), b.view());
            let expected = reference(&a.mapv(f64::from), &b.mapv(f64::from));
            assert!((found - expected).abs() < 1e-5 * expected, "{size}: {found} {expected}");
        }
    }

    #[test]
    fn the_series_meets_the_exponential() {
        for x in [-0.5_f64, -0.3, 0.2, 0.4999] {
            assert!((beyond_linear(x) / (x.exp() - 1.0 - x) - 1.0).abs() < 1e-12, "{x}");
        }
        assert_eq!(beyond_linear(0.0), 0.0);
    }
}
