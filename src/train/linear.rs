//! Affine maps and their gradients.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::columns::add_sums;
use super::parameters::{Layout, Matrix, Vector};
use crate::Result;
use crate::linalg::gemm::{Threads, product_into};

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

    /// Of rows (n, in) the rows (n, out).
    pub(super) fn forward(&self, numbers: &[f32], x: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut y = Array2::zeros((x.nrows(), self.weight.rows));
        let bias = self.bias.slice(numbers);
        fill_rows(&mut y, bias);
        product_into(y.view_mut(), 1.0, x, self.weight.of(numbers).reversed_axes(), 1.0, Threads::All);
        y
    }

    /// The same cut into heads, (h, n, out / h).
    pub(super) fn heads(&self, numbers: &[f32], x: ArrayView2<'_, f32>, heads: usize) -> Array3<f32> {
        split(self.forward(numbers, x).view(), heads)
    }

    /// Adds the gradients of weight and bias under that of the output, (n, out).
    pub(super) fn learn(&self, gradients: &mut [f32], x: ArrayView2<'_, f32>, dy: ArrayView2<'_, f32>) {
        add_sums(self.bias.of_mut(gradients), dy);
        product_into(self.weight.of_mut(gradients), 1.0, dy.reversed_axes(), x, 1.0, Threads::All);
    }

    /// As [`learn`](Self::learn), under the gradient of heads (h, n, out / h), and adds the gradient of the input to
    /// `dx` (n, in).
    pub(super) fn learn_heads(
        &self,
        numbers: &[f32],
        gradients: &mut [f32],
        x: ArrayView2<'_, f32>,
        d_heads: &Array3<f32>,
        dx: &mut Array2<f32>,
    ) {
        let d = join(d_heads.view());
        self.learn(gradients, x, d.view());
        self.add_back(numbers, d.view(), dx.view_mut());
    }

    /// Adds the gradient of the input to `dx` (n, in).
    pub(super) fn add_back(&self, numbers: &[f32], dy: ArrayView2<'_, f32>, dx: ArrayViewMut2<'_, f32>) {
        product_into(dx, 1.0, dy, self.weight.of(numbers), 1.0, Threads::All);
    }

    /// The gradient of the input, (n, in).
    pub(super) fn back(&self, numbers: &[f32], dy: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut dx = Array2::zeros((dy.nrows(), self.weight.columns));
        product_into(dx.view_mut(), 0.0, dy, self.weight.of(numbers), 1.0, Threads::All);
        dx
    }
}

fn fill_rows(y: &mut Array2<f32>, row: &[f32]) {
    let width = row.len().max(1);
    if let Some(numbers) = y.as_slice_mut() {
        numbers.par_chunks_mut(width * 256).for_each(|chunk| {
            for of in chunk.chunks_exact_mut(width) {
                of.copy_from_slice(row);
            }
        });
    }
}

/// Rows (n, h w) as heads (h, n, w).
pub(super) fn split(x: ArrayView2<'_, f32>, heads: usize) -> Array3<f32> {
    let width = x.ncols() / heads;
    let mut out = Array3::zeros((heads, x.nrows(), width));
    out.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(head, mut out)| {
        out.assign(&x.slice(s![.., head * width..(head + 1) * width]));
    });
    out
}

/// Heads (h, n, w) as rows (n, h w).
pub(super) fn join(x: ArrayView3<'_, f32>) -> Array2<f32> {
    let (heads, n, width) = x.dim();
    let mut out = Array2::zeros((n, heads * width));
    out.axis_chunks_iter_mut(Axis(1), width).into_par_iter().enumerate().for_each(|(head, mut out)| {
        out.assign(&x.index_axis(Axis(0), head));
    });
    out
}
