//! What a replaced head does to the output of the model: a number for every pass beside the pass of the model as trained.

use ndarray::{Array2, ArrayView1, Axis};
use rayon::prelude::*;

use crate::error::Result;
use crate::metric::Output;
use crate::model::{Model, ModelInput};

/// Positions whose predictions are compared: spread over the window, where it has more.
const POSITIONS: usize = 256;

/// The output of the model as it was trained, over one window.
pub(super) enum Exact {
    /// Of a language model: logits at some positions, and the logarithm of the sum of their exponentials.
    Predictions { positions: Vec<usize>, logits: Array2<f32>, sums: Vec<f64> },
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
                let sums = (0..positions.len()).map(|row| sum(logits.row(row))).collect();
                return Ok(Self::Predictions { positions, logits, sums });
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
            Self::Predictions { positions, logits, sums } => {
                let Some(other) = model.logits(&hidden.select(Axis(0), positions))? else {
                    return Ok(f64::NAN);
                };
                let rows = (0..positions.len()).into_par_iter();
                let each: Vec<f64> = rows.map(|row| kl(logits.row(row), sums[row], other.row(row))).collect();
                Ok(each.iter().sum::<f64>() / each.len() as f64)
            }
        }
    }
}

/// The logarithm of the sum of exponentials.
fn sum(logits: ArrayView1<'_, f32>) -> f64 {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, x| largest.max(f64::from(*x)));
    largest + logits.iter().map(|x| (f64::from(*x) - largest).exp()).sum::<f64>().ln()
}

fn kl(exact: ArrayView1<'_, f32>, exact_sum: f64, other: ArrayView1<'_, f32>) -> f64 {
    let other_sum = sum(other);
    let terms = exact.iter().zip(other).map(|(a, b)| {
        let (a, b) = (f64::from(*a) - exact_sum, f64::from(*b) - other_sum);
        a.exp() * (a - b)
    });
    // Rounding may leave a sum below 0, which no divergence is.
    terms.sum::<f64>().max(0.0)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_divergence_by_hand_grows_with_the_square() {
        let exact = array![0.0_f32, 0.0];
        let of = |step: f32| kl(exact.view(), sum(exact.view()), array![step, 0.0].view());
        let p = 1.0 / (1.0 + (-1.0_f64).exp());
        assert!((of(1.0) - 0.5 * ((0.5 / p).ln() + (0.5 / (1.0 - p)).ln())).abs() < 1e-7);
        assert_eq!(of(0.0), 0.0);
        assert!((of(0.02) / of(0.01) - 4.0).abs() < 1e-3);
    }
}
