//! Causal Luna backwards (Ma et al. 2021, section 3.3 and the authors' `LunarCausalAttention`): weights
//! `w = f(s k p^T)`, f = softplus or elu + 1, then [`weighted`](super::weighted).
//!
//! ```text
//! dz = dw * f'(z), z = s k p^T      dp = s dz^T k      dk += s dz p
//! ```
//! f' is known from f alone: `1 - 2^-f` of softplus, `min(f, 1)` of elu + 1. In the authors' layer the keys of the weights
//! have a projection of their own: [`WeightedHeads`] is the same from given weights on.

use ndarray::{Array3, ArrayView3, ArrayViewMut3, s};

use super::luna::p_fits;
use super::pass::{Pass, Raw, Stack, Target, cut_segments, gather, heads};
use super::tiles::{Add, Set, outer, product};
use super::weighted::{self, Weighted};
use super::{Backward, By, Kept, Size, Upstream};
use crate::attention::Mask;
use crate::attention::fused::flash::transpose;
use crate::attention::fused::share::{Space, among, cut, lines, taken};
use crate::attention::fused::{self, Given, Heads, refuse, segments};
use crate::attention::luna_causal::Weight;
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};

pub(super) const BACKWARD: Backward = Backward {
    name: "luna-causal",
    masks: &[Mask::Causal],
    of_p: true,
    fits,
    forward,
    backward,
    space,
    kept: weighted::kept,
    cost,
};

fn fits(heads: &Heads<'_>, given: &Given<'_>) -> Result<()> {
    let Given::LunaCausal { p, .. } = given else { return refuse(BACKWARD.name, given) };
    p_fits(BACKWARD.name, heads, p.dim())
}

fn cost(shape: &Shape, l: usize) -> [Cost; 2] {
    // Every key gets its weights, those behind the last query too.
    let m = shape.m;
    let weights = Cost::product(m, shape.d_h, l) + Cost::exps(m * l);
    let [forward, backward] = weighted::cost(shape, l);
    [forward + weights, backward + weights + Cost::exps(m * l) + Cost::product(m, 2 * shape.d_h, l)]
}

fn space(size: &Size) -> [usize; 2] {
    let Size { shape: Shape { m, d_h, .. }, heads, l, .. } = *size;
    let [forward, backward] = weighted::space(size);
    let (weights, turned) = (heads * m * lines(l), heads * d_h * lines(l));
    let of_p = lines(heads * segments::count(heads, m) * l * d_h);
    [forward + weights + turned, backward + 2 * weights + turned + of_p]
}

/// Tokens at a time.
const TILE: usize = 64;

/// The weights of every key, heads of m rows of l numbers in whole cache lines with zeros behind them.
fn weights(pass: &Pass<'_>, weight: Weight, turned: &mut [f32], w: &mut [f32]) {
    let Pass { h, m, d_h, l, path, scale, .. } = *pass;
    let wide = lines(l);
    for (head, turned) in turned.chunks_exact_mut(d_h * wide).enumerate() {
        let p = pass.p.as_ref().map_or(&[][..], |p| p.head(head, l));
        transpose((p, d_h), (turned, wide), (l, d_h), |_| scale);
    }
    let turned = &*turned;
    let tasks = w.chunks_exact_mut(m * wide).enumerate();
    let tasks =
        tasks.flat_map(|(head, w)| w.chunks_mut(TILE * wide).enumerate().map(move |(i, w)| (head, i, w)));
    let mut no_space = vec![0.0; rayon::current_num_threads().min(h * m.div_ceil(TILE))];
    among(tasks, &mut no_space, 1, |(head, i, w), _| {
        let rows = w.len() / wide;
        let k = &pass.k(head)[i * TILE * d_h..][..rows * d_h];
        let turned = &turned[head * d_h * wide..][..d_h * wide];
        product(path, (rows, d_h, wide), (k, d_h), (turned, wide), (&mut *w, wide), Set);
        pass.count(rows * l, [1, 0, 0]);
        for row in w.chunks_exact_mut(wide) {
            weight.apply_all(path, row);
            row[l..].fill(0.0);
        }
    });
}

fn forward(pass: &Pass<'_>, given: &Given<'_>, kept: &mut Kept, out: &mut [f32], mut space: &mut [f32]) {
    let Given::LunaCausal { weight, .. } = *given else { return };
    let Pass { h, m, d_h, l, .. } = *pass;
    let w = cut(&mut space, h * m * lines(l));
    let turned = cut(&mut space, h * d_h * lines(l));
    weights(pass, weight, turned, w);
    Weighted::new(pass, w, m, l).forward(kept, out, space);
}

fn backward(
    pass: &Pass<'_>,
    given: &Given<'_>,
    kept: &Kept,
    upstream: &Upstream<'_>,
    raw: Raw<'_>,
    mut space: &mut [f32],
) {
    let Given::LunaCausal { weight, .. } = *given else { return };
    let Pass { h, m, d_h, l, path, scale, lengths, .. } = *pass;
    let (wide, segments) = (lines(l), segments::count(h, m));
    let w = cut(&mut space, h * m * wide);
    let dw = cut(&mut space, h * m * wide);
    let turned = cut(&mut space, h * d_h * wide);
    let of_p = cut(&mut space, h * segments * l * d_h);
    weights(pass, weight, turned, w);
    let into = weighted::Into { q: raw.q, k: &mut *raw.k, w: &mut *dw, v: raw.v };
    Weighted::new(pass, w, m, l).backward(kept, upstream, into, space);

    let cut_up = |x, d| heads(x, m, d, m).flat_map(move |x| cut_segments(x, segments, d));
    let of_keys = heads(raw.k, lengths.1, d_h, m).flat_map(|dk| cut_segments(dk, segments, d_h));
    let tasks = of_keys.zip(cut_up(dw, wide)).zip(of_p.chunks_exact_mut(l * d_h)).enumerate();
    let w = &*w;
    let mut no_space = vec![0.0; rayon::current_num_threads().min(h * segments)];
    among(tasks, &mut no_space, 1, |(task, ((dk, dw), dp)), _| {
        let (head, keys) = (task / segments, segments::keys(task % segments, segments, m));
        let w = &w[(head * m + keys.start) * wide..][..keys.len() * wide];
        weight.multiply_by_slopes(path, dw, w, scale);
        let p = pass.p.as_ref().map_or(&[][..], |p| p.head(head, l));
        dp.fill(0.0);
        for first in (0..keys.len()).step_by(TILE) {
            let rows = TILE.min(keys.len() - first);
            let (dz, dk) = (&dw[first * wide..][..rows * wide], &mut dk[first * d_h..][..rows * d_h]);
            let k = &pass.k(head)[(keys.start + first) * d_h..][..rows * d_h];
            product(path, (rows, l, d_h), (dz, wide), (p, d_h), (dk, d_h), Add);
            outer(path, (rows, l, d_h), (dz, wide), (k, d_h), (&mut *dp, d_h));
            pass.count(rows * l, [2, 0, 0]);
        }
    });
    let length = raw.p.len() / h;
    for (pieces, dp) in of_p.chunks_exact_mut(segments * l * d_h).zip(raw.p.chunks_exact_mut(length)) {
        gather(pieces, l * d_h);
        dp[..l * d_h].copy_from_slice(&pieces[..l * d_h]);
    }
}

/// Heads of causal Luna whose weights are given, whatever keys they come from.
#[derive(Clone, Copy, Debug)]
pub struct WeightedHeads<'a> {
    /// Queries, keys and values; the mask is causal.
    pub heads: Heads<'a>,
    /// The weights of each key, past [`Weight`], shape (h, m, l).
    pub w: ArrayView3<'a, f32>,
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
    /// Numbers of work space of the forward and of the backward pass on so many threads (with the copies of rows that are
    /// not whole cache lines), and of what the first keeps for the second; arrays are in standard layout.
    pub(crate) fn numbers(shape: &Shape, heads: usize, l: usize, threads: usize) -> ([usize; 2], usize) {
        let wide = Shape { d_h: lines(shape.d_h), d_v: lines(shape.d_v), ..*shape };
        let size = Size { shape: wide, heads, l, threads };
        let Shape { n, m, d_h, d_v, .. } = wide;
        let copied = |rows: usize, d: usize, wide: usize| if d == wide { 0 } else { heads * rows * wide };
        let of = |times: usize| {
            copied(times * (n + m), shape.d_h, d_h)
                + times * copied(m, l, lines(l))
                + copied(m, shape.d_v, d_v)
        };
        let copies = [of(1) + copied(n, shape.d_v, d_v), of(2) + copied(2 * n + m, shape.d_v, d_v)];
        let space = weighted::space(&size).map(taken);
        ([space[0] + copies[0], space[1] + copies[1]], weighted::kept(&size))
    }

    fn fits(&self, out: &[usize]) -> Result<usize> {
        fused::check(&self.heads, out)?;
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
        Ok(l)
    }

    fn signature(&self) -> (&'static str, [usize; 8]) {
        let ((h, n, d_h), (_, m, d_v)) = (self.heads.q.dim(), self.heads.v.dim());
        ("weights", [h, n, m, d_h, d_v, self.w.dim().2, self.heads.real.0, self.heads.real.1])
    }

    /// The output (h, n, `d_v`), and what [`backward_into`](Self::backward_into) needs of it.
    pub fn forward_keeping<'b>(
        &self,
        by: impl Into<By<'b>>,
        mut out: ArrayViewMut3<'_, f32>,
    ) -> Result<Kept> {
        let l = self.fits(out.shape())?;
        let mut kept = Kept { of: Some(self.signature()), ..Kept::default() };
        out.fill(0.0);
        let Some(pass) = Pass::new(by.into(), &self.heads, &Given::Nothing) else { return Ok(kept) };
        let mut space = Space::new(weighted::space(&Size { l, ..pass.size() })[0]);
        let w = Stack::of(self.w.view());
        let mut target = Target::new(out);
        Weighted::new(&pass, w.all(), self.w.dim().1, l).forward(&mut kept, target.numbers(), space.all());
        target.finish();
        Ok(kept)
    }

    /// Gradients under the upstream gradient `d_out` (h, n, `d_v`) of what `forward_keeping` made: `out`, and what it
    /// kept. Rows of padding are zeros.
    pub fn backward_into<'b>(
        &self,
        by: impl Into<By<'b>>,
        kept: &Kept,
        out: ArrayView3<'_, f32>,
        d_out: ArrayView3<'_, f32>,
        gradients: &mut WeightedGradients,
    ) -> Result<()> {
        self.fits(out.shape())?;
        let l = self.fits(d_out.shape())?;
        let WeightedGradients { q, k, w, v } = gradients;
        let heads = &self.heads;
        let given = [(&*q, heads.q), (&*k, heads.k), (&*w, self.w), (&*v, heads.v)];
        if kept.of != Some(self.signature()) || given.iter().any(|(x, of)| x.dim() != of.dim()) {
            return Err(Error::Shape {
                what: "gradients of attention 'luna-causal', or what its forward pass kept".into(),
                found: given.iter().flat_map(|(x, _)| x.shape().to_vec()).collect(),
                expected: "those of what the forward pass was given".into(),
            });
        }
        let (n, m) = heads.real;
        let pass = Pass::new(by.into(), heads, &Given::Nothing);
        let (n, m) = if pass.is_some() { (n, m) } else { (0, 0) };
        for (x, real) in [(&mut *q, n), (&mut *k, m), (&mut *w, m), (&mut *v, m)] {
            x.slice_mut(s![.., real.., ..]).fill(0.0);
        }
        let Some(pass) = pass else { return Ok(()) };
        let mut space = Space::new(weighted::space(&Size { l, ..pass.size() })[1]);
        let upstream = Upstream { out: Stack::of(out), d_out: Stack::of(d_out) };
        let weights = Stack::of(self.w.view());
        let [mut q, mut k, mut w, mut v] = [q, k, w, v].map(|x| Target::new(x.view_mut()));
        let into = weighted::Into { q: q.numbers(), k: k.numbers(), w: w.numbers(), v: v.numbers() };
        Weighted::new(&pass, weights.all(), self.w.dim().1, l).backward(kept, &upstream, into, space.all());
        [q, k, w, v].into_iter().for_each(Target::finish);
        Ok(())
    }
}
