//! Heads in f64 with their matrices written out: what rounding and gradients of fast implementations are judged by.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};

use super::heads::Heads;
use crate::attention::Mask;
use crate::linalg::gemm::{Threads, product};

/// One head in f64, without padding.
#[derive(Clone, Debug)]
pub struct ExactHead {
    /// Queries, (n, `d_h`).
    pub q: Array2<f64>,
    /// Keys, (m, `d_h`).
    pub k: Array2<f64>,
    /// Values, (m, `d_v`).
    pub v: Array2<f64>,
    /// The factor on `q k^T`.
    pub scale: f64,
    /// Which keys a query sees.
    pub mask: Mask,
}

/// The learned arrays of one head in f64, by name.
pub(in crate::attention) struct ExactArrays<'a>(pub(super) &'a [(&'static str, Array2<f64>)]);

/// The maxima that Performer subtracts. Its gradients treat them as constants: where differences are taken, the maxima
/// of the centre are used at both ends.
#[derive(Debug, Default)]
pub struct Maxima {
    seen: Vec<f64>,
    /// The next one to be used again.
    next: Option<usize>,
}

impl ExactHead {
    /// One of many heads.
    pub fn of(heads: &Heads<'_>, at: usize) -> Self {
        let (n, m) = heads.real;
        let one = |x: ArrayView3<'_, f32>, rows: usize| x.slice(s![at, ..rows, ..]).mapv(f64::from);
        let (q, k, v) = (one(heads.q, n), one(heads.k, m), one(heads.v, m));
        Self { q, k, v, scale: f64::from(heads.scale), mask: heads.mask }
    }
}

impl ExactArrays<'_> {
    /// The array of that name.
    ///
    /// # Panics
    /// If there is none.
    pub(in crate::attention) fn get(&self, name: &str) -> ArrayView2<'_, f64> {
        self.find(name).unwrap_or_else(|| panic!("an array '{name}'"))
    }

    pub(in crate::attention) fn find(&self, name: &str) -> Option<ArrayView2<'_, f64>> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, x)| x.view())
    }
}

impl Maxima {
    /// From here on the maxima so far are used again, from the first one on.
    pub fn again(&mut self) {
        self.next = Some(0);
    }

    pub(in crate::attention) fn of(&mut self, found: impl IntoIterator<Item = f64>) -> f64 {
        if let Some(next) = &mut self.next {
            *next += 1;
            return self.seen[*next - 1];
        }
        self.seen.push(found.into_iter().fold(f64::NEG_INFINITY, f64::max));
        self.seen[self.seen.len() - 1]
    }
}

/// `a b`.
pub(in crate::attention) fn dot(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    product(a, b, Threads::All)
}

/// `softmax(scale q k^T) v` over the pairs that are seen; zeros for queries that see no key.
pub(in crate::attention) fn softmax(
    q: ArrayView2<'_, f64>,
    k: ArrayView2<'_, f64>,
    v: ArrayView2<'_, f64>,
    scale: f64,
    sees: impl Fn(usize, usize) -> bool,
) -> Array2<f64> {
    let mut a = dot(q, k.t()) * scale;
    for (i, mut row) in a.outer_iter_mut().enumerate() {
        row.indexed_iter_mut().filter(|(j, _)| !sees(i, *j)).for_each(|(_, x)| *x = f64::NEG_INFINITY);
        let max = row.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
        row.mapv_inplace(|x| if max == f64::NEG_INFINITY { 0.0 } else { (x - max).exp() });
        let sum = row.sum();
        if sum > 0.0 {
            row /= sum;
        }
    }
    dot(a.view(), v)
}

/// `a v / (a 1 + eps)`.
pub(in crate::attention) fn weighted(a: &Array2<f64>, eps: f64, v: ArrayView2<'_, f64>) -> Array2<f64> {
    let sums = (a.sum_axis(Axis(1)) + eps).insert_axis(Axis(1));
    dot(a.view(), v) / sums
}

/// Zeros where a query does not see a key.
pub(in crate::attention) fn hidden(mut a: Array2<f64>, mask: Mask) -> Array2<f64> {
    let m = a.ncols();
    for (i, mut row) in a.outer_iter_mut().enumerate() {
        row.slice_mut(s![mask.visible(i, m)..]).fill(0.0);
    }
    a
}
