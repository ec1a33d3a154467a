//! What causal heads remember of the rows so far, when rows come one at a time.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};

use super::arrays::Arrays;
use crate::linalg::softmax::softmax_rows;

/// The past of one head under a causal mask.
pub trait Past: std::fmt::Debug + Send + Sync {
    /// Appends the next row's key and value and returns what its query reads, (`d_v`); `arrays` are the same for every
    /// row, and every head reads the first one.
    ///
    /// # Panics
    /// If the widths are not those of the first row.
    fn push(&mut self, arrays: &Arrays<'_>, scale: f32, qkv: [ArrayView1<'_, f32>; 3]) -> Array1<f32>;

    /// Another past of the same rows.
    fn copy(&self) -> Box<dyn Past>;
}

impl Clone for Box<dyn Past> {
    fn clone(&self) -> Self {
        self.copy()
    }
}

/// Keys and values, one after the other: all of them, or the last few.
#[derive(Clone, Debug)]
pub(in crate::attention) struct Rows {
    keys: Vec<f32>,
    values: Vec<f32>,
    /// How many are stored at most; `None` for all.
    max: Option<usize>,
}

impl Rows {
    pub(in crate::attention) fn new(max: Option<usize>) -> Self {
        Self { keys: Vec::new(), values: Vec::new(), max }
    }
}

impl Past for Rows {
    fn push(&mut self, _: &Arrays<'_>, scale: f32, [q, k, v]: [ArrayView1<'_, f32>; 3]) -> Array1<f32> {
        for (all, row) in [(&mut self.keys, k), (&mut self.values, v)] {
            all.extend(row);
            if let Some(max) = self.max {
                let beyond = all.len().saturating_sub(max * row.len());
                all.drain(..beyond);
            }
        }
        let rows = self.keys.len() / k.len();
        let of = |all, width| ArrayView2::from_shape((rows, width), all).expect("whole rows");
        let logits = of(&self.keys, k.len()).dot(&q) * scale;
        let mut weights = logits.insert_axis(Axis(0));
        softmax_rows(weights.view_mut());
        weights.dot(&of(&self.values, v.len())).index_axis_move(Axis(0), 0)
    }

    fn copy(&self) -> Box<dyn Past> {
        Box::new(self.clone())
    }
}
