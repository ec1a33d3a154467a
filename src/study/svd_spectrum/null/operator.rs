//! Null models of heads whose matrices are never kept: their rows are drawn again whenever they are needed.

use std::ops::Range;

use ndarray::{Array2, ArrayViewMut2, Axis, s};
use rand::seq::SliceRandom;

use super::draw::{params_width, spread};
use crate::attention::softmax::Unmaterialised;
use crate::attention::{HeadTerms, Input};
use crate::error::Result;
use crate::linalg::operator::Operator;
use crate::metric::RowProfile;
use crate::name::Params;
use crate::rng::{Rng, normal};

/// What a null model is drawn beside: what softmax attention reads, and the figures of the rows of its matrix.
#[derive(Clone, Copy)]
pub(in crate::study::svd_spectrum) struct Beside<'a> {
    pub(in crate::study::svd_spectrum) input: Input<'a>,
    pub(in crate::study::svd_spectrum) terms: &'a HeadTerms,
    pub(in crate::study::svd_spectrum) rows: &'a RowProfile,
}

/// Draws the operator of one matrix beside a head.
pub(super) type DrawOperator =
    for<'a> fn(&Params<'_>, &Beside<'a>, &mut Rng) -> Result<Box<dyn Operator + 'a>>;

/// As `draw::gaussian`.
pub(super) fn gaussian<'a>(
    params: &Params<'_>,
    beside: &Beside<'a>,
    rng: &mut Rng,
) -> Result<Box<dyn Operator + 'a>> {
    let input = beside.input;
    let width = params_width(params)?.unwrap_or_else(|| input.q.ncols());
    let (q, k) = (normal(rng, input.q.nrows(), width), normal(rng, input.k.nrows(), width));
    let logit_sd = if input.terms.is_empty() { beside.rows.logit_sd } else { spread(&input) };
    let scale = (logit_sd / (width as f64).sqrt()) as f32;
    let terms = HeadTerms { sink: None, ..beside.terms.clone() };
    Ok(Box::new(Gaussian { q, k, scale, terms, head: Unmaterialised(input) }))
}

/// Softmax of Gaussian queries and keys under everything else that a head's input carries.
struct Gaussian<'a> {
    q: Array2<f32>,
    k: Array2<f32>,
    scale: f32,
    /// Those of the head, but its sink.
    terms: HeadTerms,
    head: Unmaterialised<'a>,
}

impl Gaussian<'_> {
    fn input(&self) -> Input<'_> {
        let (scale, terms) = (self.scale, self.terms.view());
        Input { scale, terms, ..Input::new(self.q.view(), self.k.view(), self.head.0.mask) }
    }
}

impl Operator for Gaussian<'_> {
    fn shape(&self) -> (usize, usize) {
        (self.q.nrows(), self.k.nrows())
    }

    fn support(&self, rows: Range<usize>) -> Range<usize> {
        self.head.support(rows)
    }

    fn rows(&self, range: Range<usize>, mut out: ArrayViewMut2<'_, f32>) {
        if self.head.0.terms.sink.is_some() {
            // Rows have the sums of the head's own.
            self.head.rows(range.clone(), out.view_mut());
            let sums = out.sum_axis(Axis(1)).insert_axis(Axis(1));
            Unmaterialised(self.input()).rows(range, out.view_mut());
            out *= &sums;
        } else {
            Unmaterialised(self.input()).rows(range, out);
        }
    }
}

/// As `draw::shuffled`.
#[allow(clippy::unnecessary_wraps)] // the form of every entry of the list
pub(super) fn shuffled<'a>(
    _: &Params<'_>,
    beside: &Beside<'a>,
    rng: &mut Rng,
) -> Result<Box<dyn Operator + 'a>> {
    Ok(Box::new(Shuffled { head: Unmaterialised(beside.input), rng: rng.clone() }))
}

/// A head's rows, each in a random order that belongs to it.
struct Shuffled<'a> {
    head: Unmaterialised<'a>,
    /// Row i is shuffled by the stream i + 1 of this generator's key.
    rng: Rng,
}

impl Operator for Shuffled<'_> {
    fn shape(&self) -> (usize, usize) {
        self.head.shape()
    }

    fn support(&self, rows: Range<usize>) -> Range<usize> {
        self.head.support(rows)
    }

    fn rows(&self, range: Range<usize>, mut out: ArrayViewMut2<'_, f32>) {
        let first = self.support(range.clone()).start;
        self.head.rows(range.clone(), out.view_mut());
        for (i, row) in range.zip(out.rows_mut()) {
            let seen = self.head.0.sees(i);
            let mut rng = self.rng.clone();
            rng.set_stream(i as u64 + 1);
            if let Some(seen) = row.slice_move(s![seen.start - first..seen.end - first]).as_slice_mut() {
                seen.shuffle(&mut rng);
            }
        }
    }
}
