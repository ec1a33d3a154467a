//! Running sums of Performer's features under the largest exponent so far, a row at a time.

use ndarray::{Array1, Array2, ArrayView1};

use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::past::Past;

/// What belongs to eps is summed apart, since it does not shrink when the maximum rises.
#[derive(Clone, Debug)]
pub(super) struct Features {
    /// Weighted values, (l, `d_v`).
    values: Array2<f32>,
    /// Weights, (l).
    keys: Array1<f32>,
    /// Values, (`d_v`).
    plain: Array1<f32>,
    eps: f32,
    rows: usize,
    max: f32,
}

impl Features {
    pub(super) fn new(l: usize, d_v: usize, eps: f32) -> Self {
        let (values, keys, plain) = (Array2::zeros((l, d_v)), Array1::zeros(l), Array1::zeros(d_v));
        Self { values, keys, plain, eps, rows: 0, max: f32::NEG_INFINITY }
    }
}

impl Past for Features {
    fn push(&mut self, arrays: &Arrays<'_>, scale: f32, [q, k, v]: [ArrayView1<'_, f32>; 3]) -> Array1<f32> {
        let (w, eps) = (arrays.matrix("features"), self.eps);
        let dash = |x: ArrayView1<'_, f32>| w.dot(&x) * scale.sqrt();
        let norm = |x: ArrayView1<'_, f32>| -0.5 * scale * x.dot(&x);
        let largest = |x: &Array1<f32>| x.fold(f32::NEG_INFINITY, |max, x| max.max(*x));
        let (dash_q, dash_k) = (dash(q), dash(k));
        let new = self.max.max(largest(&dash_k));
        if new > self.max {
            let shrunk = (self.max - new).exp();
            self.values *= shrunk;
            self.keys *= shrunk;
            self.max = new;
        }
        let key = dash_k.mapv(|x| (x + norm(k) - self.max).exp());
        for (mut row, weight) in self.values.rows_mut().into_iter().zip(&key) {
            row.scaled_add(*weight, &v);
        }
        self.keys += &key;
        self.plain += &v;
        self.rows += 1;
        let max = largest(&dash_q);
        let query = dash_q.mapv(|x| (x + norm(q) - max).exp() + eps);
        let flat = eps * query.sum();
        let weight = query.dot(&self.keys) + flat * self.rows as f32;
        (query.dot(&self.values) + &self.plain * flat) / weight
    }

    fn copy(&self) -> Box<dyn Past> {
        Box::new(self.clone())
    }
}
