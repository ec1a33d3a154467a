//! The decays of causal Luna's heads: none, the same for all, or one that each head learns.

use ndarray::{ArrayView3, s};

use super::pass::{Backward, Pass};
use super::rows::Rows;
use super::weights::{Init, Layout, Vector};
use crate::attention::luna_causal::{Average, Decay};

/// The decays of h heads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decays {
    average: Average,
    heads: usize,
    /// Of each head, where they are learned.
    logits: Option<Vector>,
}

/// Arrays (h, rows, width) beside their gradients.
type WithGradients<'a> = [ArrayView3<'a, f32>; 2];

impl Decays {
    /// Declares `decay` (h) below `name` where every head learns its own.
    pub(super) fn declare(layout: &mut Layout, name: &str, heads: usize, average: Average) -> Self {
        let learned = average == Average::Learned;
        let logits = learned.then(|| layout.vector(format!("{name}.decay"), heads, Init::Decays));
        Self { average, heads, logits }
    }

    /// The decay of every head.
    pub(super) fn of(self, pass: Pass<'_>) -> Vec<Decay> {
        match self.logits {
            Some(logits) => logits.slice(pass).iter().map(|x| Decay::of_logit(f64::from(*x))).collect(),
            None => vec![self.average.fixed().unwrap_or_default(); self.heads],
        }
    }

    /// Adds the gradients of the logits, where they are learned, from what else the backward pass has found: of what
    /// queries give (queries and outputs), and of what keys give (keys and values).
    ///
    /// Row t reads row j times `a^(t-j) / Z_t`, so that the derivative by ln a is `t - j` less the mean age of what t reads,
    /// times what the pair gives to the loss. Over j the latter sums to `q_t . dq_t` (by way of the logits) and
    /// `y_t . dy_t` (of the values), over t to `k_j . dk_j` and `v_j . dv_j`.
    pub(super) fn backward(
        self,
        back: &mut Backward<'_>,
        rows: &Rows,
        by_queries: [WithGradients<'_>; 2],
        by_keys: [WithGradients<'_>; 2],
    ) {
        let Some(logits) = self.logits else { return };
        let longest = rows.longest();
        let decays = self.of(back.pass);
        for ((head, decay), sum) in decays.iter().enumerate().zip(logits.of_mut(back.gradients)) {
            let ages: Vec<f64> = (1..=longest).map(|seen| decay.age(seen)).collect();
            let of_rows = rows.each().flat_map(Iterator::enumerate).map(|(t, row)| {
                let [queries, keys] = [&by_queries, &by_keys].map(|pairs| dots(pairs, head, row));
                (t as f64 - ages[t]) * queries - t as f64 * keys
            });
            *sum += (of_rows.sum::<f64>() * decay.lost()) as f32;
        }
    }
}

/// The products of one row of arrays and of their gradients, summed.
fn dots(pairs: &[WithGradients<'_>; 2], head: usize, row: usize) -> f64 {
    let dot = |pair: &WithGradients<'_>| {
        let [x, d] = pair.each_ref().map(|x| x.slice(s![head, row, ..]));
        x.iter().zip(d).map(|(x, d)| f64::from(*x) * f64::from(*d)).sum::<f64>()
    };
    pairs.iter().map(dot).sum()
}
