//! A mixture of experts in the place of a feed-forward network (GPT-OSS).

use ndarray::{Array2, ArrayViewMut2, Axis};

use super::config::Experts;
use super::family::Role;
use super::linear::Linear;
use super::load::Store;
use crate::Result;
use crate::linalg::gemm::{Threads, product, product_into};

/// Adds to each row the outputs of the experts that the router chose for it, weighted by a softmax over their scores.
///
/// Experts are read one after the other, each with the rows that it was chosen for.
pub(super) fn add_to(
    store: &Store,
    experts: Experts,
    layer: usize,
    mut to: ArrayViewMut2<'_, f32>,
    input: &Array2<f32>,
) -> Result<()> {
    let scores = Linear::load(store, (Role::Router, Role::RouterBias), layer, false)?.apply(input);
    let mut chosen: Vec<Vec<(usize, f32)>> = vec![Vec::new(); experts.count];
    for (row, scores) in scores.rows().into_iter().enumerate() {
        let mut order: Vec<usize> = (0..experts.count).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        order.truncate(experts.chosen);
        let weights: Vec<f32> = order.iter().map(|at| (scores[*at] - scores[order[0]]).exp()).collect();
        let sum: f32 = weights.iter().sum();
        for (at, weight) in order.into_iter().zip(weights) {
            chosen[at].push((row, weight / sum));
        }
    }
    let (gate_up_bias, down_bias) =
        (store.matrix(Role::GateUpBias, layer)?, store.matrix(Role::DownBias, layer)?);
    for (at, rows) in chosen.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        let places: Vec<usize> = rows.iter().map(|(row, _)| *row).collect();
        let x = input.select(Axis(0), &places);
        let weight = store.matrix_of(Role::GateUp, layer, at)?;
        let both = product(x.view(), weight.view(), Threads::All) + gate_up_bias.row(at);
        let inner = Array2::from_shape_fn((x.nrows(), both.ncols() / 2), |(i, j)| {
            experts.gated(both[[i, 2 * j]], both[[i, 2 * j + 1]])
        });
        let weight = store.matrix_of(Role::Down, layer, at)?;
        let mut out = Array2::zeros((x.nrows(), to.ncols()));
        out += &down_bias.row(at);
        product_into(out.view_mut(), 1.0, inner.view(), weight.view(), 1.0, Threads::All);
        for ((row, weight), out) in rows.iter().zip(out.rows()) {
            to.row_mut(*row).scaled_add(*weight, &out);
        }
    }
    Ok(())
}

impl Experts {
    /// `(up + 1) gate sigmoid(alpha gate)`, both bounded first.
    fn gated(self, gate: f32, up: f32) -> f32 {
        let limit = self.limit as f32;
        let (gate, up) = (gate.min(limit), up.clamp(-limit, limit));
        (up + 1.0) * gate / (1.0 + (-self.alpha as f32 * gate).exp())
    }
}
