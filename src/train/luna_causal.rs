//! Causal Luna attention with its projections, and its gradients (the authors' `LunarCausalAttention`).

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};
use rayon::prelude::*;

use super::core::{Cut, cuts, parts, shaped};
use super::linear::Linear;
use super::luna::KeyValue;
use super::parameters::{Layout, Numbers};
use super::rows::Rows;
use crate::Result;
use crate::attention::luna_causal::{Weight, WeightedGradients, WeightedHeads};
use crate::attention::{Heads, Mask, Path, Saved};
use crate::linalg::arrays::{join, split, zeros};
use crate::linalg::gemm::{Threads, product_into};

/// Weights that one thread works on at a time.
const CHUNK: usize = 1 << 14;

/// Row t reads rows 0 to t through l rows of p, the same for every sequence or each sequence's own.
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
    passes: Vec<Saved>,
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

    /// What every row reads, (rows, d), of p (l, d), the same for every sequence, or where `p_rows` says whose its rows
    /// are, each sequence's own.
    pub(super) fn forward(
        &self,
        numbers: Numbers<'_>,
        (x, p): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        rows: &Rows,
        p_rows: Option<&Rows>,
    ) -> Result<(Array2<f32>, Kept)> {
        let pack_query = self.pack_query.heads(numbers, p, self.heads);
        let pack_key = self.pack_key.heads(numbers, x, self.heads);
        let q = self.query.heads(numbers, x, self.heads);
        let (k, v) = self.key_value.heads(numbers, x, self.heads);
        let w = self.weights(numbers, (&pack_query, &pack_key), rows, p_rows);
        let mut out = zeros(q.raw_dim());
        let cuts = cuts(rows, p_rows.unwrap_or(rows));
        let whole = p_rows.is_none().then_some(p.nrows());
        let parts = parts(&mut out, cuts.iter().map(|(cut, _)| cut));
        let passes = cuts.par_iter().zip(parts).map(|(cuts, out)| {
            let heads = weighted(cuts, whole, [&q, &k, v.as_ref().unwrap_or(&k)], &w);
            heads.forward_saving(numbers.tally, out)
        });
        let passes = passes.collect::<Result<_>>()?;
        let y = self.out.forward(numbers, join(out.view()).view());
        Ok((y, Kept { pack_query, pack_key, q, k, v, out, passes }))
    }

    /// Gradients of x and p under that of the output.
    #[allow(clippy::too_many_arguments)] // two streams in, two gradients back
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        (x, p): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        rows: &Rows,
        p_rows: Option<&Rows>,
        kept: Kept,
        dy: ArrayView2<'_, f32>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let Kept { pack_query, pack_key, q, k, v, out, passes } = kept;
        self.out.learn(numbers, gradients, join(out.view()).view(), dy);
        let d_out = split(self.out.back(numbers, dy).view(), self.heads);
        // Weights again, rather than h n l numbers for every layer.
        let w = self.weights(numbers, (&pack_query, &pack_key), rows, p_rows);
        let WeightedGradients { q: d_q, k: d_k, v: d_v, w: d_w } = {
            let cuts = cuts(rows, p_rows.unwrap_or(rows));
            let whole = p_rows.is_none().then_some(p.nrows());
            let of_cut = |cuts: &(Cut, Cut), kept: &Saved| {
                let heads = weighted(cuts, whole, [&q, &k, v.as_ref().unwrap_or(&k)], &w);
                let [of_q, of_k, of_v, of_w] =
                    [heads.heads.q, heads.heads.k, heads.heads.v, heads.w].map(|x| zeros(x.dim()));
                let mut back = WeightedGradients { q: of_q, k: of_k, w: of_w, v: of_v };
                let [out, d_out] = [&out, &d_out].map(|x| cuts.0.of(x.view()));
                heads.backward_into(numbers.tally, kept, out, d_out, &mut back).map(|()| back)
            };
            match (&cuts[..], &passes[..]) {
                // One call sees all rows: what it gives is what is wanted.
                ([one], [kept]) => {
                    let WeightedGradients { q: of_q, k: of_k, v: of_v, w: of_w } = of_cut(one, kept)?;
                    let [of_q, of_k, of_v] = [of_q, of_k, of_v].map(|x| shaped(x, q.dim()));
                    WeightedGradients { q: of_q, k: of_k, v: of_v, w: shaped(of_w, w.dim()) }
                }
                _ => side_by_side(&cuts, &passes, (&q, &w), of_cut)?,
            }
        };
        drop((q, k, v, out, d_out));
        let (d_pack_query, d_pack_key) =
            self.weights_back(numbers, (&pack_query, &pack_key), (&w, d_w), rows, p_rows);
        let mut dx = zeros(x.raw_dim());
        self.query.learn_heads(numbers, gradients, x, &d_q, &mut dx);
        self.pack_key.learn_heads(numbers, gradients, x, &d_pack_key, &mut dx);
        self.key_value.backward(numbers, gradients, x, d_k, d_v, &mut dx);
        let d = join(d_pack_query.view());
        self.pack_query.learn(numbers, gradients, p, d.view());
        Ok((dx, self.pack_query.back(numbers, d.view())))
    }

    /// The weight of every key, (h, rows, l); where sequences have fewer rows of P than others, what is behind theirs
    /// means nothing.
    fn weights(
        &self,
        numbers: Numbers<'_>,
        (pack_query, pack_key): (&Array3<f32>, &Array3<f32>),
        rows: &Rows,
        p_rows: Option<&Rows>,
    ) -> Array3<f32> {
        let (h, total, width) = pack_key.dim();
        numbers.count(h * pairs(pack_query, rows, p_rows), width, 1);
        let scale = scale(width);
        let l = p_rows.map_or(pack_query.dim().1, Rows::longest);
        let mut w = zeros((h, total, l));
        let heads = pack_query.outer_iter().into_par_iter().zip(pack_key.outer_iter());
        match p_rows {
            None => {
                let heads = pack_query.outer_iter().zip(pack_key.outer_iter());
                for ((query, key), mut w) in heads.zip(w.outer_iter_mut()) {
                    product_into(w.view_mut(), 0.0, key, query.reversed_axes(), scale, Threads::All);
                }
            }
            Some(p_rows) => heads.zip(w.axis_iter_mut(Axis(0))).for_each(|((query, key), mut w)| {
                for (of, of_p) in rows.each().zip(p_rows.each()) {
                    let w = w.slice_mut(s![of.clone(), ..of_p.len()]);
                    let (key, query) = (key.slice(s![of, ..]), query.slice(s![of_p, ..]));
                    product_into(w, 0.0, key, query.reversed_axes(), scale, Threads::One);
                }
            }),
        }
        let weight = self.weight;
        let numbers = w.as_slice_mut().expect("in standard layout");
        numbers.par_chunks_mut(CHUNK).for_each(|w| weight.apply_all(Path::Widest, w));
        w
    }

    /// Gradients of the packing queries and keys under that of the weights.
    fn weights_back(
        &self,
        numbers: Numbers<'_>,
        (pack_query, pack_key): (&Array3<f32>, &Array3<f32>),
        (w, mut d_w): (&Array3<f32>, Array3<f32>),
        rows: &Rows,
        p_rows: Option<&Rows>,
    ) -> (Array3<f32>, Array3<f32>) {
        let (h, _, width) = pack_key.dim();
        numbers.count(h * pairs(pack_query, rows, p_rows), width, 2);
        let weight = self.weight;
        let d = d_w.as_slice_mut().expect("in standard layout").par_chunks_mut(CHUNK);
        let w = w.as_slice().expect("in standard layout").par_chunks(CHUNK);
        d.zip(w).for_each(|(d, w)| weight.multiply_by_derivative(Path::Widest, d, w, scale(width)));
        let mut d_query = Array3::zeros(pack_query.raw_dim());
        let mut d_key = Array3::zeros(pack_key.raw_dim());
        match p_rows {
            None => {
                for (head, dz) in d_w.outer_iter().enumerate() {
                    let [query, key] = [pack_query, pack_key].map(|x| x.index_axis(Axis(0), head));
                    product_into(d_key.index_axis_mut(Axis(0), head), 0.0, dz, query, 1.0, Threads::All);
                    let of = d_query.index_axis_mut(Axis(0), head);
                    product_into(of, 0.0, dz.reversed_axes(), key, 1.0, Threads::All);
                }
            }
            Some(p_rows) => {
                let to = d_query.axis_iter_mut(Axis(0)).into_par_iter().zip(d_key.axis_iter_mut(Axis(0)));
                to.enumerate().for_each(|(head, (mut d_query, mut d_key))| {
                    let [dz, query, key] = [d_w.view(), pack_query.view(), pack_key.view()]
                        .map(|x: ArrayView3<'_, f32>| x.index_axis_move(Axis(0), head));
                    for (of, of_p) in rows.each().zip(p_rows.each()) {
                        let dz = dz.slice(s![of.clone(), ..of_p.len()]);
                        let [query, key] = [query.slice(s![of_p.clone(), ..]), key.slice(s![of.clone(), ..])];
                        product_into(d_key.slice_mut(s![of, ..]), 0.0, dz, query, 1.0, Threads::One);
                        let to = d_query.slice_mut(s![of_p, ..]);
                        product_into(to, 0.0, dz.reversed_axes(), key, 1.0, Threads::One);
                    }
                });
            }
        }
        (d_query, d_key)
    }
}

/// Gradients of all rows, of queries, keys and values like `q` and of weights like `w`, each cut's written as it is found.
fn side_by_side(
    cuts: &[(Cut, Cut)],
    passes: &[Saved],
    (q, w): (&Array3<f32>, &Array3<f32>),
    of_cut: impl Fn(&(Cut, Cut), &Saved) -> Result<WeightedGradients> + Sync,
) -> Result<WeightedGradients> {
    let [of_q, of_k, of_v, of_w] = [q, q, q, w].map(|x| zeros(x.raw_dim()));
    let mut all = WeightedGradients { q: of_q, k: of_k, v: of_v, w: of_w };
    let [to_q, to_k, to_v, to_w] =
        [&mut all.q, &mut all.k, &mut all.v, &mut all.w].map(|x| parts(x, cuts.iter().map(|(cut, _)| cut)));
    let to = to_q.into_par_iter().zip(to_k).zip(to_v).zip(to_w);
    let found = cuts.par_iter().zip(passes).zip(to);
    found.try_for_each(|((cuts, kept), (((mut to_q, mut to_k), mut to_v), mut to_w))| {
        let back = of_cut(cuts, kept)?;
        to_q.assign(&back.q);
        to_k.assign(&back.k);
        to_v.assign(&back.v);
        // Behind the rows of P that a sequence has stand zeros.
        to_w.slice_mut(s![.., .., ..back.w.dim().2]).assign(&back.w);
        Ok(())
    })?;
    Ok(all)
}

/// How many pairs of a row and a row of its P there are.
fn pairs(pack_query: &Array3<f32>, rows: &Rows, p_rows: Option<&Rows>) -> usize {
    match p_rows {
        None => rows.total() * pack_query.dim().1,
        Some(p_rows) => rows.each().zip(p_rows.each()).map(|(of, of_p)| of.len() * of_p.len()).sum(),
    }
}

/// One part of a batch: `whole` are the rows of a P that all sequences share.
fn weighted<'a>(
    (cut, of_p): &(Cut, Cut),
    whole: Option<usize>,
    heads: [&'a Array3<f32>; 3],
    w: &'a Array3<f32>,
) -> WeightedHeads<'a> {
    let [q, k, v] = heads.map(|x| cut.of(x.view()));
    let l = whole.unwrap_or_else(|| of_p.rows());
    let w = cut.of(w.view()).slice_move(s![.., .., ..l]);
    WeightedHeads { heads: Heads::new(q, k, v, Mask::Causal), w }
}

fn scale(width: usize) -> f32 {
    (1.0 / (width as f64).sqrt()) as f32
}
