//! What closes a block: dropout, residual, norm.

use ndarray::{Array2, CowArray, Ix2};

use super::dropout::Dropout;
use super::norm::{self, LayerNorm};
use super::parameters::{Layout, Numbers};
use crate::Result;
use crate::linalg::arrays::{add, copied};

/// A norm around a block: `norm(x + dropout(block(x)))`, or with norms before blocks `x + dropout(block(norm(x)))`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residual {
    norm: LayerNorm,
    pre_norm: bool,
    /// Its number among the arrays that are dropped from.
    site: usize,
}

/// What the gradients need of a norm before or behind.
#[derive(Debug)]
pub(super) struct Kept(norm::Kept);

impl Residual {
    pub(super) fn find(layout: &Layout, name: &str, pre_norm: bool, site: usize) -> Result<Self> {
        Ok(Self { norm: LayerNorm::find(layout, name, super::EPS)?, pre_norm, site })
    }

    /// What the block reads.
    pub(super) fn open<'a>(
        &self,
        numbers: Numbers<'_>,
        x: &'a Array2<f32>,
    ) -> (CowArray<'a, f32, Ix2>, Option<Kept>) {
        if !self.pre_norm {
            return (x.view().into(), None);
        }
        let (input, kept) = self.norm.forward(numbers, copied(x));
        (input.into(), Some(Kept(kept)))
    }

    /// What goes on, of x and what the block made of it.
    pub(super) fn close(
        &self,
        numbers: Numbers<'_>,
        x: &Array2<f32>,
        mut y: Array2<f32>,
        opened: Option<Kept>,
        dropout: Dropout,
    ) -> (Array2<f32>, Kept) {
        dropout.apply(&mut y, self.site);
        add(&mut y, x);
        if let Some(kept) = opened {
            return (y, kept);
        }
        let (y, kept) = self.norm.forward(numbers, y);
        (y, Kept(kept))
    }

    /// Under the gradient of what went on: that of x past the block, and that of what the block made; with what a norm
    /// before the block still needs.
    pub(super) fn reopen(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        kept: Kept,
        d_out: Array2<f32>,
        dropout: Dropout,
    ) -> (Array2<f32>, Array2<f32>, Option<Kept>) {
        let (dx, kept) = if self.pre_norm {
            (d_out, Some(kept))
        } else {
            let dx = self.norm.backward(numbers, gradients, &kept.0, d_out.view());
            // Both are as large as x: let go before the copy is made.
            drop((d_out, kept));
            (dx, None)
        };
        let mut dy = copied(&dx);
        dropout.apply(&mut dy, self.site);
        (dx, dy, kept)
    }

    /// Adds the gradient of what the block read, as that of x.
    pub(super) fn finish(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        kept: Option<&Kept>,
        dx: &mut Array2<f32>,
        d_input: &Array2<f32>,
    ) {
        match kept {
            Some(kept) => add(dx, &self.norm.backward(numbers, gradients, &kept.0, d_input.view())),
            None => add(dx, d_input),
        }
    }

    /// What the block read, once more: x itself, or its norm.
    pub(super) fn input<'a>(
        &self,
        numbers: Numbers<'_>,
        x: &'a Array2<f32>,
        kept: Option<&Kept>,
    ) -> CowArray<'a, f32, Ix2> {
        kept.map_or_else(|| x.view().into(), |kept| self.norm.again(numbers, &kept.0).into())
    }
}
