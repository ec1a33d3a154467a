//! The masks of dumped matrices, from their zeros.
//!
//! A probability is exactly 0 where the mask hides a key, and where a sharp softmax underflows. Zeros are taken as a mask
//! only where they have the form of one, in every row, and are no accident of one head: either all other probabilities of the
//! head are far above underflow, or the heads of the layer have the pattern in common.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Zip};
use rayon::prelude::*;

use super::fit::fit;
use super::shape::{CAUSAL, Reach, Shape};
use crate::attention::Visible;
use crate::task::dump::{Dump, Precision};

/// The share of zeros among visible probabilities from which on a note is worth its line.
const SHARE: f64 = 0.01;

/// What is known of one matrix.
struct Zeros {
    seen: Array2<bool>,
    /// The smallest value above 0.
    smallest: f64,
    /// Rows of one value without a zero: what is left of queries whose keys are all hidden, where masking adds a large
    /// negative number to every logit.
    uniform: Vec<bool>,
}

/// The masks of the heads of one layer for one sample, with whether each leaves zeros that it does not explain.
pub(super) struct Layer {
    pub(super) shapes: Vec<Shape>,
    pub(super) unexplained: Vec<bool>,
}

/// Which keys some head of the file sees, for one sample.
pub(super) fn seen_keys(dump: &Dump, sample: usize) -> Vec<bool> {
    let (layers, heads, _, m) = dump.shape();
    let each: Vec<(usize, usize)> =
        (0..layers).flat_map(|layer| (0..heads).map(move |head| (layer, head))).collect();
    let any = |mut a: Vec<bool>, b: Vec<bool>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a |= b);
        a
    };
    each.par_iter()
        .map(|(layer, head)| {
            let seen = dump.map(*layer, sample, *head, |x| x != 0.0);
            seen.columns().into_iter().map(|column| column.iter().any(|seen| *seen)).collect()
        })
        .reduce(|| vec![false; m], any)
}

/// The masks of all heads of a layer; `keys` are those that some head of the file sees.
pub(super) fn layer(dump: &Dump, layer: usize, sample: usize, keys: &[bool]) -> Layer {
    let (layers, heads, n, m) = dump.shape();
    let all: Vec<Zeros> =
        (0..heads).into_par_iter().map(|head| Zeros::of(dump, layer, sample, head)).collect();
    let mut union = Array2::from_elem((n, m), false);
    for one in &all {
        Zip::from(&mut union).and(&one.seen).for_each(|union, seen| *union |= seen);
    }
    let common = if heads > 1 { fit(union.view()) } else { None };
    let shapes: Vec<Shape> = all
        .par_iter()
        .map(|one| {
            let shared = heads > 1 && one.seen == union;
            one.exact(dump.precision, shared)
                .or_else(|| common.as_ref().filter(|shape| !is_full(shape)).map(|shape| one.within(shape)))
                .unwrap_or_else(|| one.outline(keys, layers * heads > 1))
        })
        .collect();
    let unexplained = all.iter().zip(&shapes).map(|(one, shape)| one.unexplained(shape) > SHARE).collect();
    Layer { shapes, unexplained }
}

impl Zeros {
    fn of(dump: &Dump, layer: usize, sample: usize, head: usize) -> Self {
        let values = dump.map(layer, sample, head, |x| x);
        let smallest =
            values.iter().filter(|x| **x > 0.0).fold(f64::INFINITY, |smallest, x| smallest.min(*x));
        let uniform = values.rows().into_iter().map(|row| {
            let first = row.first().copied().unwrap_or(0.0);
            row.len() > 1 && first > 0.0 && row.iter().all(|x| *x == first)
        });
        Self { uniform: uniform.collect(), seen: values.mapv(|x| x != 0.0), smallest }
    }

    /// The mask whose zeros these are, if they cannot well be anything else; `shared` if all heads of the layer have them.
    fn exact(&self, precision: Precision, shared: bool) -> Option<Shape> {
        if self.seen.iter().all(|seen| *seen) {
            return Some(Shape::full(self.seen.nrows(), self.seen.ncols()));
        }
        let trusted = |shape: &Shape| {
            // Half a matrix of zeros is no accident.
            shared || self.smallest > precision.underflow() || (shape.reach == CAUSAL && all(&shape.keys))
        };
        let plain = fit(self.seen.view());
        plain.or_else(|| self.without_uniform_rows()).filter(trusted)
    }

    /// The mask of the other rows, where uniform rows are all that contradicts one.
    fn without_uniform_rows(&self) -> Option<Shape> {
        if !self.uniform.contains(&true) {
            return None;
        }
        let mut seen = self.seen.clone();
        for (mut row, _) in seen.rows_mut().into_iter().zip(&self.uniform).filter(|(_, uniform)| **uniform) {
            row.fill(false);
        }
        fit(seen.view())
    }

    /// A mask that the layer has in common, less the rows that are 0 in this head.
    fn within(&self, shape: &Shape) -> Shape {
        let mut shape = shape.clone();
        for (query, row) in shape.queries.iter_mut().zip(self.seen.rows()) {
            *query &= row.iter().any(|seen| *seen);
        }
        shape
    }

    /// What is a mask although other zeros are none: rows of zeros, since a softmax sums to 1; keys that no head of the file
    /// sees (`several`: there is more than one), or with one head at the ends of the sequence; nothing above the diagonal.
    fn outline(&self, keys: &[bool], several: bool) -> Shape {
        let (n, m) = self.seen.dim();
        let queries = self.seen.rows().into_iter().map(|row| row.iter().any(|seen| *seen)).collect();
        let causal = n == m && n > 1 && self.seen.indexed_iter().all(|((i, j), seen)| j <= i || !*seen);
        let first = keys.iter().position(|seen| *seen).unwrap_or(0);
        let mut last = keys.iter().rposition(|seen| *seen).unwrap_or(m);
        // Under a causal mask the last key is seen by one query only: that this one passes it over says nothing.
        if causal && last + 2 == m {
            last += 1;
        }
        let keys = (0..m).map(|j| (first..=last).contains(&j) && (!several || keys[j] || j == last));
        Shape { queries, keys: keys.collect(), reach: if causal { CAUSAL } else { Reach::Full } }
    }

    /// The share of zeros among what a mask leaves visible.
    fn unexplained(&self, shape: &Shape) -> f64 {
        let visible = self.seen.indexed_iter().filter(|((i, j), _)| shape.sees(*i, *j));
        let (zeros, all) = visible
            .fold((0_usize, 0_usize), |(zeros, all), (_, seen)| (zeros + usize::from(!*seen), all + 1));
        zeros as f64 / all.max(1) as f64
    }
}

fn all(real: &[bool]) -> bool {
    real.iter().all(|real| *real)
}

fn is_full(shape: &Shape) -> bool {
    shape.reach == Reach::Full && all(&shape.keys)
}

/// Exactly what is not 0 in a matrix.
pub(super) fn pattern(seen: ArrayView2<'_, bool>) -> Visible {
    let (n, m) = seen.dim();
    Visible::where_seen(n, m, |i, j| seen[[i, j]])
}

/// How many heads have each mask, in words: the commonest first.
pub(super) fn counted(masks: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 4;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = 0;
    for mask in masks {
        *counts.entry(mask).or_default() += 1;
        all += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if let [(only, _)] = counts.as_slice() {
        return only.clone();
    }
    let more = counts.len().saturating_sub(SHOWN);
    let mut parts: Vec<String> =
        counts.iter().take(SHOWN).map(|(mask, count)| format!("{mask} in {count} of {all} heads")).collect();
    parts.extend((more > 0).then(|| format!("{more} others")));
    parts.join("; ")
}
