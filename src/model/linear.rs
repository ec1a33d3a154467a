//! Affine maps x W + b with weights as they lie in the file.

use ndarray::{Array1, Array2, ArrayRef2, ArrayView2, ArrayViewMut2, CowArray, Ix1, Ix2};

use super::family::Role;
use super::load::Store;
use crate::Result;
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
        let mut out = Array2::zeros((x.nrows(), self.outputs()));
        self.apply_into(x, out.view_mut());
        out
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
    pub(super) fn add_to(&self, sum: &mut Array2<f32>, x: &ArrayRef2<f32>) {
        if let Some(bias) = &self.bias {
            *sum += bias;
        }
        product_into(sum.view_mut(), 1.0, x.view(), self.weight(), 1.0, Threads::All);
    }
}
