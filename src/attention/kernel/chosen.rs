//! Softmax over keys that are chosen for each query: a query at a time, over ranges of keys.
#![allow(clippy::inline_always)] // what is not inlined into the dispatched function is compiled without its instructions

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::arrays::Arrays;
use super::exact::{ExactArrays, ExactHead, Maxima, softmax};
use super::flat::{Flat, Size};
use super::form::Form;
use super::saved::Saved;
use crate::attention::input::Input;
use crate::attention::mask::Mask;
use crate::attention::mechanism::Mechanism;
use crate::attention::reference::pattern::Pattern;
use crate::attention::softmax::rows::ExactRows;
use crate::linalg::softmax::exp;

/// Queries of a task: their choices are made together.
pub(in crate::attention) const ROWS: usize = 32;

/// A choice of keys that is made for many queries at once.
pub(in crate::attention) trait Chooses: Pattern + std::fmt::Debug {
    /// What is computed of a head before its queries choose.
    type On: Sync;

    /// The masks that it honours.
    fn masks(&self) -> &'static [Mask];

    /// Prepares a head.
    fn on(&self, input: &Input<'_>) -> Self::On;

    /// What each of these queries reads: ranges in ascending order that do not overlap.
    fn choose(&self, on: &Self::On, input: &Input<'_>, queries: Range<usize>) -> Vec<Vec<Range<usize>>>;

    /// Bytes of a prepared head, and of one worker's choice.
    fn bytes(&self, size: &Size) -> [usize; 2];
}

/// The fused implementation of a choice.
#[derive(Debug)]
pub(in crate::attention) struct Chosen<C>(pub(in crate::attention) C);

/// One head as the reference implementations read it.
fn input<'a>(heads: &Flat<'a>, head: usize) -> Input<'a> {
    let view = |x: &'a [f32], rows: usize| {
        ArrayView2::from_shape((rows, heads.d_h), x).expect("rows of a head are contiguous")
    };
    let (q, k) = (view(heads.q(head), heads.n), view(heads.k(head), heads.m));
    Input { scale: heads.scale, ..Input::new(q, k, heads.mask) }
}

impl<C: Chooses> Form for Chosen<C> {
    fn masks(&self) -> &'static [Mask] {
        self.0.masks()
    }

    /// A head after the other, so that what is prepared of one is there once.
    fn forward(&self, heads: &Flat<'_>, _: &Arrays<'_>, _: Option<&mut Saved>, out: &mut [f32]) {
        let Flat { n, d_v, .. } = *heads;
        for (head, out) in out.chunks_exact_mut(heads.lengths.0 * d_v).enumerate() {
            let input = input(heads, head);
            let on = self.0.on(&input);
            out[..n * d_v].par_chunks_mut(ROWS * d_v).enumerate().for_each(|(block, out)| {
                let first = block * ROWS;
                let chosen = self.0.choose(&on, &input, first..first + out.len() / d_v);
                heads.path.run(Rows { heads, head, first, chosen: &chosen, out });
            });
        }
        if let Some(tally) = heads.tally {
            // How many keys are read may depend on the input: the closed form counts them.
            tally.add(heads.h * self.0.cost(&heads.size().shape).macs as usize);
        }
    }

    fn space(&self, size: &Size) -> usize {
        let [head, worker] = self.0.bytes(size);
        let tasks = size.shape.n.div_ceil(ROWS).min(size.threads);
        (head + tasks * worker).div_ceil(size_of::<f32>())
    }

    fn exact(&self, head: &ExactHead, _: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        // Numbers of a head in f64 are those of an f32 array.
        let [q, k] = [&head.q, &head.k].map(|x| x.mapv(|x| x as f32));
        let input = Input { scale: head.scale as f32, ..Input::new(q.view(), k.view(), head.mask) };
        let (reads, exact) = (self.0.reads(&input), ExactRows::of(&input));
        let chosen: Vec<_> = (0..q.nrows()).map(|i| reads(i, &exact)).collect();
        let sees = |i: usize, j| chosen[i].iter().any(|range| range.contains(&j));
        softmax(head.q.view(), head.k.view(), head.v.view(), head.scale, sees)
    }
}

/// Queries from `first` on with the keys of each.
struct Rows<'a> {
    heads: &'a Flat<'a>,
    head: usize,
    first: usize,
    chosen: &'a [Vec<Range<usize>>],
    out: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, head, first, chosen, out } = self;
        let Flat { d_h, d_v, scale, .. } = *heads;
        let (q, k, v) = (heads.q(head), heads.k(head), heads.v(head));
        let mut weights: Vec<f32> = Vec::new();
        for (row, (ranges, out)) in chosen.iter().zip(out.chunks_exact_mut(d_v)).enumerate() {
            let q = &q[(first + row) * d_h..][..d_h];
            weights.clear();
            for range in ranges {
                for key in k[range.start * d_h..range.end * d_h].chunks_exact(d_h) {
                    weights.push(scale * dot(simd, q, key));
                }
            }
            let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for weight in &mut weights {
                *weight = exp(*weight - max);
                sum += *weight;
            }
            out.fill(0.0);
            let mut next = weights.iter();
            for range in ranges {
                for value in v[range.start * d_v..range.end * d_v].chunks_exact(d_v) {
                    if let Some(weight) = next.next() {
                        add(simd, *weight / sum, value, out);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sums = simd.splat_f32s(0.0);
    for (a, b) in a.iter().zip(b) {
        sums = simd.mul_add_e_f32s(*a, *b, sums);
    }
    let mut sum = simd.reduce_sum_f32s(sums);
    for (a, b) in a_rest.iter().zip(b_rest) {
        sum += a * b;
    }
    sum
}

/// `out += factor x`.
#[inline(always)]
fn add<S: Simd>(simd: S, factor: f32, x: &[f32], out: &mut [f32]) {
    let ((x, x_rest), (out, out_rest)) = (S::as_simd_f32s(x), S::as_mut_simd_f32s(out));
    let factors = simd.splat_f32s(factor);
    for (out, x) in out.iter_mut().zip(x) {
        *out = simd.mul_add_e_f32s(factors, *x, *out);
    }
    for (out, x) in out_rest.iter_mut().zip(x_rest) {
        *out += factor * x;
    }
}
