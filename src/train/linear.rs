//! Affine maps and their gradients.

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2};

use super::columns::add_sums;
use super::parameters::{Layout, Matrix, Numbers, Vector};
use crate::Result;
use crate::linalg::affine::{affine, affine_heads};
use crate::linalg::arrays::join;
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::outer::add_outer;

/// x W^T + b, with W (out, in).
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    weight: Matrix,
    bias: Vector,
}

impl Linear {
    /// `NAME.weight` and `NAME.bias`.
    pub(super) fn find(layout: &Layout, name: &str) -> Result<Self> {
        let weight = layout.matrix(&format!("{name}.weight"))?;
        Ok(Self { weight, bias: layout.vector(&format!("{name}.bias"))? })
    }

    /// Counts one product of so many rows, whichever way.
    fn count(&self, numbers: Numbers<'_>, rows: usize) {
        numbers.count(rows, self.weight.columns, self.weight.rows);
    }

    /// Of rows (n, in) the rows (n, out).
    pub(super) fn forward(&self, numbers: Numbers<'_>, x: ArrayView2<'_, f32>) -> Array2<f32> {
        self.count(numbers, x.nrows());
        affine(x, self.weight.of(numbers).reversed_axes(), Some(self.bias.slice(numbers)))
    }

    /// The same cut into heads, (h, n, out / h).
    pub(super) fn heads(&self, numbers: Numbers<'_>, x: ArrayView2<'_, f32>, heads: usize) -> Array3<f32> {
        self.count(numbers, x.nrows());
        affine_heads(x, self.weight.of(numbers).reversed_axes(), Some(self.bias.slice(numbers)), heads)
    }

    /// Adds the gradients of weight and bias under that of the output, (n, out).
    pub(super) fn learn(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        x: ArrayView2<'_, f32>,
        dy: ArrayView2<'_, f32>,
    ) {
        self.count(numbers, x.nrows());
        add_sums(self.bias.of_mut(gradients), dy);
        add_outer(self.weight.of_mut(gradients), dy, x);
    }

    /// As [`learn`](Self::learn), under the gradient of heads (h, n, out / h), and adds the gradient of the input to
    /// `dx` (n, in).
    pub(super) fn learn_heads(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        x: ArrayView2<'_, f32>,
        d_heads: &Array3<f32>,
        dx: &mut Array2<f32>,
    ) {
        let d = join(d_heads.view());
        self.learn(numbers, gradients, x, d.view());
        self.add_back(numbers, d.view(), dx.view_mut());
    }

    /// Adds the gradient of the input to `dx` (n, in).
    pub(super) fn add_back(&self, numbers: Numbers<'_>, dy: ArrayView2<'_, f32>, dx: ArrayViewMut2<'_, f32>) {
        self.count(numbers, dy.nrows());
        product_into(dx, 1.0, dy, self.weight.of(numbers), 1.0, Threads::All);
    }

    /// The gradient of the input, (n, in).
    pub(super) fn back(&self, numbers: Numbers<'_>, dy: ArrayView2<'_, f32>) -> Array2<f32> {
        self.count(numbers, dy.nrows());
        affine(dy, self.weight.of(numbers), None)
    }
}
