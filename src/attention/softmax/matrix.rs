//! Softmax attention matrices: in f32, in f64, of logits, and as an operator that never keeps one.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::terms;
use crate::attention::{Input, Mask, Visible};
use crate::linalg::gemm::{Threads, product, product_into};
use crate::linalg::operator::Operator;
use crate::linalg::softmax::{softmax_rows, softmax_rows_causal_from, softmax_rows_within};

/// The attention matrix (n, m) of queries (n, `d_h`) and keys (m, `d_h`) in f32, on the calling thread.
pub fn matrix(q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>, scale: f32, mask: Mask) -> Array2<f32> {
    matrix_f32(&Input { scale, ..Input::new(q, k, mask) })
}

/// The attention matrix in f64 from the logits on: for spectra whose small values matter.
pub fn matrix_f64(q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>, scale: f64, mask: Mask) -> Array2<f64> {
    let logits = product(q.mapv(f64::from).view(), k.mapv(f64::from).t(), Threads::One) * scale;
    from_logits(logits, mask)
}

/// As [`matrix_f64`], of everything that an input carries.
pub fn matrix_of(input: &Input<'_>) -> Array2<f64> {
    if input.terms.set().next().is_some() {
        return terms::matrix_f64(input);
    }
    matrix_f64(input.q, input.k, f64::from(input.scale), input.mask)
}

/// Softmax over the visible part of each row of logits (n, m), in f64; the rest becomes 0.
pub fn from_logits(mut logits: Array2<f64>, mask: Mask) -> Array2<f64> {
    let m = logits.ncols();
    for (i, mut row) in logits.rows_mut().into_iter().enumerate() {
        let (mut seen, mut hidden) = row.view_mut().split_at(ndarray::Axis(0), mask.visible(i, m));
        let max = seen.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
        seen.mapv_inplace(|x| (x - max).exp());
        let sum = seen.sum();
        seen.mapv_inplace(|x| x / sum);
        hidden.fill(0.0);
    }
    logits
}

/// Softmax of logits over the keys that each query sees; what it does not see keeps the value that `matrix` (n, m) has
/// there (0, as a rule).
pub fn within(matrix: &mut Array2<f64>, logits: ArrayView2<'_, f64>, visible: &Visible) {
    let m = matrix.ncols();
    for (i, (mut row, logits)) in matrix.rows_mut().into_iter().zip(logits.rows()).enumerate() {
        let seen = || visible.row(i, m).flatten();
        let max = seen().fold(f64::NEG_INFINITY, |max, j| max.max(logits[j]));
        let mut sum = 0.0;
        for j in seen() {
            row[j] = (logits[j] - max).exp();
            sum += row[j];
        }
        seen().for_each(|j| row[j] /= sum);
    }
}

/// The attention matrix of an input in f32, with everything that it carries, on the calling thread.
pub fn matrix_f32(input: &Input<'_>) -> Array2<f32> {
    let mut a = Array2::zeros((input.q.nrows(), input.k.nrows()));
    let queries = 0..input.q.nrows();
    let keys = reach(input, &queries);
    weigh(input, queries, &keys, a.slice_mut(s![.., keys.clone()]));
    a
}

/// The weights of these queries over the keys that any of them sees: which keys, and an array (queries, keys).
///
/// On the calling thread. Rows sum to 1; with a sink to less, and rows that see no key are zeros.
pub fn block(input: &Input<'_>, queries: Range<usize>) -> (Range<usize>, Array2<f32>) {
    let keys = reach(input, &queries);
    let mut a = Array2::zeros((queries.len(), keys.len()));
    weigh(input, queries, &keys, a.view_mut());
    (keys, a)
}

/// The keys that any of these queries sees.
fn reach(input: &Input<'_>, queries: &Range<usize>) -> Range<usize> {
    match (queries.clone().next(), queries.clone().next_back()) {
        (Some(first), Some(last)) => {
            let end = input.sees(last).end;
            input.sees(first).start.min(end)..end
        }
        _ => 0..0,
    }
}

/// The weights of these queries over these keys, which hold all that they see.
fn weigh(input: &Input<'_>, queries: Range<usize>, keys: &Range<usize>, mut out: ArrayViewMut2<'_, f32>) {
    logits(input, queries.clone(), keys, out.view_mut());
    normalise(input, queries, keys, out);
}

/// The logits of these queries and keys, after softcap and bias where a query sees the key.
fn logits(input: &Input<'_>, queries: Range<usize>, keys: &Range<usize>, mut out: ArrayViewMut2<'_, f32>) {
    let (q, k) = (input.q.slice(s![queries.clone(), ..]), input.k.slice(s![keys.clone(), ..]));
    product_into(out.view_mut(), 0.0, q, k.t(), input.scale, Threads::One);
    if input.terms.softcap.is_none() && input.terms.bias.is_none() {
        return;
    }
    let n = input.q.nrows();
    for (i, mut row) in queries.zip(out.rows_mut()) {
        for j in input.sees(i) {
            let logit = &mut row[j - keys.start];
            *logit = input.terms.logit((i, j), n, f64::from(*logit)) as f32;
        }
    }
}

/// Softmax of such logits over the keys that each query sees.
fn normalise(input: &Input<'_>, queries: Range<usize>, keys: &Range<usize>, out: ArrayViewMut2<'_, f32>) {
    if input.terms.is_empty() {
        match input.mask {
            Mask::Full => softmax_rows(out),
            Mask::Causal => softmax_rows_causal_from(out, queries.start),
        }
        return;
    }
    let seen = |row: usize| {
        let seen = input.sees(queries.start + row);
        seen.start - keys.start..seen.end - keys.start
    };
    softmax_rows_within(out, seen, input.terms.sink);
}

/// The logits and the weights of some queries over the keys that any of them sees, in f32.
#[derive(Clone, Debug)]
pub struct Tile<'a> {
    input: Input<'a>,
    queries: Range<usize>,
    keys: Range<usize>,
    logits: Array2<f32>,
    weights: Array2<f32>,
}

impl<'a> Tile<'a> {
    /// Of these queries of an input without padding, on the calling thread.
    pub fn of(input: &Input<'a>, queries: Range<usize>) -> Self {
        let keys = reach(input, &queries);
        let mut x = Array2::zeros((queries.len(), keys.len()));
        logits(input, queries.clone(), &keys, x.view_mut());
        let mut weights = x.clone();
        normalise(input, queries.clone(), &keys, weights.view_mut());
        Self { input: *input, queries, keys, logits: x, weights }
    }

    /// What it is of.
    pub fn input(&self) -> &Input<'a> {
        &self.input
    }

    /// Its queries.
    pub fn queries(&self) -> Range<usize> {
        self.queries.clone()
    }

    /// The keys that any of them sees.
    pub fn keys(&self) -> Range<usize> {
        self.keys.clone()
    }

    /// Logits after softcap and bias, shape (queries, keys): also of keys that a query does not see, where they have no
    /// meaning.
    pub fn logits(&self) -> ArrayView2<'_, f32> {
        self.logits.view()
    }

    /// Rows of the attention matrix, shape (queries, keys).
    pub fn weights(&self) -> ArrayView2<'_, f32> {
        self.weights.view()
    }

    /// Which of its keys a query of it sees, from the first of [`keys`](Self::keys) on; both are counted in the tile.
    pub fn sees(&self, row: usize) -> Range<usize> {
        let seen = self.input.sees(self.queries.start + row);
        seen.start - self.keys.start..seen.end - self.keys.start
    }
}

/// An attention matrix that is never kept: its rows are computed again whenever they are needed.
#[derive(Clone, Copy, Debug)]
pub struct Unmaterialised<'a>(pub Input<'a>);

impl Operator for Unmaterialised<'_> {
    fn shape(&self) -> (usize, usize) {
        (self.0.q.nrows(), self.0.k.nrows())
    }

    fn support(&self, rows: Range<usize>) -> Range<usize> {
        reach(&self.0, &rows)
    }

    fn rows(&self, range: Range<usize>, out: ArrayViewMut2<'_, f32>) {
        let keys = reach(&self.0, &range);
        weigh(&self.0, range, &keys, out);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;
    use crate::attention::{HeadTerms, Window};
    use crate::rng::{normal, stream};

    /// Whole rows of an operator.
    fn tile(a: &Unmaterialised<'_>, rows: Range<usize>) -> Array2<f32> {
        let mut tile = Array2::zeros((rows.len(), a.shape().1));
        let columns = a.support(rows.clone());
        tile.slice_mut(s![.., columns.clone()]).fill(f32::NAN);
        a.rows(rows, tile.slice_mut(s![.., columns]));
        tile
    }

    #[test]
    fn f32_f64_and_tiles_agree() {
        let mut rng = stream(3, "softmax");
        let (q, k) = (normal(&mut rng, 33, 8), normal(&mut rng, 33, 8));
        for mask in [Mask::Full, Mask::Causal] {
            let whole = matrix(q.view(), k.view(), 0.7, mask);
            let exact = matrix_f64(q.view(), k.view(), f64::from(0.7_f32), mask);
            let far = (&whole.mapv(f64::from) - &exact).fold(0.0_f64, |far, x| far.max(x.abs()));
            assert!(far < 1e-6, "{mask:?}: {far}");
            let lazy = Unmaterialised(Input { scale: 0.7, ..Input::new(q.view(), k.view(), mask) });
            let tile = tile(&lazy, 20..30);
            let far = (&tile - &whole.slice(s![20..30, ..])).fold(0.0_f32, |far, x| far.max(x.abs()));
            assert!(far < 1e-6, "{mask:?}: {far}");
        }
    }

    #[test]
    fn f32_and_f64_agree_under_everything_that_an_input_carries() {
        let mut rng = stream(4, "softmax terms");
        let (q, k) = (normal(&mut rng, 40, 8), normal(&mut rng, 40, 8));
        let terms = HeadTerms {
            softcap: Some(3.0),
            bias: Some(Array1::from_shape_fn(79, |at| 0.05 * at as f32)),
            window: Some(Window { back: 6, ahead: 3 }),
            sink: Some(0.5),
        };
        let one = |keep: usize| HeadTerms {
            softcap: terms.softcap.filter(|_| keep == 0),
            bias: terms.bias.clone().filter(|_| keep == 1),
            window: terms.window.filter(|_| keep == 2),
            sink: terms.sink.filter(|_| keep == 3),
        };
        for terms in (0..4).map(one).chain([terms.clone()]) {
            for mask in [Mask::Full, Mask::Causal] {
                let input = Input { terms: terms.view(), ..Input::new(q.view(), k.view(), mask) };
                let exact = matrix_of(&input);
                let far = |a: &Array2<f32>, exact: ArrayView2<'_, f64>| {
                    (&a.mapv(f64::from) - &exact).fold(0.0_f64, |far, x| far.max(x.abs()))
                };
                assert!(far(&matrix_f32(&input), exact.view()) < 1e-6, "{mask:?} {terms:?}");
                let tile = tile(&Unmaterialised(input), 20..30);
                assert!(far(&tile, exact.slice(s![20..30, ..])) < 1e-6, "{mask:?} {terms:?}");
                let (keys, part) = block(&input, 20..30);
                assert!(far(&part, exact.slice(s![20..30, keys])) < 1e-6, "{mask:?} {terms:?}");
            }
        }
    }
}
