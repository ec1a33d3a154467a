//! Causal Luna attention with its projections, and its gradients: `LunarCausalAttention` of the authors' code (Ma et al.
//! 2021, section 3.3; XuezheMax/fairseq-apollo 3644d20).
//!
//! Row t reads rows 0 to t. Of each head, with sums over j <= t,
//!
//! - `w_t = weight((x_t W_pc) (p W_pq)^T / sqrt(d_h))`, l elements
//! - `a_t = softmax(q_t (1/t) sum k_j^T w_j)`, over l, with `q_t = x_t W_q / sqrt(d_h)`
//! - `y_t = [a_t (1/t) sum w_j^T v_j] W_out`
//!
//! p itself is read as it is and does not change. Tied weights have `W_k = W_v` (`c_proj`). With a decay, which the authors'
//! layer does not have, both sums are exponential averages (see [`Decay`]).

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};
use rayon::prelude::*;

use super::attention::projection_backward;
use super::decays::Decays;
use super::dropout;
use super::factors::{Factors, WatchedHead};
use super::key_value::{KeyValue, KeyValueHeads};
use super::linear::Linear;
use super::pass::{Backward, Pass, Tape};
use super::rows::{Rows, Slice, reshaped, slices, split_mut};
use super::weights::Layout;
use crate::Result;
use crate::attention::luna_causal::{
    Decay, Packing, State, Weight, WeightedGradients, WeightedHeads, unpacking,
};
use crate::attention::{Heads, Mask, Path, Saved as SavedCall};
use crate::linalg::arrays::{join, zeros};
use crate::linalg::gemm::{Threads, product, product_into};
use crate::linalg::random_mask::RandomMask;

/// What is dropped from, as its authors do: the weights w, and the shares a of the rows of P.
const WEIGHTS: usize = 0;
const SHARES: usize = 1;
/// Weights that one thread works on at a time.
const CHUNK: usize = 1 << 14;

/// Attention of rows to the rows before them, through l rows of p.
#[derive(Clone, Copy, Debug)]
pub struct CausalLunaAttention {
    d: usize,
    heads: usize,
    weight: Weight,
    decays: Decays,
    pack_query: Linear,
    query: Linear,
    pack_key: Linear,
    key_value: KeyValue,
    out: Linear,
    /// Its number among the arrays that are dropped from.
    site: usize,
}

/// Saved activations.
struct Saved {
    pack_query: Array3<f32>,
    pack_key: Array3<f32>,
    q: Array3<f32>,
    key_values: KeyValueHeads,
    out: Array3<f32>,
    calls: Vec<SavedCall>,
}

/// The sums over the rows so far: their size does not depend on how many rows there were.
#[derive(Clone, Debug)]
pub struct CausalState {
    /// (l, d): the packing queries, scaled; the same in every clone.
    pack_query: Arc<Array2<f32>>,
    heads: Vec<State>,
}

impl CausalLunaAttention {
    /// Declares `pq_proj`, `q_proj`, `pc_proj`, `c_proj` (or `k_proj` and `v_proj`) and `out_proj`, all (d, d), below
    /// `name`, and `decay` (h) where every head learns its own.
    pub fn declare(
        layout: &mut Layout,
        name: &str,
        [d, heads]: [usize; 2],
        packing: Packing,
        tied: bool,
        site: usize,
    ) -> Self {
        let [pack_query, query, pack_key] = ["pq_proj", "q_proj", "pc_proj"]
            .map(|projection| Linear::projection(layout, &format!("{name}.{projection}"), d));
        let key_value = KeyValue::declare(layout, name, d, tied, ["c_proj", "k_proj", "v_proj"]);
        let out = Linear::declare(layout, &format!("{name}.out_proj"), d, d);
        let decays = Decays::declare(layout, name, heads, packing.average);
        Self { d, heads, weight: packing.weight, decays, pack_query, query, pack_key, key_value, out, site }
    }

    /// The output (rows, d) of x (rows, d) and p: (l, d), the same for every sequence, or each sequence's own rows where
    /// `p_rows` says which.
    pub fn forward(
        &self,
        pass: Pass<'_>,
        (x, p): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        rows: &Rows,
        p_rows: Option<&Rows>,
        tape: Option<&mut Tape>,
    ) -> Result<Array2<f32>> {
        let pack_query = self.pack_query.to_heads(pass, p, self.heads);
        let pack_key = self.pack_key.to_heads(pass, x, self.heads);
        let mut w = self.weights(pass, (&pack_query, &pack_key), rows, p_rows);
        dropout::apply(pass.dropout.attention(self.site, WEIGHTS), &mut w);
        let packing = tape.is_some().then_some((pack_query, pack_key));
        let q = self.query.to_heads(pass, x, self.heads);
        let key_values = self.key_value.forward(pass, x, self.heads);
        let mut out = zeros(q.raw_dim());
        let slices = slices(rows, p_rows.unwrap_or(rows));
        let shared_l = p_rows.is_none().then_some(p.nrows());
        let parts = split_mut(&mut out, slices.iter().map(|(queries, _)| queries));
        // Without a tape the sums count as what a token at a time would do: blocks do more of them, to be faster.
        let tally = pass.tally.filter(|_| packing.is_some());
        if packing.is_none() {
            pass.count(self.heads * pairs(p.nrows(), rows, p_rows), self.d / self.heads, 4);
        }
        let shares = pass.dropout.attention(self.site, SHARES);
        let decays = &self.decays.of(pass);
        let calls = slices.par_iter().enumerate().zip(parts).map(|((at, slice), out)| {
            let heads = weighted(slice, shared_l, &q, &key_values, (&w, decays), shares.part(at));
            // Without P there is nothing to read.
            let empty = heads.w.dim().2 == 0;
            if empty { Ok(SavedCall::default()) } else { heads.forward_saving(tally, out) }
        });
        let calls: Vec<_> = calls.collect::<Result<_>>()?;
        drop(w);
        let (Some(tape), Some((pack_query, pack_key))) = (tape, packing) else {
            drop((q, key_values, calls)); // before the output projection allocates
            return Ok(self.out.of_heads(pass, out.view()));
        };
        let y = self.out.of_heads(pass, out.view());
        tape.save(Saved { pack_query, pack_key, q, key_values, out, calls });
        Ok(y)
    }

    /// Gradients of x and p under that of the output.
    pub(super) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        (x, p): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        rows: &Rows,
        p_rows: Option<&Rows>,
        dy: ArrayView2<'_, f32>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let Saved { pack_query, pack_key, q, key_values, out, calls } = tape.take();
        let d_out = projection_backward(&self.out, back, &out, dy, self.heads);
        let pass = back.pass;
        // Weights are computed again, rather than saving h n l elements of every layer.
        let mut w = self.weights(pass, (&pack_query, &pack_key), rows, p_rows);
        let of_weights = pass.dropout.attention(self.site, WEIGHTS);
        dropout::apply(of_weights, &mut w);
        let shares = pass.dropout.attention(self.site, SHARES);
        let WeightedGradients { q: d_q, k: d_k, v: d_v, w: mut d_w } = {
            let slices = slices(rows, p_rows.unwrap_or(rows));
            let shared_l = p_rows.is_none().then_some(p.nrows());
            let decays = &self.decays.of(pass);
            let of_slice = |at: usize, slice: &(Slice, Slice), saved: &SavedCall| {
                let heads = weighted(slice, shared_l, &q, &key_values, (&w, decays), shares.part(at));
                let [of_q, of_k, of_v, of_w] =
                    [heads.heads.q, heads.heads.k, heads.heads.v, heads.w].map(|x| zeros(x.dim()));
                let mut gradients = WeightedGradients { q: of_q, k: of_k, w: of_w, v: of_v };
                let [out, d_out] = [&out, &d_out].map(|x| slice.0.of(x.view()));
                heads.backward_into(pass.tally, saved, out, d_out, &mut gradients).map(|()| gradients)
            };
            match (&slices[..], &calls[..]) {
                // One call sees all rows: its gradients are those of all rows.
                ([one], [saved]) => {
                    let WeightedGradients { q: of_q, k: of_k, v: of_v, w: of_w } = of_slice(0, one, saved)?;
                    let [of_q, of_k, of_v] = [of_q, of_k, of_v].map(|x| reshaped(x, q.dim()));
                    WeightedGradients { q: of_q, k: of_k, v: of_v, w: reshaped(of_w, w.dim()) }
                }
                _ => side_by_side(&slices, &calls, (&q, &w), of_slice)?,
            }
        };
        let by_queries = [[q.view(), d_q.view()], [out.view(), d_out.view()]];
        let by_keys = [[key_values.keys(), d_k.view()], [key_values.values(), d_v.view()]];
        self.decays.backward(back, rows, by_queries, by_keys);
        drop((q, key_values, out, d_out, calls));
        if !of_weights.is_off() {
            dropout::apply(of_weights, &mut d_w);
            // The derivative is known from the weights before the dropout; those that were dropped have none.
            w *= of_weights.survival();
        }
        let (d_pack_query, d_pack_key) =
            self.weights_backward(pass, (&pack_query, &pack_key), (&w, d_w), rows, p_rows);
        let mut dx = zeros(x.raw_dim());
        self.query.to_heads_backward(back, x, &d_q, &mut dx);
        self.pack_key.to_heads_backward(back, x, &d_pack_key, &mut dx);
        self.key_value.backward(back, x, (d_k, d_v), &mut dx);
        let d = join(d_pack_query.view());
        self.pack_query.add_gradients(back, p, d.view());
        Ok((dx, self.pack_query.input_gradient(pass, d.view())))
    }

    /// The weight of every key, (h, rows, l); where a sequence has fewer rows of P than others, columns after its own are
    /// not used.
    fn weights(
        &self,
        pass: Pass<'_>,
        (pack_query, pack_key): (&Array3<f32>, &Array3<f32>),
        rows: &Rows,
        p_rows: Option<&Rows>,
    ) -> Array3<f32> {
        let (h, total, width) = pack_key.dim();
        pass.count(h * pairs(pack_query.dim().1, rows, p_rows), width, 1);
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
        let elements = w.as_slice_mut().expect("in standard layout");
        elements.par_chunks_mut(CHUNK).for_each(|w| weight.apply_all(Path::Widest, w));
        w
    }

    /// Gradients of the packing queries and keys under that of the weights.
    fn weights_backward(
        &self,
        pass: Pass<'_>,
        (pack_query, pack_key): (&Array3<f32>, &Array3<f32>),
        (w, mut d_w): (&Array3<f32>, Array3<f32>),
        rows: &Rows,
        p_rows: Option<&Rows>,
    ) -> (Array3<f32>, Array3<f32>) {
        let (h, _, width) = pack_key.dim();
        pass.count(h * pairs(pack_query.dim().1, rows, p_rows), width, 2);
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

    /// Every head at work on one sequence x (n, d) and p (l, d): queries, keys and values, and the weights of both steps.
    pub(super) fn watch(
        &self,
        pass: Pass<'_>,
        x: ArrayView2<'_, f32>,
        p: ArrayView2<'_, f32>,
    ) -> Vec<WatchedHead> {
        let pack_query = self.pack_query.forward(pass, p) * scale(self.d / self.heads);
        let pack_query = crate::linalg::arrays::split(pack_query.view(), self.heads);
        let pack_key = self.pack_key.to_heads(pass, x, self.heads);
        let q = self.query.to_heads(pass, x, self.heads);
        let key_values = self.key_value.forward(pass, x, self.heads);
        let decays = self.decays.of(pass);
        let watch = |head: usize| {
            let [pack_query, pack_key] = [&pack_query, &pack_key].map(|x| x.index_axis(Axis(0), head));
            let [q, k, v] = [q.view(), key_values.keys(), key_values.values()]
                .map(|x| x.index_axis_move(Axis(0), head).to_owned());
            let logits = product(pack_key, pack_query.reversed_axes(), Threads::One);
            let w = logits.mapv_into(|x| self.weight.apply(x));
            let decay = decays[head];
            let unpack = unpacking((&q * scale(q.ncols())).view(), k.view(), w.view(), decay);
            let pack = w.t().as_standard_layout().into_owned();
            WatchedHead { q, k, v, factors: Factors { unpack, pack, causal: true, decay } }
        };
        (0..self.heads).into_par_iter().map(watch).collect()
    }

    /// The state before the first row of a sequence.
    pub fn start(&self, pass: Pass<'_>, p: ArrayView2<'_, f32>) -> CausalState {
        let d_h = self.d / self.heads;
        let pack_query = Arc::new(self.pack_query.forward(pass, p) * scale(d_h));
        let state = |decay: &Decay| State::new(d_h, pack_query.nrows(), d_h, *decay);
        CausalState { heads: self.decays.of(pass).iter().map(state).collect(), pack_query }
    }

    /// The output (b, d) of the next row (b, d) of each state, as [`forward`](Self::forward) gives it, in O(l d) each.
    pub fn step<'a>(
        &self,
        pass: Pass<'_>,
        states: impl IntoIterator<Item = &'a mut CausalState>,
        x: ArrayView2<'_, f32>,
    ) -> Array2<f32> {
        let q = self.query.to_heads(pass, x, self.heads) * scale(self.d / self.heads);
        let pack_key = self.pack_key.to_heads(pass, x, self.heads);
        let key_values = self.key_value.forward(pass, x, self.heads);
        let d_h = self.d / self.heads;
        let mut out = Array3::zeros(q.raw_dim());
        for (row, state) in states.into_iter().enumerate() {
            if state.pack_query.is_empty() {
                continue;
            }
            for (head, of_head) in state.heads.iter_mut().enumerate() {
                let of = |x: ArrayView3<'_, f32>| x.slice(s![head, row, ..]).to_owned();
                let columns = s![.., head * d_h..(head + 1) * d_h];
                let logits = state.pack_query.slice(columns).dot(&of(pack_key.view()));
                let w = logits.mapv_into(|x| self.weight.apply(x));
                let (q, k, v) = (of(q.view()), of(key_values.keys()), of(key_values.values()));
                let y = of_head.push(q.view(), k.view(), w.view(), v.view());
                out.slice_mut(s![head, row, ..]).assign(&y);
            }
        }
        self.out.of_heads(pass, out.view())
    }
}

/// Gradients of all rows, of queries, keys and values like `q` and of weights like `w`, those of each slice written as they
/// are computed.
fn side_by_side(
    slices: &[(Slice, Slice)],
    calls: &[SavedCall],
    (q, w): (&Array3<f32>, &Array3<f32>),
    of_slice: impl Fn(usize, &(Slice, Slice), &SavedCall) -> Result<WeightedGradients> + Sync,
) -> Result<WeightedGradients> {
    let [of_q, of_k, of_v, of_w] = [q, q, q, w].map(|x| zeros(x.raw_dim()));
    let mut all = WeightedGradients { q: of_q, k: of_k, v: of_v, w: of_w };
    let [to_q, to_k, to_v, to_w] = [&mut all.q, &mut all.k, &mut all.v, &mut all.w]
        .map(|x| split_mut(x, slices.iter().map(|(rows, _)| rows)));
    let to = to_q.into_par_iter().zip(to_k).zip(to_v).zip(to_w);
    let found = slices.par_iter().enumerate().zip(calls).zip(to);
    found.try_for_each(|(((at, slice), saved), (((mut to_q, mut to_k), mut to_v), mut to_w))| {
        let of = of_slice(at, slice, saved)?;
        to_q.assign(&of.q);
        to_k.assign(&of.k);
        to_v.assign(&of.v);
        // Columns after the rows of P that a sequence has stay zeros.
        to_w.slice_mut(s![.., .., ..of.w.dim().2]).assign(&of.w);
        Ok(())
    })?;
    Ok(all)
}

/// How many pairs of a row and a row of its P there are.
fn pairs(l: usize, rows: &Rows, p_rows: Option<&Rows>) -> usize {
    match p_rows {
        None => rows.total() * l,
        Some(p_rows) => rows.each().zip(p_rows.each()).map(|(of, of_p)| of.len() * of_p.len()).sum(),
    }
}

/// One slice of a batch: `shared_l` are the rows of a P that all sequences share.
fn weighted<'a>(
    (rows, of_p): &(Slice, Slice),
    shared_l: Option<usize>,
    q: &'a Array3<f32>,
    key_values: &'a KeyValueHeads,
    (w, decays): (&'a Array3<f32>, &'a [Decay]),
    dropout: RandomMask,
) -> WeightedHeads<'a> {
    let [q, k, v] = [q.view(), key_values.keys(), key_values.values()].map(|x| rows.of(x));
    let l = shared_l.unwrap_or_else(|| of_p.rows());
    let w = rows.of(w.view()).slice_move(s![.., .., ..l]);
    WeightedHeads { heads: Heads { dropout, ..Heads::new(q, k, v, Mask::Causal) }, w, decays }
}

fn scale(width: usize) -> f32 {
    (1.0 / (width as f64).sqrt()) as f32
}
