//! Attention of a batch's heads and its gradients, by the fused passes: nothing of n x m is ever held.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::parameters::{Matrix, Numbers};
use super::rows::Rows;
use crate::Result;
use crate::attention::{Arrays, Fused, Gradients, Heads, Mask, Saved, materialised};
use crate::linalg::arrays::zeros;

/// A mechanism and what it needs beside queries, keys and values.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) form: Form,
    pub(super) mask: Mask,
    /// Its learned array, where there is one.
    pub(super) array: Option<(&'static str, Matrix)>,
}

/// How attention is computed, both ways.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Without an array of n x n.
    Fused(Fused),
    /// Softmax as plain code has it, whose n x n matrices are kept for the gradients: the yardstick of the others.
    Materialised,
}

/// What the heads read, and what the gradients need.
#[derive(Debug)]
pub(super) struct Read {
    /// (h, rows of the queries, `d_v`).
    pub(super) out: Array3<f32>,
    kept: Vec<Passed>,
}

/// Of one call.
#[derive(Debug)]
enum Passed {
    Fused(Saved),
    Materialised(Array3<f32>),
}

/// Queries, keys and values, each (h, rows, width), and whose rows they are.
#[derive(Clone, Copy)]
pub(super) struct Stack<'a> {
    pub(super) q: ArrayView3<'a, f32>,
    pub(super) k: ArrayView3<'a, f32>,
    pub(super) v: ArrayView3<'a, f32>,
    pub(super) queries: &'a Rows,
    pub(super) context: &'a Rows,
}

/// Gradients of queries, keys and values.
pub(super) struct Back {
    pub(super) q: Array3<f32>,
    pub(super) k: Array3<f32>,
    pub(super) v: Array3<f32>,
}

impl Core {
    pub(super) fn forward(&self, numbers: Numbers<'_>, stack: Stack<'_>) -> Result<Read> {
        let arrays = self.arrays(numbers);
        let (h, total, _) = stack.q.dim();
        let mut out = zeros((h, total, stack.v.dim().2));
        let cuts = cuts(stack.queries, stack.context);
        let parts = parts(&mut out, cuts.iter().map(|(queries, _)| queries));
        let read = |((queries, context), out): (&(Cut, Cut), ArrayViewMut3<'_, f32>)| {
            let heads = self.heads(&stack, queries, context);
            match &self.form {
                Form::Fused(form) => {
                    form.forward_saving(numbers.tally, &heads, &arrays, out).map(Passed::Fused)
                }
                Form::Materialised => {
                    materialised::forward_keeping(&heads, out, numbers.tally).map(Passed::Materialised)
                }
            }
        };
        // Short sequences are too little work to be shared; many of them are not.
        let kept = cuts.par_iter().zip(parts).map(read).collect::<Result<_>>()?;
        Ok(Read { out, kept })
    }

    /// Gradients under `d_out`, (h, rows of the queries, `d_v`); that of E is added to `gradients`.
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        stack: Stack<'_>,
        read: Read,
        d_out: ArrayView3<'_, f32>,
    ) -> Result<Back> {
        let arrays = self.arrays(numbers);
        let cuts = cuts(stack.queries, stack.context);
        let found = cuts.par_iter().zip(read.kept).map(|((queries, context), kept)| {
            let heads = self.heads(&stack, queries, context);
            let mut back = match &self.form {
                Form::Fused(form) => form.gradients(&heads, &arrays),
                Form::Materialised => Gradients::zeros(&heads, &Arrays::none()),
            };
            let [out, d_out] = [read.out.view(), d_out].map(|x| queries.of(x));
            match (&self.form, kept) {
                (Form::Fused(form), Passed::Fused(kept)) => {
                    form.backward_into(numbers.tally, &heads, &arrays, &kept, out, d_out, &mut back)?;
                }
                (Form::Materialised, Passed::Materialised(mut all)) => {
                    materialised::backward_into(&heads, &mut all, out, d_out, &mut back, numbers.tally);
                }
                _ => unreachable!("what was kept is of this form"),
            }
            Ok(back)
        });
        let mut found: Vec<Gradients> = found.collect::<Result<_>>()?;
        if let Some((name, array)) = self.array {
            for part in found.iter_mut().filter_map(|back| back.learned.remove(name)) {
                let mut sum = array.of_mut(gradients);
                sum += &part.index_axis(Axis(0), 0);
            }
        }
        let [q, k, v] = [stack.q, stack.k, stack.v].map(|x| x.dim());
        Ok(match <[Gradients; 1]>::try_from(found) {
            Ok([back]) => Back { q: shaped(back.q, q), k: shaped(back.k, k), v: shaped(back.v, v) },
            Err(found) => {
                let mut all = Back { q: Array3::zeros(q), k: Array3::zeros(k), v: Array3::zeros(v) };
                let to_q = parts(&mut all.q, cuts.iter().map(|(queries, _)| queries));
                let [to_k, to_v] =
                    [&mut all.k, &mut all.v].map(|x| parts(x, cuts.iter().map(|(_, context)| context)));
                let to = to_q.into_par_iter().zip(to_k).zip(to_v);
                to.zip(found).for_each(|(((mut q, mut k), mut v), back)| {
                    q.assign(&back.q);
                    k.assign(&back.k);
                    v.assign(&back.v);
                });
                all
            }
        })
    }

    fn arrays<'a>(&self, numbers: Numbers<'a>) -> Arrays<'a> {
        self.array.map_or_else(Arrays::none, |(name, array)| Arrays::none().shared(name, array.of(numbers)))
    }

    fn heads<'a>(&self, stack: &Stack<'a>, queries: &Cut, context: &Cut) -> Heads<'a> {
        Heads::new(queries.of(stack.q), context.of(stack.k), context.of(stack.v), self.mask)
    }
}

/// The same numbers, (h b, n, w), as (h, b n, w).
pub(super) fn shaped(x: Array3<f32>, dim: (usize, usize, usize)) -> Array3<f32> {
    x.into_shape_with_order(dim).expect("in standard layout")
}

/// What the heads (h, rows, w) of a batch are cut into, so that one call of a kernel sees sequences of one length.
pub(super) enum Cut {
    /// All sequences have so many rows: every sequence's heads are heads of their own, (h b, n, w).
    Alike(usize),
    /// The rows of one sequence.
    Rows(Range<usize>),
}

impl Cut {
    /// Rows of one sequence.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Alike(n) => *n,
            Self::Rows(rows) => rows.len(),
        }
    }

    pub(super) fn of<'a>(&self, x: ArrayView3<'a, f32>) -> ArrayView3<'a, f32> {
        let (h, rows, width) = x.dim();
        match self {
            Self::Alike(n) => {
                x.into_shape_with_order((h * rows / (*n).max(1), *n, width)).expect("in standard layout")
            }
            Self::Rows(rows) => x.slice_move(s![.., rows.clone(), ..]),
        }
    }
}

/// The parts of heads (h, rows, w) that these cuts, which follow each other, make of it.
pub(super) fn parts<'a, 'c>(
    x: &'a mut Array3<f32>,
    cuts: impl Iterator<Item = &'c Cut>,
) -> Vec<ArrayViewMut3<'a, f32>> {
    let (h, rows, width) = x.dim();
    let mut left = x.view_mut();
    let mut parts = Vec::new();
    for cut in cuts {
        let taken = match cut {
            Cut::Alike(_) => rows,
            Cut::Rows(of) => of.len(),
        };
        let (part, rest) = left.split_at(Axis(1), taken);
        left = rest;
        parts.push(match cut {
            Cut::Alike(n) => {
                part.into_shape_with_order((h * rows / (*n).max(1), *n, width)).expect("in standard layout")
            }
            Cut::Rows(_) => part,
        });
    }
    parts
}

/// Queries and contexts of the calls that a batch needs.
pub(super) fn cuts(queries: &Rows, context: &Rows) -> Vec<(Cut, Cut)> {
    match (queries.shared(), context.shared()) {
        (Some(n), Some(m)) => vec![(Cut::Alike(n), Cut::Alike(m))],
        _ => queries.each().zip(context.each()).map(|(n, m)| (Cut::Rows(n), Cut::Rows(m))).collect(),
    }
}

/// The same p for every sequence: rows (min(l, length), d) behind each other.
pub(super) fn repeated(p: &Array2<f32>, rows: &Rows) -> Array2<f32> {
    let mut all = Array2::zeros((rows.total(), p.ncols()));
    for of in rows.each() {
        let length = of.len();
        all.slice_mut(s![of, ..]).assign(&p.slice(s![..length, ..]));
    }
    all
}

/// The gradient of what [`repeated`] repeated, l rows.
pub(super) fn repeated_back(d_all: &Array2<f32>, rows: &Rows, l: usize) -> Array2<f32> {
    let mut sum = Array2::zeros((l, d_all.ncols()));
    for of in rows.each() {
        let mut part = sum.slice_mut(s![..of.len(), ..]);
        part += &d_all.slice(s![of, ..]);
    }
    sum
}
