//! Gradients of everything that attention reads.

use std::collections::BTreeMap;

use ndarray::{Array3, ArrayView3, s};

use super::arrays::Arrays;
use super::heads::Heads;
use crate::linalg::arrays::zeros;

/// Gradients of queries, keys, values and learned arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Of the queries, (h, n, `d_h`); rows of padding are zeros.
    pub q: Array3<f32>,
    /// Of the keys, (h, m, `d_h`); rows of padding are zeros.
    pub k: Array3<f32>,
    /// Of the values, (h, m, `d_v`); rows of padding are zeros.
    pub v: Array3<f32>,
    /// Of the learned arrays, in their shapes: summed over the heads where these share one. Rows and columns that were
    /// not used are zeros.
    pub learned: BTreeMap<&'static str, Array3<f32>>,
}

impl Gradients {
    /// Zeros in the shapes of what attention reads.
    pub fn zeros(heads: &Heads<'_>, arrays: &Arrays<'_>) -> Self {
        let cube = |x: ArrayView3<'_, f32>| zeros(x.dim());
        let learned = arrays.iter().map(|(name, x)| (name, Array3::zeros(x.dim()))).collect();
        Self { q: cube(heads.q), k: cube(heads.k), v: cube(heads.v), learned }
    }

    /// Whether the shapes are those of what attention reads.
    pub(super) fn fit(&self, heads: &Heads<'_>, arrays: &Arrays<'_>) -> bool {
        self.q.dim() == heads.q.dim()
            && self.k.dim() == heads.k.dim()
            && self.v.dim() == heads.v.dim()
            && self.learned.len() == arrays.iter().count()
            && arrays.iter().all(|(name, x)| self.learned.get(name).is_some_and(|own| own.dim() == x.dim()))
    }

    /// Zeros in the rows of padding and in everything that is learned.
    pub(super) fn begin(&mut self, (n, m): (usize, usize)) {
        let Self { q, k, v, learned } = self;
        for (x, real) in [(q, n), (k, m), (v, m)] {
            x.slice_mut(s![.., real.., ..]).fill(0.0);
        }
        for x in learned.values_mut() {
            // Those that heads share are written in standard layout.
            if !x.is_standard_layout() {
                *x = Array3::zeros(x.dim());
            }
            x.fill(0.0);
        }
    }
}
