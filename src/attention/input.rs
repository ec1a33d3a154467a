//! What a mechanism reads.

use std::ops::Range;

use ndarray::{ArrayView2, s};

use super::mask::Mask;
use super::terms::Terms;
use crate::cost::Shape;
use crate::error::{Error, Result};

/// Queries and keys of one head, and who sees whom.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Queries, shape (n, `d_h`).
    pub q: ArrayView2<'a, f32>,
    /// Keys, shape (m, `d_h`).
    pub k: ArrayView2<'a, f32>,
    /// The factor on `q k^T`, usually `1 / sqrt(d_h)`.
    pub scale: f32,
    /// Which keys a query sees.
    pub mask: Mask,
    /// How many queries and keys are real: the others are padding and have no influence on anything.
    pub real: (usize, usize),
    /// What changes the logits beside scale and mask.
    pub terms: Terms<'a>,
}

impl<'a> Input<'a> {
    /// Queries and keys without padding under the usual scale, `1 / sqrt(d_h)`.
    pub fn new(q: ArrayView2<'a, f32>, k: ArrayView2<'a, f32>, mask: Mask) -> Self {
        let scale = (1.0 / (q.ncols().max(1) as f64).sqrt()) as f32;
        Self { q, k, scale, mask, real: (q.nrows(), k.nrows()), terms: Terms::default() }
    }

    /// The shape with values of width `d_v`.
    pub fn shape(&self, d_v: usize) -> Shape {
        let (n, m) = (self.q.nrows(), self.k.nrows());
        Shape { n, m, d_h: self.q.ncols(), d_v, causal: self.mask == Mask::Causal, window: self.terms.window }
    }

    /// Queries and keys without their padding.
    pub(super) fn without_padding(&self) -> Self {
        let (n, m) = self.real;
        let (q, k) = (self.q.slice_move(s![..n, ..]), self.k.slice_move(s![..m, ..]));
        let terms = self.terms.first((self.q.nrows(), self.k.nrows()), self.real);
        Self { q, k, terms, ..*self }
    }

    /// The keys that query i sees: those that the mask and the window leave.
    pub fn sees(&self, i: usize) -> Range<usize> {
        let visible = self.mask.visible(i, self.k.nrows());
        self.terms.window.map_or(0..visible, |window| window.keys(i, visible))
    }

    /// Refuses shapes that do not fit each other.
    pub(super) fn check(&self, v: Option<ArrayView2<'_, f32>>) -> Result<()> {
        let refuse = |what: &str, found: &[usize], expected: String| {
            Err(Error::Shape { what: what.into(), found: found.to_vec(), expected })
        };
        let (n, m, d_h) = (self.q.nrows(), self.k.nrows(), self.q.ncols());
        if n == 0 || d_h == 0 {
            return refuse("queries", self.q.shape(), "(n, d_h), both 1 or more".into());
        }
        if m == 0 || self.k.ncols() != d_h {
            return refuse("keys", self.k.shape(), format!("(m, {d_h}) with m 1 or more"));
        }
        if let Some(v) = v.filter(|v| v.nrows() != m || v.ncols() == 0) {
            return refuse("values", v.shape(), format!("({m}, d_v) with d_v 1 or more"));
        }
        let real = [self.real.0, self.real.1];
        if !(1..=n).contains(&real[0]) || !(1..=m).contains(&real[1]) {
            return refuse("real queries and keys", &real, format!("1 to {n} and 1 to {m}"));
        }
        self.terms.check(n, m)
    }
}
