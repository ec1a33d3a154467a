//! Affine maps and their gradients.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2};

use super::pass::{Backward, Pass};
use super::weights::{Init, Layout, Matrix, Vector};
use crate::linalg::affine::{affine, affine_heads};
use crate::linalg::arrays::join;
use crate::linalg::gemm::{Threads, product_into};
use crate::linalg::outer::add_outer;
use crate::linalg::rows::add_column_sums;

/// x W^T + b, with W (out, in).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    weight: Matrix,
    bias: Vector,
}

/// The bound of the uniform distribution of Glorot and Bengio 2010.
pub(super) fn glorot(rows: usize, columns: usize, gain: f64) -> Init {
    Init::Uniform((gain * 6.0 / (rows + columns) as f64).sqrt())
}

impl Linear {
    /// Declares `NAME.weight` and `NAME.bias`: Glorot's distribution, and zeros.
    pub(crate) fn declare(layout: &mut Layout, name: &str, outputs: usize, inputs: usize) -> Self {
        let weight = glorot(outputs, inputs, 1.0);
        Self::initialised(layout, name, [outputs, inputs], [weight, Init::Constant(0.0)])
    }

    /// Declares a (d, d) projection to queries, keys or values: Glorot's distribution with gain 1 / sqrt 2, and a bias
    /// that is uniform within 1 / sqrt d, as in the Luna authors' code.
    pub(super) fn projection(layout: &mut Layout, name: &str, d: usize) -> Self {
        let bias = Init::Uniform(1.0 / (d as f64).sqrt());
        Self::initialised(layout, name, [d, d], [glorot(d, d, 0.5), bias])
    }

    fn initialised(layout: &mut Layout, name: &str, shape: [usize; 2], [weight, bias]: [Init; 2]) -> Self {
        let weight = layout.matrix(format!("{name}.weight"), shape, weight);
        Self { weight, bias: layout.vector(format!("{name}.bias"), shape[0], bias) }
    }

    /// The weight as (in, out), and the bias.
    pub(super) fn parts<'a>(&self, pass: Pass<'a>) -> (ArrayView2<'a, f32>, &'a [f32]) {
        (self.weight.of(pass).reversed_axes(), self.bias.slice(pass))
    }

    /// Counts one product of so many rows, forward or backward.
    pub(super) fn count(&self, pass: Pass<'_>, rows: usize) {
        pass.count(rows, self.weight.columns, self.weight.rows);
    }

    /// Rows (n, in) to rows (n, out).
    pub(crate) fn forward(&self, pass: Pass<'_>, x: ArrayView2<'_, f32>) -> Array2<f32> {
        self.count(pass, x.nrows());
        let (weight, bias) = self.parts(pass);
        affine(x, weight, Some(bias))
    }

    /// Rows (n, in) to heads (h, n, out / h).
    pub(super) fn to_heads(self, pass: Pass<'_>, x: ArrayView2<'_, f32>, heads: usize) -> Array3<f32> {
        self.count(pass, x.nrows());
        let (weight, bias) = self.parts(pass);
        affine_heads(x, weight, Some(bias), heads)
    }

    /// Heads (h, n, in / h) to rows (n, out).
    pub(super) fn of_heads(&self, pass: Pass<'_>, x: ArrayView3<'_, f32>) -> Array2<f32> {
        self.forward(pass, join(x).view())
    }

    /// Adds the gradients of weight and bias under the gradient of the output, (n, out).
    pub(crate) fn add_gradients(
        &self,
        back: &mut Backward<'_>,
        x: ArrayView2<'_, f32>,
        dy: ArrayView2<'_, f32>,
    ) {
        self.count(back.pass, x.nrows());
        add_column_sums(self.bias.of_mut(back.gradients), dy);
        add_outer(self.weight.of_mut(back.gradients), dy, x);
    }

    /// Backward of [`to_heads`](Self::to_heads): adds the gradient of the input to `dx` (n, in).
    pub(super) fn to_heads_backward(
        self,
        back: &mut Backward<'_>,
        x: ArrayView2<'_, f32>,
        d_heads: &Array3<f32>,
        dx: &mut Array2<f32>,
    ) {
        let dy = join(d_heads.view());
        self.add_gradients(back, x, dy.view());
        self.add_input_gradient(back.pass, dy.view(), dx.view_mut());
    }

    fn add_input_gradient(&self, pass: Pass<'_>, dy: ArrayView2<'_, f32>, dx: ArrayViewMut2<'_, f32>) {
        self.count(pass, dy.nrows());
        product_into(dx, 1.0, dy, self.weight.of(pass), 1.0, Threads::All);
    }

    /// The gradient of the input, (n, in).
    pub(crate) fn input_gradient(&self, pass: Pass<'_>, dy: ArrayView2<'_, f32>) -> Array2<f32> {
        self.count(pass, dy.nrows());
        affine(dy, self.weight.of(pass), None)
    }
}
