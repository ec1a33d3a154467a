//! What a replaced head does to the output of the model: a number for every pass beside the pass of the model as trained.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::error::Result;
use crate::linalg::divergence::Divergence;
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
                let each: Vec<f64> = rows
                    .map(|row| Divergence::of(probabilities.row(row), logits.row(row), other.row(row)).kl)
                    .collect();
                Ok(each.iter().sum::<f64>() / each.len() as f64)
            }
        }
    }
}
