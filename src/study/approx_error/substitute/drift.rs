//! What changes at the end of a model: hidden states, and what a language model predicts from them.

use ndarray::{Array2, ArrayView1, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::linalg::divergence::Divergence;
use crate::linalg::softmax::softmax_rows;
use crate::metric::Output;
use crate::model::{Model, ModelInput};
use crate::sweep::bits;

/// Rows of logits that are held at once: a vocabulary is wide.
const BLOCK: usize = 64;

/// How far a pass with stand-ins is from the pass of the model as it was trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::study) struct Drift {
    /// `||H - H'||_F / ||H||_F` of the last hidden states.
    #[serde(with = "bits")]
    pub(in crate::study) hidden_rel_fro: f64,
    /// Mean over tokens of the cosine between the two hidden states.
    #[serde(with = "bits")]
    pub(in crate::study) hidden_cosine: f64,
    /// Of a language model.
    pub(in crate::study) prediction: Option<Prediction>,
}

/// Means over the positions that have a next token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::study) struct Prediction {
    /// Negative log likelihood of the next token, of the model as it was trained, in nats.
    #[serde(with = "bits")]
    pub(in crate::study) nll_exact: f64,
    /// The same with the stand-ins.
    #[serde(with = "bits")]
    pub(in crate::study) nll: f64,
    /// `sum p ln(p / p')` of the two next-token distributions, in nats.
    #[serde(with = "bits")]
    pub(in crate::study) kl: f64,
    /// Share of positions at which the most probable next token is the same.
    #[serde(with = "bits")]
    pub(in crate::study) top1: f64,
}

impl Drift {
    /// What grows with the square of a small error: the divergence of the predictions, or the squared distance of the hidden
    /// states where nothing is predicted.
    pub(in crate::study) fn harm(&self) -> f64 {
        self.prediction.map_or(self.hidden_rel_fro.powi(2), |p| p.kl)
    }

    /// Compares two last hidden states (n, d) of the same input.
    pub(in crate::study) fn of(
        model: &Model,
        input: ModelInput<'_>,
        exact: &Array2<f32>,
        other: &Array2<f32>,
    ) -> Result<Self> {
        let hidden = Output::new(exact.clone()).compare(other.view());
        let prediction = match input {
            ModelInput::Tokens(ids) if model.config().causal => predict(model, ids, exact, other)?,
            _ => None,
        };
        Ok(Self {
            hidden_rel_fro: hidden.rel_fro,
            hidden_cosine: hidden.cosine.unwrap_or(f64::NAN),
            prediction,
        })
    }
}

fn predict(
    model: &Model,
    ids: &[u32],
    exact: &Array2<f32>,
    other: &Array2<f32>,
) -> Result<Option<Prediction>> {
    let last = ids.len().saturating_sub(1);
    let mut sums = Prediction::default();
    for from in (0..last).step_by(BLOCK) {
        let to = (from + BLOCK).min(last);
        let logits = |hidden: &Array2<f32>| model.logits(&hidden.slice(s![from..to, ..]).to_owned());
        let (Some(exact), Some(other)) = (logits(exact)?, logits(other)?) else { return Ok(None) };
        let mut p = exact.clone();
        p.axis_iter_mut(Axis(0)).into_par_iter().for_each(|row| softmax_rows(row.insert_axis(Axis(0))));
        let rows = (0..to - from).into_par_iter().map(|row| {
            let (p, a, b) = (p.row(row), exact.row(row), other.row(row));
            let Divergence { kl, log_ratio } = Divergence::of(p, a, b);
            let (most, next) = (largest(a), ids[from + row + 1] as usize);
            // ln sum e^a, from the largest of the probabilities.
            let log_sum = f64::from(a[most]) - f64::from(p[most]).ln();
            Prediction {
                nll_exact: log_sum - f64::from(a[next]),
                nll: log_sum + log_ratio - f64::from(b[next]),
                kl,
                top1: f64::from(u8::from(most == largest(b))),
            }
        });
        // Summed in the order of the positions, whichever thread had them.
        for row in rows.collect::<Vec<_>>() {
            sums.nll_exact += row.nll_exact;
            sums.nll += row.nll;
            sums.kl += row.kl;
            sums.top1 += row.top1;
        }
    }
    let count = last as f64;
    Ok((last > 0).then(|| Prediction {
        nll_exact: sums.nll_exact / count,
        nll: sums.nll / count,
        kl: sums.kl / count,
        top1: sums.top1 / count,
    }))
}

fn largest(row: ArrayView1<'_, f32>) -> usize {
    let first = (0, f32::NEG_INFINITY);
    row.iter().enumerate().fold(first, |most, (at, x)| if *x >= most.1 { (at, *x) } else { most }).0
}
