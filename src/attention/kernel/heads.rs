//! Many heads of one shape.

use ndarray::ArrayView3;

use crate::attention::mask::Mask;
use crate::attention::terms::Terms;
use crate::error::{Error, Result};
use crate::linalg::random_mask::RandomMask;

/// Queries, keys and values of many heads, and which keys a query sees.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// Queries, shape (h, n, `d_h`).
    pub q: ArrayView3<'a, f32>,
    /// Keys, shape (h, m, `d_h`).
    pub k: ArrayView3<'a, f32>,
    /// Values, shape (h, m, `d_v`).
    pub v: ArrayView3<'a, f32>,
    /// The factor on `q k^T`, usually `1 / sqrt(d_h)`.
    pub scale: f32,
    /// Which keys a query sees.
    pub mask: Mask,
    /// How many queries and keys are real: the others are padding and have no influence. Rows of padded queries, and of
    /// queries that see no key at all, are zeros.
    pub real: (usize, usize),
    /// Which weights are dropped, after the softmax: of key j under query i of head a, number j of part a n + i. Mechanisms
    /// without a fused implementation of it refuse it.
    pub dropout: RandomMask,
    /// What changes the logits beside scale and mask; no fused implementation honours any of it yet.
    pub terms: Terms<'a>,
}

impl<'a> Heads<'a> {
    /// Heads without padding under the usual scale, `1 / sqrt(d_h)`.
    pub fn new(q: ArrayView3<'a, f32>, k: ArrayView3<'a, f32>, v: ArrayView3<'a, f32>, mask: Mask) -> Self {
        let scale = (1.0 / (q.dim().2.max(1) as f64).sqrt()) as f32;
        let (real, dropout) = ((q.dim().1, k.dim().1), RandomMask::OFF);
        Self { q, k, v, scale, mask, real, dropout, terms: Terms::default() }
    }

    /// Refuses shapes that do not fit each other, or an output of shape `out`.
    pub(in crate::attention) fn check(&self, out: &[usize]) -> Result<()> {
        let ((h, n, d_h), (_, m, _), (_, _, d_v)) = (self.q.dim(), self.k.dim(), self.v.dim());
        for (what, found, expected) in [
            ("keys", self.k.shape(), [h, m, d_h]),
            ("values", self.v.shape(), [h, m, d_v]),
            ("output", out, [h, n, d_v]),
        ] {
            if found != expected {
                return Err(Error::Shape {
                    what: what.into(),
                    found: found.to_vec(),
                    expected: format!("{expected:?}, which the others have"),
                });
            }
        }
        if self.real.0 > n || self.real.1 > m || d_h == 0 || d_v == 0 {
            return Err(Error::Shape {
                what: "real queries and keys".into(),
                found: vec![self.real.0, self.real.1],
                expected: format!("at most {n} and {m}, of width 1 or more"),
            });
        }
        Ok(())
    }
}
