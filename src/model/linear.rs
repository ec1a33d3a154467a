//! Affine maps x W + b with weights as they lie in the file.

use ndarray::{
    Array1, Array2, Array3, ArrayRef2, ArrayView2, ArrayView3, ArrayViewMut2, Axis, CowArray, Ix1, Ix2, s,
};

use super::family::Role;
use super::load::Store;
use crate::Result;
use crate::cost::Tally;
use crate::linalg::affine::affine;
use crate::linalg::gemm::{Threads, product_into};

/// Where the multiply-adds of products are counted as they are done, if anywhere.
pub(super) type Count<'a> = Option<&'a Tally>;

/// One affine map of a layer.
pub(super) struct Linear<'a> {
    weight: CowArray<'a, f32, Ix2>,
    input_first: bool,
    bias: Option<CowArray<'a, f32, Ix1>>,
}

impl<'a> Linear<'a> {
    /// The map of these roles in a layer; the weight is stored (in, out) if `input_first`, (out, in) otherwise.
    pub(super) fn load(
        store: &'a Store,
        roles: (Role, Role),
        layer: usize,
        input_first: bool,
    ) -> Result<Self> {
        let weight = store.matrix(roles.0, layer)?;
        Ok(Self { weight, input_first, bias: store.vector_if(roles.1, layer)? })
    }

    /// A map that owns its numbers; the weight is stored (out, in).
    pub(super) fn owned(weight: Array2<f32>, bias: Array1<f32>) -> Linear<'static> {
        Linear { weight: weight.into(), input_first: false, bias: Some(bias.into()) }
    }

    /// The weight as (in, out).
    fn weight(&self) -> ArrayView2<'_, f32> {
        if self.input_first { self.weight.view() } else { self.weight.t() }
    }

    /// How many numbers a row becomes.
    pub(super) fn outputs(&self) -> usize {
        self.weight().ncols()
    }

    /// x W + b, shape (n, in) to (n, out).
    pub(super) fn apply(&self, x: &ArrayRef2<f32>) -> Array2<f32> {
        self.counted(x, None)
    }

    /// As `apply`, and counts.
    pub(super) fn counted(&self, x: &ArrayRef2<f32>, count: Count<'_>) -> Array2<f32> {
        self.count(x.nrows(), count);
        let bias = self.bias.as_ref().map(|bias| bias.as_standard_layout());
        affine(
            x.view(),
            self.weight(),
            bias.as_ref().map(|bias| bias.as_slice().expect("in standard layout")),
        )
    }

    /// x W + b with the columns cut into heads, shape (n, in) to (h, n, out / h).
    ///
    /// A product for each head writes where its kernel reads, so that nothing is rearranged afterwards.
    pub(super) fn heads(&self, x: &ArrayRef2<f32>, heads: usize, count: Count<'_>) -> Array3<f32> {
        let width = self.outputs() / heads;
        let mut out = Array3::zeros((heads, x.nrows(), width));
        self.count(x.nrows(), count);
        for (head, mut out) in out.outer_iter_mut().enumerate() {
            let columns = s![head * width..(head + 1) * width];
            if let Some(bias) = &self.bias {
                out.assign(&bias.slice(columns));
            }
            let weight = self.weight().slice_move(s![.., head * width..(head + 1) * width]);
            product_into(out, 1.0, x.view(), weight, 1.0, Threads::All);
        }
        out
    }

    /// `sum += x W + b` for an x whose columns are heads, shape (h, n, in / h).
    pub(super) fn add_heads(
        &self,
        mut sum: ArrayViewMut2<'_, f32>,
        x: ArrayView3<'_, f32>,
        count: Count<'_>,
    ) {
        let width = x.dim().2;
        self.count(sum.nrows(), count);
        if let Some(bias) = &self.bias {
            sum += bias;
        }
        for (head, x) in x.axis_iter(Axis(0)).enumerate() {
            let weight = self.weight().slice_move(s![head * width..(head + 1) * width, ..]);
            product_into(sum.view_mut(), 1.0, x, weight, 1.0, Threads::All);
        }
    }

    fn count(&self, rows: usize, count: Count<'_>) {
        if let Some(tally) = count {
            tally.product(rows, self.weight().nrows(), self.outputs());
        }
    }

    /// As `apply`, into columns of a larger array.
    pub(super) fn apply_into(&self, x: &ArrayRef2<f32>, mut out: ArrayViewMut2<'_, f32>) {
        let beta = match &self.bias {
            Some(bias) => {
                out.assign(bias);
                1.0
            }
            None => 0.0,
        };
        product_into(out, beta, x.view(), self.weight(), 1.0, Threads::All);
    }

    /// `sum += x W + b`.
    pub(super) fn add_to(&self, mut sum: ArrayViewMut2<'_, f32>, x: &ArrayRef2<f32>, count: Count<'_>) {
        self.count(x.nrows(), count);
        if let Some(bias) = &self.bias {
            sum += bias;
        }
        product_into(sum, 1.0, x.view(), self.weight(), 1.0, Threads::All);
    }
}
