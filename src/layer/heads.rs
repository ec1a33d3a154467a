//! Attention of all heads of a batch: the one place where layers call the mechanisms of [`crate::attention`], forward with
//! or without saved activations, backward, and a row at a time.

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::linear::glorot;
use super::mechanism::Mechanism;
use super::pass::{Backward, Pass, Tape};
use super::rows::{Rows, Slice, reshaped, slices, split_mut};
use super::weights::{Init, Layout, Matrix};
use crate::attention::luna_causal::WeightedHeads;
use crate::attention::{
    Arrays, Attention, Fused, Gradients, Heads, Mask, Past, Saved as SavedCall, materialised,
};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::linalg::arrays::zeros;
use crate::linalg::random_mask::RandomMask;

/// A mechanism, its mask, and what it learns or draws beside queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct MultiHead {
    heads: usize,
    pub(super) mechanism: Mechanism,
    mask: Mask,
    /// E of Linformer, (l, max), or features of Performer, (l, `d_h`).
    matrix: Option<Matrix>,
}

/// Queries, keys and values, each (h, rows, width), and which rows belong to which sequence.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) q: ArrayView3<'a, f32>,
    pub(super) k: ArrayView3<'a, f32>,
    pub(super) v: ArrayView3<'a, f32>,
    pub(super) queries: &'a Rows,
    pub(super) context: &'a Rows,
    /// Which weights are dropped.
    pub(super) dropout: RandomMask,
}

/// Gradients of queries, keys and values.
pub(super) struct OperandGradients {
    pub(super) q: Array3<f32>,
    pub(super) k: Array3<f32>,
    pub(super) v: Array3<f32>,
}

/// Saved activations of each call of a kernel.
struct Saved(Vec<OfCall>);

enum OfCall {
    Fused(SavedCall),
    /// The matrices (h, n, m).
    Materialised(Array3<f32>),
}

impl MultiHead {
    /// Softmax attention, which learns nothing of its own.
    pub(super) fn softmax(heads: usize, mask: Mask) -> Self {
        Self { heads, mechanism: Mechanism::Softmax, mask, matrix: None }
    }

    /// Heads of a mechanism; declares below `name` what it learns.
    pub(super) fn declare(
        layout: &mut Layout,
        name: &str,
        heads: usize,
        mechanism: Mechanism,
        mask: Mask,
    ) -> Self {
        let matrix = match mechanism {
            Mechanism::Linformer { l, max } => {
                Some(layout.matrix(format!("{name}.compress.weight"), [l, max], glorot(l, max, 0.5)))
            }
            _ => None,
        };
        Self { heads, mechanism, mask, matrix }
    }

    /// Declares below `name` what the mechanism draws and does not learn.
    pub(super) fn declare_fixed(&mut self, layout: &mut Layout, name: &str, d_h: usize) {
        if let Mechanism::Performer { l } = self.mechanism {
            self.matrix = Some(layout.fixed(format!("{name}.features"), [l, d_h], Init::Features));
        }
    }

    /// What it learned or drew, by the names that the mechanism declares.
    fn arrays<'a>(&self, pass: Pass<'a>) -> Arrays<'a> {
        match (self.mechanism, self.matrix) {
            (Mechanism::Linformer { .. }, Some(e)) => Arrays::none().shared("e", e.of(pass)),
            (Mechanism::Performer { .. }, Some(w)) => Arrays::none().shared("features", w.of(pass)),
            _ => Arrays::none(),
        }
    }

    /// Refuses a mechanism that has no backward pass under this mask.
    pub(super) fn check_trainable(&self) -> Result<()> {
        let fused = self.mechanism.fused()?;
        if self.mechanism == Mechanism::Materialised || fused.has_backward(self.mask) {
            return Ok(());
        }
        Err(self.mask.refused(&format!("the backward pass of attention '{}'", fused.name())))
    }

    /// The heads of one kernel call, the `at`-th.
    fn slice<'a>(&self, of: &Operands<'a>, at: usize, (queries, context): &(Slice, Slice)) -> Heads<'a> {
        let heads = Heads::new(queries.of(of.q), context.of(of.k), context.of(of.v), self.mask);
        Heads { dropout: of.dropout.part(at), ..heads }
    }

    /// The output (h, rows of the queries, `d_v`).
    pub(super) fn forward(
        &self,
        pass: Pass<'_>,
        of: Operands<'_>,
        tape: Option<&mut Tape>,
    ) -> Result<Array3<f32>> {
        let (h, total, _) = of.q.dim();
        let mut out = zeros((h, total, of.v.dim().2));
        let slices = slices(of.queries, of.context);
        let (fused, arrays) = (self.mechanism.fused()?, self.arrays(pass));
        let parts = split_mut(&mut out, slices.iter().map(|(queries, _)| queries));
        // Short sequences are too little work to be shared among threads; many of them are not.
        let calls = slices.par_iter().enumerate().zip(parts);
        let calls = calls.map(|((at, slice), out)| (self.slice(&of, at, slice), out));
        match tape {
            Some(tape) => {
                let saved = calls.map(|(heads, out)| self.call_saving(pass, &fused, &arrays, &heads, out));
                tape.save(Saved(saved.collect::<Result<_>>()?));
            }
            None => calls
                .map(|(heads, out)| match self.mechanism {
                    Mechanism::Materialised => materialised::forward_into(&heads, out, pass.tally),
                    _ => fused.forward_into(pass.tally, &heads, &arrays, out),
                })
                .collect::<Result<()>>()?,
        }
        Ok(out)
    }

    fn call_saving(
        &self,
        pass: Pass<'_>,
        fused: &Fused,
        arrays: &Arrays<'_>,
        heads: &Heads<'_>,
        out: ArrayViewMut3<'_, f32>,
    ) -> Result<OfCall> {
        if self.mechanism == Mechanism::Materialised {
            return materialised::forward_keeping(heads, out, pass.tally).map(OfCall::Materialised);
        }
        fused.forward_saving(pass.tally, heads, arrays, out).map(OfCall::Fused)
    }

    /// Gradients of the operands under that of the output, `d_out` (h, rows of the queries, `d_v`); adds that of E.
    pub(super) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        of: Operands<'_>,
        out: Array3<f32>,
        d_out: ArrayView3<'_, f32>,
    ) -> Result<OperandGradients> {
        let Saved(saved) = tape.take();
        let pass = back.pass;
        let (fused, arrays) = (self.mechanism.fused()?, self.arrays(pass));
        let slices = slices(of.queries, of.context);
        let found = slices.par_iter().enumerate().zip(saved).map(|((at, slice), saved)| {
            let heads = self.slice(&of, at, slice);
            let mut gradients = match saved {
                OfCall::Fused(_) => fused.gradients(&heads, &arrays),
                OfCall::Materialised(_) => Gradients::zeros(&heads, &Arrays::none()),
            };
            let [out, d_out] = [out.view(), d_out].map(|x| slice.0.of(x));
            match saved {
                OfCall::Fused(saved) => {
                    let to = &mut gradients;
                    fused.backward_into(pass.tally, &heads, &arrays, &saved, out, d_out, to)?;
                }
                OfCall::Materialised(mut matrices) => {
                    let to = &mut gradients;
                    materialised::backward_into(&heads, &mut matrices, out, d_out, to, pass.tally);
                }
            }
            Ok(gradients)
        });
        let mut found: Vec<Gradients> = found.collect::<Result<_>>()?;
        if let Some(matrix) = self.matrix {
            for learned in found.iter_mut().flat_map(|call| std::mem::take(&mut call.learned).into_values()) {
                let mut sum = matrix.of_mut(back.gradients);
                sum += &learned.index_axis(Axis(0), 0);
            }
        }
        let [q, k, v] = [of.q, of.k, of.v].map(|x| x.dim());
        Ok(match <[Gradients; 1]>::try_from(found) {
            Ok([call]) => {
                OperandGradients { q: reshaped(call.q, q), k: reshaped(call.k, k), v: reshaped(call.v, v) }
            }
            Err(found) => {
                let mut all =
                    OperandGradients { q: Array3::zeros(q), k: Array3::zeros(k), v: Array3::zeros(v) };
                let to_q = split_mut(&mut all.q, slices.iter().map(|(queries, _)| queries));
                let [to_k, to_v] =
                    [&mut all.k, &mut all.v].map(|x| split_mut(x, slices.iter().map(|(_, context)| context)));
                let to = to_q.into_par_iter().zip(to_k).zip(to_v);
                to.zip(found).for_each(|(((mut q, mut k), mut v), call)| {
                    q.assign(&call.q);
                    k.assign(&call.k);
                    v.assign(&call.v);
                });
                all
            }
        })
    }

    /// The past of every head, before the first row of a sequence.
    pub(super) fn start(&self, d_h: usize) -> Result<Vec<Box<dyn Past>>> {
        Ok(vec![self.mechanism.fused()?.past(d_h, d_h)?; self.heads])
    }

    /// The output (h, b, `d_h`) of the next row of b sequences, of which each has its pasts.
    pub(super) fn step<'a>(
        &self,
        pass: Pass<'_>,
        pasts: impl IntoIterator<Item = &'a mut [Box<dyn Past>]>,
        [q, k, v]: &[Array3<f32>; 3],
    ) -> Array3<f32> {
        let arrays = self.arrays(pass);
        let scale = Heads::new(q.view(), k.view(), v.view(), self.mask).scale;
        let mut out = Array3::zeros(q.raw_dim());
        for (row, pasts) in pasts.into_iter().enumerate() {
            for (head, past) in pasts.iter_mut().enumerate() {
                let of = [q, k, v].map(|x| x.slice(s![head, row, ..]));
                out.slice_mut(s![head, row, ..]).assign(&past.push(&arrays, scale, of));
            }
        }
        out
    }
}

/// Operations of one head of a forward pass, in closed form.
pub(super) fn forward_cost(mechanism: Mechanism, shape: &Shape) -> Cost {
    if shape.n == 0 || shape.m == 0 {
        return Cost::default();
    }
    if mechanism == Mechanism::Materialised {
        // Its products are whole under either mask.
        return materialised::cost(shape);
    }
    let attention = Attention::plain(mechanism.core(), mechanism.core_l());
    attention.map(|attention| attention.cost(shape)).unwrap_or_default()
}

/// Operations of one head of a forward and a backward pass, where there is a backward pass of that mask.
pub(super) fn train_cost(mechanism: Mechanism, shape: &Shape) -> Option<Cost> {
    if mechanism == Mechanism::Materialised {
        return Some(materialised::train_cost(shape));
    }
    let mask = if shape.causal { Mask::Causal } else { Mask::Full };
    if let (Mechanism::LunaCausal { l, .. }, Mask::Causal) = (mechanism, mask) {
        return Some(WeightedHeads::train_cost(shape, l));
    }
    let fused = mechanism.fused().ok().filter(|fused| fused.has_backward(mask))?;
    let [forward, backward] = fused.train_cost(shape);
    Some(forward + backward)
}

/// Bytes of work space of a forward pass without a tape.
pub(super) fn forward_bytes(mechanism: Mechanism, shape: &Shape, heads: usize, threads: usize) -> usize {
    if mechanism == Mechanism::Materialised {
        return materialised::extra_bytes(shape, heads);
    }
    mechanism.fused().map_or(0, |fused| fused.extra_bytes(shape, heads, threads))
}

/// Bytes of work space of the forward and of the backward pass, and of the activations saved between them.
pub(super) fn train_bytes(
    mechanism: Mechanism,
    shape: &Shape,
    heads: usize,
    threads: usize,
) -> ([usize; 2], usize) {
    if mechanism == Mechanism::Materialised {
        let matrices = materialised::extra_bytes(shape, heads);
        return ([0, matrices], matrices);
    }
    let Ok(fused) = mechanism.fused() else { return ([0; 2], 0) };
    (fused.train_extra_bytes(shape, heads, threads), fused.saved_bytes(shape, heads))
}
