//! The pieces that reference forms are made of, which count what they do.
//!
//! A counting run of a reference form is the run itself: every product, exponential and division goes through here, and
//! the closed form of [`Mechanism::cost`](super::Mechanism::cost) must come to the same counts.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::cost::Cost;
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::softmax::softmax_rows;

/// Does the arithmetic of a reference form, and counts it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    done: Cost,
}

impl Work {
    /// What was done so far.
    pub fn done(&self) -> Cost {
        self.done
    }

    /// Counts what was done elsewhere.
    pub fn count(&mut self, cost: Cost) {
        self.done += cost;
    }

    /// `a b`, shapes (n, d) and (d, m).
    pub fn product(&mut self, a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Array2<f32> {
        self.scaled(a, b, 1.0)
    }

    /// `scale a b`, shapes (n, d) and (d, m). The scale costs nothing: it could be folded into `a` beforehand.
    pub fn scaled(&mut self, a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, scale: f32) -> Array2<f32> {
        self.count(Cost::product(a.nrows(), a.ncols(), b.ncols()));
        let mut c = Array2::zeros((a.nrows(), b.ncols()));
        product_into(c.view_mut(), 0.0, a, b, scale, Threads::One);
        c
    }

    /// Softmax over each row.
    pub fn softmax(&mut self, mut logits: Array2<f32>) -> Array2<f32> {
        self.count(Cost::softmax(logits.nrows(), logits.len()));
        softmax_rows(logits.view_mut());
        logits
    }

    /// Softmax attention of one query over the keys in `ranges` (which do not overlap), in their order; zeros if there
    /// are none.
    pub fn attend(
        &mut self,
        query: ArrayView1<'_, f32>,
        (k, v): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        ranges: &[Range<usize>],
        scale: f32,
    ) -> Array1<f32> {
        let keys: Vec<usize> = ranges.iter().cloned().flatten().collect();
        if keys.is_empty() {
            return Array1::zeros(v.ncols());
        }
        let (k, v) = (k.select(Axis(0), &keys), v.select(Axis(0), &keys));
        let logits = self.scaled(query.insert_axis(Axis(0)), k.t(), scale);
        let weights = self.softmax(logits);
        self.product(weights.view(), v.view()).remove_axis(Axis(0))
    }
}
