//! Forward and backward of the bare attention: gradients of queries, keys, values and learned parameters.

use ndarray::{ArrayView3, ArrayViewMut3};

use super::cell::{Cell, Form};
use super::subject::Facts;
use crate::attention::{Arrays, Fused, Gradients, Heads, materialised};
use crate::cost::{Cost, Shape, Tally};
use crate::error::Result;

/// Forward, then backward, into allocated gradients.
pub(super) struct Training {
    /// None for the form with n x n matrices.
    form: Option<Fused>,
    gradients: Gradients,
}

impl Training {
    pub(super) fn new(form: Option<Fused>, mut gradients: Gradients) -> Self {
        // Written to here, so that no pass is the first to touch their pages.
        for x in [&mut gradients.q, &mut gradients.k, &mut gradients.v] {
            x.fill(1.0);
        }
        Self { form, gradients }
    }

    /// One pass forward and backward under the upstream gradient `d_out` (h, n, `d_v`).
    pub(super) fn run(
        &mut self,
        heads: &Heads<'_>,
        arrays: &Arrays<'_>,
        mut out: ArrayViewMut3<'_, f32>,
        d_out: ArrayView3<'_, f32>,
        tally: Option<&Tally>,
    ) -> Result<()> {
        match &self.form {
            None => materialised::train_into(heads, out, d_out, &mut self.gradients, tally)?,
            Some(form) => {
                let saved = form.forward_saving(tally, heads, arrays, out.view_mut())?;
                let gradients = &mut self.gradients;
                form.backward_into(tally, heads, arrays, &saved, out.view(), d_out, gradients)?;
            }
        }
        Ok(())
    }

    /// The gradients of the last pass.
    pub(super) fn gradients(&self) -> &Gradients {
        &self.gradients
    }
}

/// The closed forms of a cell of h heads whose inputs, outputs and gradients take so many bytes.
pub(super) fn facts(
    cell: &Cell,
    form: Option<&Fused>,
    shape: &Shape,
    h: usize,
    [shared, own]: [usize; 2],
) -> Facts {
    let (cost, matrices, extra) = match cell.form {
        Form::Materialised => {
            let extra = 2 * materialised::extra_bytes(shape, h);
            (materialised::train_cost(shape), 2 * extra, Some(extra as u64))
        }
        Form::Fused => {
            let [forward, backward] = form.map_or([Cost::default(); 2], |form| form.train_cost(shape));
            let extra = form.map(|form| {
                let [forward, backward] = form.train_extra_bytes(shape, h, rayon::current_num_threads());
                (form.saved_bytes(shape, h) + forward.max(backward)) as u64
            });
            (forward + backward, 0, extra)
        }
        // A mechanism without a backward pass has no closed form of one.
        Form::Reference => (Cost::default(), 0, None),
    };
    Facts {
        cost: cost * h,
        bytes: (shared + own + matrices) as u64,
        extra_bytes: extra,
        shared_bytes: shared as u64,
        own_bytes: own as u64,
    }
}
