//! Causal Luna attention with its projections, and its gradients (the authors' `LunarCausalAttention`).

use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;

use super::core::{Cut, cuts};
use super::linear::{Linear, join, split};
use super::luna::KeyValue;
use super::parameters::Layout;
use super::rows::Rows;
use crate::Result;
use crate::attention::Mask;
use crate::attention::backward::{self, WeightedGradients, WeightedHeads};
use crate::attention::fused::{Heads, Path};
use crate::attention::luna_causal::Weight;
use crate::linalg::gemm::{Threads, product_into};

/// Weights that one thread works on at a time.
const CHUNK: usize = 1 << 14;

/// Row t reads rows 0 to t through l rows of p, which are the same for every sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct LunaCausal {
    heads: usize,
    weight: Weight,
    pack_query: Linear,
    pack_key: Linear,
    query: Linear,
    key_value: KeyValue,
    out: Linear,
}

/// What the gradients need beside x and p.
#[derive(Debug)]
pub(super) struct Kept {
    pack_query: Array3<f32>,
    pack_key: Array3<f32>,
    q: Array3<f32>,
    k: Array3<f32>,
    v: Option<Array3<f32>>,
    out: Array3<f32>,
    passes: Vec<backward::Kept>,
}

impl LunaCausal {
    /// `pq_proj`, `pc_proj`, `q_proj`, `c_proj` (or `k_proj` and `v_proj`) and `out_proj`.
    pub(super) fn find(layout: &Layout, name: &str, heads: usize, weight: Weight) -> Result<Self> {
        let find = |projection: &str| Linear::find(layout, &format!("{name}.{projection}"));
        Ok(Self {
            heads,
            weight,
            pack_query: find("pq_proj")?,
            pack_key: find("pc_proj")?,
            query: find("q_proj")?,
            key_value: KeyValue::find(layout, name, ["c_proj", "k_proj", "v_proj"])?,
            out: find("out_proj")?,
        })
    }

    pub(super) fn forward(
        &self,
        numbers: &[f32],
        x: ArrayView2<'_, f32>,
        p: ArrayView2<'_, f32>,
        rows: &Rows,
    ) -> Result<(Array2<f32>, Kept)> {
        let pack_query = self.pack_query.heads(numbers, p, self.heads);
        let pack_key = self.pack_key.heads(numbers, x, self.heads);
        let q = self.query.heads(numbers, x, self.heads);
        let (k, v) = self.key_value.heads(numbers, x, self.heads);
        let w = self.weights(&pack_query, &pack_key);
        let mut out = Array3::zeros(q.raw_dim());
        let mut passes = Vec::new();
        for (cut, _) in cuts(rows, rows) {
            let heads = weighted(&cut, [&q, &k, v.as_ref().unwrap_or(&k)], &w);
            passes.push(heads.forward_keeping(Path::Widest, cut.of_mut(&mut out))?);
        }
        let y = self.out.forward(numbers, join(out.view()).view());
        Ok((y, Kept { pack_query, pack_key, q, k, v, out, passes }))
    }

    /// Gradients of x and p under that of the output.
    pub(super) fn backward(
        &self,
        numbers: &[f32],
        gradients: &mut [f32],
        (x, p): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        rows: &Rows,
        kept: Kept,
        dy: ArrayView2<'_, f32>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let Kept { pack_query, pack_key, q, k, v, out, passes } = kept;
        self.out.learn(gradients, join(out.view()).view(), dy);
        let d_out = split(self.out.back(numbers, dy).view(), self.heads);
        // Weights again, rather than h n l numbers for every layer.
        let w = self.weights(&pack_query, &pack_key);
        let zeros = |x: &Array3<f32>| Array3::zeros(x.raw_dim());
        let (mut d_q, mut d_k, mut d_v, mut d_w) = (zeros(&q), zeros(&k), zeros(&k), zeros(&w));
        for ((cut, _), kept) in cuts(rows, rows).into_iter().zip(&passes) {
            let heads = weighted(&cut, [&q, &k, v.as_ref().unwrap_or(&k)], &w);
            let [of_q, of_k, of_v, of_w] =
                [heads.heads.q, heads.heads.k, heads.heads.v, heads.w].map(|x| Array3::zeros(x.dim()));
            let mut back = WeightedGradients { q: of_q, k: of_k, w: of_w, v: of_v };
            let [out, d_out] = [&out, &d_out].map(|x| cut.of(x.view()));
            heads.backward_into(Path::Widest, kept, out, d_out, &mut back)?;
            let of = [(&mut d_q, back.q), (&mut d_k, back.k), (&mut d_v, back.v), (&mut d_w, back.w)];
            for (whole, part) in of {
                cut.of_mut(whole).assign(&part);
            }
        }
        drop((q, k, v, out, d_out));
        let (d_pack_query, d_pack_key) = self.weights_back(&pack_query, &pack_key, &w, d_w);
        let mut dx = Array2::zeros(x.raw_dim());
        for (linear, d) in [(&self.query, d_q), (&self.pack_key, d_pack_key)] {
            let d = join(d.view());
            linear.learn(gradients, x, d.view());
            linear.add_back(numbers, d.view(), dx.view_mut());
        }
        self.key_value.backward(numbers, gradients, x, d_k, d_v, &mut dx);
        let d = join(d_pack_query.view());
        self.pack_query.learn(gradients, p, d.view());
        Ok((dx, self.pack_query.back(numbers, d.view())))
    }

    /// The weight of every key, (h, rows, l).
    fn weights(&self, pack_query: &Array3<f32>, pack_key: &Array3<f32>) -> Array3<f32> {
        let (h, total, width) = pack_key.dim();
        let mut w = Array3::zeros((h, total, pack_query.dim().1));
        let heads = pack_query.outer_iter().zip(pack_key.outer_iter());
        for ((pack_query, pack_key), mut w) in heads.zip(w.outer_iter_mut()) {
            let scale = scale(width);
            product_into(w.view_mut(), 0.0, pack_key, pack_query.reversed_axes(), scale, Threads::All);
        }
        let weight = self.weight;
        let numbers = w.as_slice_mut().expect("in standard layout");
        numbers.par_chunks_mut(CHUNK).for_each(|w| weight.apply_all(Path::Widest, w));
        w
    }

    /// Gradients of the packing queries and keys under that of the weights.
    fn weights_back(
        &self,
        pack_query: &Array3<f32>,
        pack_key: &Array3<f32>,
        w: &Array3<f32>,
        mut d_w: Array3<f32>,
    ) -> (Array3<f32>, Array3<f32>) {
        let (h, total, width) = pack_key.dim();
        let weight = self.weight;
        let d = d_w.as_slice_mut().expect("in standard layout").par_chunks_mut(CHUNK);
        let w = w.as_slice().expect("in standard layout").par_chunks(CHUNK);
        d.zip(w).for_each(|(d, w)| weight.multiply_by_slopes(Path::Widest, d, w, scale(width)));
        let mut d_query = Array3::zeros(pack_query.raw_dim());
        let mut d_key = Array3::zeros((h, total, width));
        for (head, dz) in d_w.outer_iter().enumerate() {
            let (query, key) = (pack_query.index_axis(Axis(0), head), pack_key.index_axis(Axis(0), head));
            product_into(d_key.index_axis_mut(Axis(0), head), 0.0, dz, query, 1.0, Threads::All);
            let of = d_query.index_axis_mut(Axis(0), head);
            product_into(of, 0.0, dz.reversed_axes(), key, 1.0, Threads::All);
        }
        (d_query, d_key)
    }
}

/// One part of a batch.
fn weighted<'a>(cut: &Cut, heads: [&'a Array3<f32>; 3], w: &'a Array3<f32>) -> WeightedHeads<'a> {
    let [q, k, v] = heads.map(|x| cut.of(x.view()));
    WeightedHeads { heads: Heads::new(q, k, v, Mask::Causal), w: cut.of(w.view()) }
}

fn scale(width: usize) -> f32 {
    (1.0 / (width as f64).sqrt()) as f32
}
