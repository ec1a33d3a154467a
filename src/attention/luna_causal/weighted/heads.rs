//! Heads whose weights are given.

use ndarray::{Array3, ArrayView3, ArrayViewMut3, s};

use super::backward::Into as To;
use super::chunked::Weighted;
use super::size;
use crate::attention::Mask;
use crate::attention::kernel::flat::{By, Size};
use crate::attention::kernel::heads::Heads;
use crate::attention::kernel::pass::{Pass, Stack, Target, Upstream};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::share::{Space, aligned, whole_lines};
use crate::attention::luna_causal::decay::Decay;
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};

/// Heads of causal Luna whose weights are given, whatever keys they come from.
#[derive(Clone, Copy, Debug)]
pub struct WeightedHeads<'a> {
    /// Queries, keys and values; the mask is causal.
    pub heads: Heads<'a>,
    /// The weights of each key, past [`Weight`](crate::attention::luna_causal::Weight), shape (h, m, l).
    pub w: ArrayView3<'a, f32>,
    /// The decay of every head, or of as many heads as each of them goes for: one for all, or one for every head of a
    /// layer, whose sequences follow each other.
    pub decays: &'a [Decay],
}

/// Gradients of what [`WeightedHeads`] hold.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedGradients {
    /// Of the queries, (h, n, `d_h`).
    pub q: Array3<f32>,
    /// Of the keys, (h, m, `d_h`).
    pub k: Array3<f32>,
    /// Of the weights, (h, m, l).
    pub w: Array3<f32>,
    /// Of the values, (h, m, `d_v`).
    pub v: Array3<f32>,
}

impl WeightedHeads<'_> {
    /// Elements of work space of the forward and of the backward pass on so many threads (with the copies of rows that are
    /// not whole cache lines), and of what the first keeps for the second; arrays are in standard layout.
    pub(crate) fn numbers(shape: &Shape, heads: usize, l: usize, threads: usize) -> ([usize; 2], usize) {
        let wide = Shape { d_h: whole_lines(shape.d_h), d_v: whole_lines(shape.d_v), ..*shape };
        let size = Size { shape: wide, heads, threads };
        let Shape { n, m, d_h, d_v, .. } = wide;
        let copied = |rows: usize, d: usize, wide: usize| if d == wide { 0 } else { heads * rows * wide };
        let of = |times: usize| {
            copied(times * (n + m), shape.d_h, d_h)
                + times * copied(m, l, whole_lines(l))
                + copied(m, shape.d_v, d_v)
        };
        let copies = [of(1) + copied(n, shape.d_v, d_v), of(2) + copied(2 * n + m, shape.d_v, d_v)];
        let space = size::space(&size, l).map(aligned);
        ([space[0] + copies[0], space[1] + copies[1]], size::saved(&size, l))
    }

    /// Operations of one head, forward and backward, those of its weights included: they are computed in both passes.
    pub(crate) fn train_cost(shape: &Shape, l: usize) -> Cost {
        let Shape { m, d_h, .. } = *shape;
        let [forward, backward] = size::cost(shape, l);
        let weights = Cost::product(m, 4 * d_h, l) + Cost::exps(3 * m * l);
        forward + backward + weights
    }

    fn fits(&self, out: &[usize]) -> Result<usize> {
        self.heads.check(out)?;
        if self.heads.mask == Mask::Full {
            return Err(Mask::Full.refused("fused attention 'luna-causal'"));
        }
        let ((h, m, _), (_, _, l)) = (self.heads.k.dim(), self.w.dim());
        if self.w.dim() != (h, m, l) || l == 0 {
            return Err(Error::Shape {
                what: "weights of attention 'luna-causal'".into(),
                found: self.w.shape().to_vec(),
                expected: format!("({h}, {m}, l) with l 1 or more"),
            });
        }
        if self.decays.is_empty() || !h.is_multiple_of(self.decays.len()) {
            let what = "decays of attention 'luna-causal'";
            return Err(Error::value(what, self.decays.len(), format!("a divisor of {h} heads")));
        }
        Ok(l)
    }

    fn signature(&self) -> (&'static str, [usize; 8]) {
        let ((h, n, d_h), (_, m, d_v)) = (self.heads.q.dim(), self.heads.v.dim());
        ("weights", [h, n, m, d_h, d_v, self.w.dim().2, self.heads.real.0, self.heads.real.1])
    }

    /// The output (h, n, `d_v`), and the activations that [`backward_into`](Self::backward_into) needs.
    pub fn forward_saving<'b>(
        &self,
        by: impl Into<By<'b>>,
        mut out: ArrayViewMut3<'_, f32>,
    ) -> Result<Saved> {
        let l = self.fits(out.shape())?;
        let mut saved = Saved { of: Some(self.signature()), ..Saved::default() };
        out.fill(0.0);
        let Some(pass) = Pass::new(by.into(), &self.heads) else { return Ok(saved) };
        let mut space = Space::new(size::space(&pass.size(), l)[0]);
        let w = Stack::of(self.w.view());
        let mut target = Target::new(out);
        Weighted::new(&pass, w.all(), self.w.dim().1, l, self.decays).forward(
            &mut saved,
            target.numbers(),
            space.all(),
        );
        target.finish();
        Ok(saved)
    }

    /// Gradients under the upstream gradient `d_out` (h, n, `d_v`) of what `forward_saving` made: `out`, and the
    /// saved activations. Rows of padding are zeros.
    pub fn backward_into<'b>(
        &self,
        by: impl Into<By<'b>>,
        saved: &Saved,
        out: ArrayView3<'_, f32>,
        d_out: ArrayView3<'_, f32>,
        gradients: &mut WeightedGradients,
    ) -> Result<()> {
        self.fits(out.shape())?;
        let l = self.fits(d_out.shape())?;
        let WeightedGradients { q, k, w, v } = gradients;
        let heads = &self.heads;
        let given = [(&*q, heads.q), (&*k, heads.k), (&*w, self.w), (&*v, heads.v)];
        if saved.of != Some(self.signature()) || given.iter().any(|(x, of)| x.dim() != of.dim()) {
            return Err(Error::Shape {
                what: "gradients of attention 'luna-causal', or its saved activations".into(),
                found: given.iter().flat_map(|(x, _)| x.shape().to_vec()).collect(),
                expected: "those of what the forward pass was given".into(),
            });
        }
        let (n, m) = heads.real;
        let pass = Pass::new(by.into(), heads);
        let (n, m) = if pass.is_some() { (n, m) } else { (0, 0) };
        for (x, real) in [(&mut *q, n), (&mut *k, m), (&mut *w, m), (&mut *v, m)] {
            x.slice_mut(s![.., real.., ..]).fill(0.0);
        }
        let Some(pass) = pass else { return Ok(()) };
        let mut space = Space::new(size::space(&pass.size(), l)[1]);
        let upstream = Upstream { out: Stack::of(out), d_out: Stack::of(d_out) };
        let weights = Stack::of(self.w.view());
        let [mut q, mut k, mut w, mut v] = [q, k, w, v].map(|x| Target::new(x.view_mut()));
        let into = To { q: q.numbers(), k: k.numbers(), w: w.numbers(), v: v.numbers() };
        let left = (&saved.rows[..], &saved.packs[..]);
        Weighted::new(&pass, weights.all(), self.w.dim().1, l, self.decays).backward(
            left,
            &upstream,
            into,
            space.all(),
        );
        [q, k, w, v].into_iter().for_each(Target::finish);
        Ok(())
    }
}
