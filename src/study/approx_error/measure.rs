//! One head over one window: every mechanism beside softmax attention and beside the best of its rank.

use ndarray::{Array2, ArrayView2};

use super::asked::Asked;
use super::fits::{Fits, Role};
use super::slots::Slots;
use crate::attention::{Attention, Input, Origin, softmax};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};
use crate::linalg::truncation::Truncation;
use crate::metric::{self, Metric, Of, Output, OutputProfile, PairProfile, Reference};
use crate::rng::stream;
use crate::study::Context;
use crate::study::input::{Body, Head};

/// The metrics of a comparison, in the order of the columns.
pub(super) fn metrics() -> impl Iterator<Item = &'static Metric> {
    metric::ALL.iter().filter(|metric| matches!(metric.of, Of::Pair(_) | Of::Output(_)))
}

/// What the best matrix of some rank leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Optimum {
    pub(super) rel_fro: f64,
    pub(super) rel_spectral: f64,
    pub(super) output_rel_fro: f64,
}

/// One mechanism on one head over one window.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Its place among the mechanisms.
    pub(super) asked: usize,
    /// Whether the window was one that pieces were fitted on.
    pub(super) role: Role,
    /// The rank that its matrix cannot exceed, at most min(n, m).
    pub(super) rank_bound: usize,
    /// Whether that bound is one of its form, and not of the matrix's shape alone.
    pub(super) bounded: bool,
    /// Values of [`metrics`].
    pub(super) values: Vec<f64>,
    /// What the best matrix of that rank leaves; none if the bound is no bound.
    pub(super) optimum: Option<Optimum>,
}

/// One head over one window.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) label: String,
    pub(super) layer: usize,
    pub(super) head: usize,
    pub(super) window: usize,
    pub(super) n: usize,
    pub(super) cells: Vec<Cell>,
    /// What the best matrix of each l leaves.
    pub(super) floor: Vec<(usize, Optimum)>,
    /// The rows of P at work, where the model's own attention is compared.
    pub(super) slots: Option<Slots>,
}

/// What measuring needs beside the head.
pub(super) struct Job<'a> {
    pub(super) asked: &'a [Asked],
    pub(super) lengths: &'a [usize],
    pub(super) fits: &'a Fits,
    pub(super) context: Context<'a>,
}

/// Queries, keys and values, and the factor on the products of queries and keys.
pub(super) type Projected<'a> = ([&'a Array2<f32>; 3], f32);

/// What a head was projected to; an error for a head that is only a matrix.
pub(super) fn projected(head: &Head) -> Result<Projected<'_>> {
    match &head.body {
        Body::Projected { q, k, v, scale, .. } => Ok(([q, k, v], *scale as f32)),
        Body::Logits(_) | Body::Given(_) => Err(Error::value(
            "input",
            &head.label,
            "heads with queries, keys and values: a model, or --synthetic gaussian:...",
        )),
    }
}

impl Job<'_> {
    pub(super) fn head(&self, head: &Head) -> Result<Measured> {
        let watch = self.context.watch;
        watch.check()?;
        let ([q, k, v], scale) = projected(head)?;
        let input = Input { scale, ..Input::new(q.view(), k.view(), head.mask) };
        let a = softmax::matrix(q.view(), k.view(), scale, head.mask);
        let output = product(a.view(), v.view(), Threads::One);
        if let Some(x) = output.iter().chain(&a).find(|x| !x.is_finite()) {
            let what = format!("softmax attention of {}", head.label);
            let at = format!("window {}", head.window);
            return Err(Error::NotFinite { what, value: f64::from(*x), at });
        }
        let best = Truncation::of(a.view(), output.view())?;
        let (reference, output) = (Reference::new(a, best.spectral()), Output::new(output));
        let optimum = |rank: usize| Optimum {
            rel_fro: best.rel_fro(rank),
            rel_spectral: best.rel_spectral(rank),
            output_rel_fro: best.output_rel_fro(rank),
        };
        let (n, m) = head.shape;
        let mut cells = Vec::new();
        for (at, asked) in self.asked.iter().enumerate().filter(|(_, asked)| asked.is_at(n)) {
            watch.check()?;
            let (b, rank) = self.matrix(at, head, &input, v.ncols())?;
            let (pair, out) = self.compare(head, asked, b.view(), v, &reference, &output);
            let (rank_bound, bounded) = (rank.map_or(n.min(m), |rank| rank.min(n).min(m)), rank.is_some());
            let values = metrics().filter_map(|metric| match metric.of {
                Of::Pair(value) => Some(value(&pair)),
                Of::Output(value) => Some(value(&out)),
                _ => None,
            });
            cells.push(Cell {
                asked: at,
                role: self.fits.role(asked, head.window),
                rank_bound,
                bounded,
                values: values.collect(),
                optimum: (rank_bound < n.min(m)).then(|| optimum(rank_bound)),
            });
            watch.step(1, &head.label);
        }
        let floor = self.lengths.iter().filter(|l| **l <= n.min(m)).map(|l| (*l, optimum(*l))).collect();
        let asks = self.asked.iter().any(Asked::is_own);
        let slots = head.own.as_ref().filter(|_| asks).map(Slots::of);
        let Head { label, layer, head, window, .. } = head;
        let (label, layer, head, window) = (label.clone(), *layer, *head, *window);
        Ok(Measured { label, layer, head, window, n, cells, floor, slots })
    }

    /// The matrix of a mechanism on a head, and the rank that its form bounds it to.
    fn matrix(
        &self,
        at: usize,
        head: &Head,
        input: &Input<'_>,
        d_v: usize,
    ) -> Result<(Array2<f32>, Option<usize>)> {
        let asked = &self.asked[at];
        if let Some(own) = head.own.as_ref().filter(|_| asked.is_own()) {
            return Ok((own.matrix(), own.rank()));
        }
        let learned = self.fits.learned(at, head.shape.0, &head.label);
        let origin = Origin { seed: self.context.seed, label: &head.label, learned };
        let attention = Attention::build(&asked.spec, &origin)?;
        let shape = input.shape(d_v);
        let rank = attention.bounds_rank(&shape).then(|| attention.rank(&shape));
        Ok((attention.matrix(input)?, rank))
    }

    fn compare(
        &self,
        head: &Head,
        asked: &Asked,
        b: ArrayView2<'_, f32>,
        v: &Array2<f32>,
        reference: &Reference,
        output: &Output,
    ) -> (PairProfile, OutputProfile) {
        let label = format!("norm {} {} n {} window {}", asked.spec, head.label, head.shape.0, head.window);
        let pair = reference.compare(b, &mut stream(self.context.seed, &label));
        (pair, output.compare(product(b, v.view(), Threads::One).view()))
    }
}
