//! Running sums of linear attention, a row at a time.

use ndarray::{Array1, Array2, ArrayView1};

use super::phi::{EPS, phi};
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::past::Past;

/// Weighted values and weights, summed over the past.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    /// (features, `d_v`).
    values: Array2<f32>,
    /// (features).
    keys: Array1<f32>,
}

impl Sums {
    pub(super) fn new(features: usize, d_v: usize) -> Self {
        Self { values: Array2::zeros((features, d_v)), keys: Array1::zeros(features) }
    }
}

impl Past for Sums {
    /// Queries and keys are not scaled.
    fn push(&mut self, _: &Arrays<'_>, _: f32, [q, k, v]: [ArrayView1<'_, f32>; 3]) -> Array1<f32> {
        let [q, k] = [q, k].map(|x| x.mapv(phi));
        for (mut row, weight) in self.values.rows_mut().into_iter().zip(&k) {
            row.scaled_add(*weight, &v);
        }
        self.keys += &k;
        let weight = q.dot(&self.keys) + EPS;
        q.dot(&self.values) / weight
    }

    fn copy(&self) -> Box<dyn Past> {
        Box::new(self.clone())
    }
}
