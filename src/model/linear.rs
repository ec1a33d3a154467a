//! Affine maps x W + b with weights as they lie in the file.

use ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2, CowArray, Ix1, Ix2};

use super::family::Role;
use super::load::Store;
use crate::Result;
use crate::linalg::affine::affine;
use crate::linalg::gemm::{Threads, product_into};

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

    /// The weight as (in, out).
    pub(super) fn weight(&self) -> ArrayView2<'_, f32> {
        if self.input_first { self.weight.view() } else { self.weight.t() }
    }

    /// The width of its output.
    pub(super) fn outputs(&self) -> usize {
        self.weight().ncols()
    }

    /// x W + b, shape (n, in) to (n, out).
    pub(super) fn apply(&self, x: &ArrayRef2<f32>) -> Array2<f32> {
        let bias = self.bias.as_ref().map(|bias| bias.as_standard_layout());
        affine(
            x.view(),
            self.weight(),
            bias.as_ref().map(|bias| bias.as_slice().expect("in standard layout")),
        )
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
    pub(super) fn add_to(&self, mut sum: ArrayViewMut2<'_, f32>, x: &ArrayRef2<f32>) {
        if let Some(bias) = &self.bias {
            sum += bias;
        }
        product_into(sum, 1.0, x.view(), self.weight(), 1.0, Threads::All);
    }
}
