//! A block in its residual: norm, dropout, and the sum with its input.

use ndarray::{Array2, ArrayView2, CowArray, Ix2};

use super::norm::LayerNorm;
use super::pass::{Backward, Pass, Tape};
use super::weights::Layout;
use crate::Result;
use crate::linalg::arrays::{add, copied, copied_with, each_part};
use crate::linalg::standardise::Standardised;

/// `norm(x + dropout(block(x)))`, or with the norm before the block `x + dropout(block(norm(x)))`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residual {
    norm: LayerNorm,
    pre_norm: bool,
    /// Its number among the arrays that are dropped from.
    site: usize,
}

/// Saved activations.
struct Saved {
    x: Array2<f32>,
    /// Of the norm, before the block or after it.
    norm: Standardised,
}

/// What a backward pass needs until it is through the block.
pub(super) struct Opened {
    /// What went into the residual.
    pub(super) x: Array2<f32>,
    /// Of a norm before the block.
    norm: Option<Standardised>,
}

impl Residual {
    /// Declares the norm's tensors.
    pub(super) fn declare(layout: &mut Layout, name: &str, d: usize, pre_norm: bool, site: usize) -> Self {
        Self { norm: LayerNorm::declare(layout, name, d), pre_norm, site }
    }

    /// The residual of x around a block.
    pub(super) fn forward(
        &self,
        pass: Pass<'_>,
        x: Array2<f32>,
        mut tape: Option<&mut Tape>,
        block: impl FnOnce(ArrayView2<'_, f32>, Option<&mut Tape>) -> Result<Array2<f32>>,
    ) -> Result<Array2<f32>> {
        let (input, norm) = self.open(pass, &x, tape.is_some());
        let y = block(input.view(), tape.as_deref_mut())?;
        drop(input);
        Ok(self.close(pass, x, y, norm, tape))
    }

    /// The gradient of x under that of the residual; `block` is given the input and the gradient of its output, and gives
    /// the gradient of its input.
    pub(super) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        d_out: Array2<f32>,
        block: impl FnOnce(
            &mut Backward<'_>,
            &mut Tape,
            ArrayView2<'_, f32>,
            ArrayView2<'_, f32>,
        ) -> Result<Array2<f32>>,
    ) -> Result<Array2<f32>> {
        let (mut dx, dy, opened) = self.reopen(back, tape, d_out);
        let input = self.input(back.pass, &opened);
        let d_input = block(back, tape, input.view(), dy.view())?;
        drop((input, dy));
        self.finish(back, &opened, &mut dx, &d_input);
        Ok(dx)
    }

    /// The input of the block, and with `save` what the gradient of a norm before it needs.
    pub(super) fn open<'a>(
        &self,
        pass: Pass<'_>,
        x: &'a Array2<f32>,
        save: bool,
    ) -> (CowArray<'a, f32, Ix2>, Option<Standardised>) {
        if !self.pre_norm {
            return (x.view().into(), None);
        }
        let (input, norm) = self.norm.normalise(pass, copied(x), save, |_, _| ());
        (input.into(), norm)
    }

    /// The result, of x and of the block's output.
    pub(super) fn close(
        &self,
        pass: Pass<'_>,
        x: Array2<f32>,
        mut y: Array2<f32>,
        norm: Option<Standardised>,
        tape: Option<&mut Tape>,
    ) -> Array2<f32> {
        let mut saved = norm;
        // Vectors from outside may lie column by column.
        let rows = x.as_standard_layout();
        let from = rows.as_slice().expect("in standard layout");
        let add_x = |first: usize, y: &mut [f32]| {
            pass.dropout.apply_from(first, y, self.site);
            y.iter_mut().zip(&from[first..]).for_each(|(y, x)| *y += x);
        };
        if self.pre_norm {
            each_part(&mut y, add_x);
        } else {
            (y, saved) = self.norm.normalise(pass, y, tape.is_some(), add_x);
        }
        drop(rows);
        if let (Some(tape), Some(norm)) = (tape, saved) {
            tape.save(Saved { x, norm });
        }
        y
    }

    /// Under the gradient of the result: that of x past the block, and that of the block's output.
    pub(super) fn reopen(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        d_out: Array2<f32>,
    ) -> (Array2<f32>, Array2<f32>, Opened) {
        let Saved { x, norm } = tape.take();
        let (dx, norm) = if self.pre_norm {
            (d_out, Some(norm))
        } else {
            let dx = self.norm.gradient(back, &norm, d_out.view());
            // Both are as large as x: freed before the copy is made.
            drop((d_out, norm));
            (dx, None)
        };
        let dropout = back.pass.dropout;
        let dy = copied_with(&dx, |first, dy| dropout.apply_from(first, dy, self.site));
        (dx, dy, Opened { x, norm })
    }

    /// The input of the block, computed again: x itself, or its norm.
    pub(super) fn input<'a>(&self, pass: Pass<'_>, opened: &'a Opened) -> CowArray<'a, f32, Ix2> {
        match &opened.norm {
            Some(norm) => self.norm.again(pass, norm).into(),
            None => opened.x.view().into(),
        }
    }

    /// Adds the gradient of the block's input to that of x.
    pub(super) fn finish(
        &self,
        back: &mut Backward<'_>,
        opened: &Opened,
        dx: &mut Array2<f32>,
        d_input: &Array2<f32>,
    ) {
        match &opened.norm {
            Some(norm) => add(dx, &self.norm.gradient(back, norm, d_input.view())),
            None => add(dx, d_input),
        }
    }
}
