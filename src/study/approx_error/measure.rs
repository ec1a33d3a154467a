//! One head over one window: every mechanism beside softmax attention and beside the best of its rank.

use std::cell::LazyCell;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use super::fits::{Fits, Role};
use super::slots::Slots;
use crate::attention::{Attention, Input, Origin, softmax};
use crate::cost::Shape;
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};
use crate::linalg::truncation::Truncation;
use crate::metric::{self, Metric, Of, Output, OutputProfile, PairProfile, Reference};
use crate::name::Spec;
use crate::report::Digits::Integer;
use crate::report::{Cell, Column};
use crate::rng::stream;
use crate::study::Context;
use crate::study::columns::described;
use crate::study::input::{Head, HeadWindow};
use crate::sweep::bits::{self, Bits};

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

impl Bits for Optimum {
    type Text = String;

    fn text(&self) -> String {
        vec![self.rel_fro, self.rel_spectral, self.output_rel_fro].text()
    }

    fn read(text: &String) -> Option<Self> {
        let [rel_fro, rel_spectral, output_rel_fro] = Vec::read(text)?[..] else { return None };
        Some(Self { rel_fro, rel_spectral, output_rel_fro })
    }
}

/// One mechanism on one head over one window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Comparison {
    /// The mechanism, by its number.
    pub(super) candidate: usize,
    /// Whether the window was one that learned parts were fitted on.
    pub(super) role: Role,
    /// The rank that its matrix cannot exceed, at most min(n, m).
    pub(super) rank_bound: usize,
    /// Whether that bound is one of its form, and not of the matrix's shape alone.
    pub(super) bounded: bool,
    /// What it costs, where it is not a model's own.
    pub(super) price: Option<Price>,
    /// Values of [`metrics`].
    #[serde(with = "bits")]
    pub(super) values: Vec<Option<f64>>,
    /// What the best matrix of that rank leaves; none if the bound is no bound.
    #[serde(with = "bits")]
    pub(super) optimum: Option<Optimum>,
}

/// What a forward pass of one head costs, in closed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Price {
    pub(super) flops: u64,
    /// Bytes of a key-value cache in f32 that a query reads, the mean over queries; none where there is no such cache.
    pub(super) cache_bytes: Option<u64>,
}

impl Price {
    pub(super) fn of(attention: &Attention, shape: &Shape) -> Self {
        let bytes = |elements: u64| elements * size_of::<f32>() as u64 / shape.n.max(1) as u64;
        Self { flops: attention.cost(shape).flops(), cache_bytes: attention.cache_reads(shape).map(bytes) }
    }

    /// As cells of [`price_columns`].
    pub(super) fn cells(of: Option<Self>) -> [Cell; 2] {
        let bytes = of.and_then(|price| price.cache_bytes);
        [of.map(|price| price.flops), bytes].map(|count| count.map(|count| count as usize).into())
    }
}

/// The columns of what a mechanism costs.
pub(super) fn price_columns() -> Vec<Column> {
    let reads =
        "f32 keys and values, or what is stored in their place, that a query reads: mean over queries";
    described(&[
        (
            "flops",
            "FLOP",
            "FLOPs of a forward pass of one head, in closed form; keys that are chosen at most",
            Integer,
        ),
        ("cache_bytes", "bytes", reads, Integer),
    ])
}

/// One head over one window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) at: HeadWindow,
    pub(super) mechanisms: Vec<Comparison>,
    /// What the best matrix of each l leaves.
    #[serde(with = "bits")]
    pub(super) floor: Vec<(usize, Optimum)>,
    /// How far the l most probable keys of each row are, at each l.
    pub(super) top: Vec<Top>,
    /// The rows of P at work, where the model's own attention is compared.
    pub(super) slots: Option<Slots>,
}

/// The most probable keys in the place of a mechanism.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Top {
    /// How many of each row.
    pub(super) l: usize,
    /// Values of [`metrics`].
    #[serde(with = "bits")]
    pub(super) values: Vec<Option<f64>>,
}

impl Bits for Vec<(usize, Optimum)> {
    type Text = Vec<(usize, String)>;

    fn text(&self) -> Self::Text {
        self.iter().map(|(l, optimum)| (*l, optimum.text())).collect()
    }

    fn read(text: &Self::Text) -> Option<Self> {
        text.iter().map(|(l, optimum)| Some((*l, Optimum::read(optimum)?))).collect()
    }
}

/// What measuring needs beside the head.
pub(super) struct Job<'a> {
    pub(super) candidates: &'a [Candidate],
    pub(super) lengths: &'a [usize],
    pub(super) fits: &'a Fits,
    /// The lengths at which heads are compared row by row.
    pub(super) streamed: &'a [usize],
    pub(super) context: Context<'a>,
}

impl Job<'_> {
    /// Every mechanism on a head.
    pub(super) fn head(&self, of: HeadWindow, head: &Head) -> Result<Measured> {
        let watch = self.context.watch;
        watch.check()?;
        if self.streamed.contains(&of.n) {
            return self.streamed(of, head);
        }
        let (input, v) = head.projected()?;
        let a = softmax::matrix_f32(&input);
        let output = product(a.view(), v.view(), Threads::One);
        finite(head, output.iter().chain(&a))?;
        let best = Truncation::of(a.view(), output.view())?;
        let (mut reference, output) = (Reference::new(a, |i| input.sees(i)), Output::new(output));
        let mut compare = |spec: &Spec, b: ArrayView2<'_, f32>| {
            let label = format!("norm {spec} {} n {} window {}", head.label, head.shape.0, head.window);
            let pair = reference.compare(b, best.spectral(), &mut stream(self.context.seed, &label));
            values(&pair, &output.compare(product(b, v.view(), Threads::One).view()))
        };
        let optimum = |rank: usize| Optimum {
            rel_fro: best.rel_fro(rank),
            rel_spectral: best.rel_spectral(rank),
            output_rel_fro: best.output_rel_fro(rank),
        };
        let (n, m) = head.shape;
        let mut mechanisms = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate().filter(|(_, one)| one.is_at(n)) {
            watch.check()?;
            let (b, rank, price) = self.matrix(at, head, &input, v.ncols())?;
            let values = compare(&candidate.spec, b.view());
            let (rank_bound, bounded) = (rank.map_or(n.min(m), |rank| rank.min(n).min(m)), rank.is_some());
            mechanisms.push(Comparison {
                candidate: at,
                role: self.fits.role(candidate, head.window),
                rank_bound,
                bounded,
                price,
                values,
                optimum: (rank_bound < n.min(m)).then(|| optimum(rank_bound)),
            });
            watch.step(1, &head.label);
        }
        let floor = self.lengths.iter().filter(|l| **l <= n.min(m)).map(|l| (*l, optimum(*l))).collect();
        let exact = LazyCell::new(|| softmax::matrix_of(&input));
        let top: Result<_> = self
            .lengths
            .iter()
            .filter(|l| **l <= m)
            .map(|l| {
                let attention = top_k(*l)?;
                let b = attention.matrix_beside(&input, &exact)?;
                Ok(Top { l: *l, values: compare(attention.spec(), b.view()) })
            })
            .collect();
        let asks = self.candidates.iter().any(Candidate::is_own);
        let slots = head.own.as_ref().filter(|_| asks).map(|own| Slots::of(own, of.window == 0));
        Ok(Measured { at: of, mechanisms, floor, top: top?, slots })
    }

    /// The matrix of a mechanism on a head, the rank that its form bounds it to, and what it costs.
    fn matrix(
        &self,
        at: usize,
        head: &Head,
        input: &Input<'_>,
        d_v: usize,
    ) -> Result<(Array2<f32>, Option<usize>, Option<Price>)> {
        let candidate = &self.candidates[at];
        if let Some(own) = head.own.as_ref().filter(|_| candidate.is_own()) {
            return Ok((own.matrix(), own.rank(), None));
        }
        let learned = self.fits.learned(at, head.shape.0, &head.label);
        let origin = Origin { seed: self.context.seed, label: &head.label, learned };
        let attention = Attention::build(&candidate.spec, &origin)?;
        let shape = input.shape(d_v);
        let rank = attention.bounds_rank(&shape).then(|| attention.rank(&shape));
        Ok((attention.matrix(input)?, rank, Some(Price::of(&attention, &shape))))
    }
}

/// The best choice of l keys.
pub(super) fn top_k(l: usize) -> Result<Attention> {
    Attention::plain("top-k", Some(l))
}

/// Refuses softmax attention that is not finite.
pub(super) fn finite<'a>(head: &Head, mut values: impl Iterator<Item = &'a f32>) -> Result<()> {
    values.find(|x| !x.is_finite()).map_or(Ok(()), |x| {
        let what = format!("softmax attention of {}", head.label);
        Err(Error::NotFinite { what, value: f64::from(*x), at: format!("window {}", head.window) })
    })
}

/// The values of [`metrics`].
pub(super) fn values(pair: &PairProfile, out: &OutputProfile) -> Vec<Option<f64>> {
    let value = |metric: &Metric| match metric.of {
        Of::Pair(value) => value(pair),
        Of::Output(value) => value(out),
        _ => None,
    };
    metrics().map(value).collect()
}
