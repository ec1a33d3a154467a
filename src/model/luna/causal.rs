//! Causal Luna attention with its projections: `LunarCausalAttention` of the authors' code.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::attend::{kept, real_rows};
use super::attention::KeyValue;
use super::{Factors, LayerConfig, Look, Named, check, head_width};
use crate::Result;
use crate::attention::luna_causal::{State, Weight, chunked, unpacking};
use crate::cost::Tally;
use crate::linalg::gemm::{Threads, product};
use crate::model::linear::{Count, Linear};

/// Time steps that [`LunaCausalAttention::forward`] works on at once.
pub(in crate::model) const CHUNK: usize = 64;

/// Luna attention in which row t reads rows 0 to t: of each head, with sums over j <= t,
///
/// - `w_t = weight((x_t W_pc) (p W_pq)^T / sqrt(d_h))`, l numbers
/// - `a_t = softmax(q_t (1/t) sum k_j^T w_j)`, over l, with `q_t = x_t W_q / sqrt(d_h)`
/// - `y_t = [a_t (1/t) sum w_j^T v_j] W_out`
///
/// p itself is read as it is and does not change. Tied weights have `W_k = W_v` (`c_proj`). Rows of p that are padding
/// are cut away; if all are, every row of the output is `out_proj`'s bias. There is no mask over time beside the causal
/// one (the authors' code takes one and ignores it): padding belongs behind the real rows, where no real row reads it.
pub struct LunaCausalAttention {
    d: usize,
    heads: usize,
    weight: Weight,
    pack_query: Linear<'static>,
    pack_key: Linear<'static>,
    query: Linear<'static>,
    key_value: KeyValue,
    out: Linear<'static>,
}

/// What the rows so far were summed into: its size does not depend on how many they are.
#[derive(Clone, Debug)]
pub struct CausalState {
    /// (l, d): the packing queries, without padding; the same in every clone.
    pack_query: Arc<Array2<f32>>,
    heads: Vec<State>,
}

/// Projections of some rows: what every head takes its columns from.
struct Projected {
    queries: Array2<f32>,
    pack_keys: Array2<f32>,
    keys: Array2<f32>,
    values: Option<Array2<f32>>,
}

impl LunaCausalAttention {
    /// Reads `pq_proj`, `pc_proj`, `q_proj`, `c_proj` (or `k_proj` and `v_proj`) and `out_proj`, all (d, d) with biases.
    pub fn load(named: &Named, config: &LayerConfig) -> Result<Self> {
        let LayerConfig { d, heads, weight, .. } = *config;
        head_width(d, heads)?;
        Ok(Self {
            d,
            heads,
            weight,
            pack_query: named.linear("pq_proj", d, d)?,
            pack_key: named.linear("pc_proj", d, d)?,
            query: named.linear("q_proj", d, d)?,
            key_value: KeyValue::load(named, ["c_proj", "k_proj", "v_proj"], d)?,
            out: named.linear("out_proj", d, d)?,
        })
    }

    /// y (n, d) of x (n, d) and p (l, d), of which the rows marked in `padding` are not read.
    pub fn forward(
        &self,
        x: ArrayView2<'_, f32>,
        p: ArrayView2<'_, f32>,
        padding: Option<&[bool]>,
    ) -> Result<Array2<f32>> {
        check("x", x.shape(), self.d)?;
        let pack_query = self.pack_query(p, padding, None)?;
        Ok(self.out.apply(&self.attend(x, &pack_query, x.nrows(), &|_| x.nrows(), None)))
    }

    /// What the rows (b n, d) of sequences of n rows read of p (l, d), before the output projection; `real` are the real
    /// rows of a sequence by its number, the others are left zeros.
    ///
    /// Of the sums the tally counts what a token at a time would do: blocks do more of them, to do them faster.
    pub(in crate::model) fn read(
        &self,
        x: ArrayView2<'_, f32>,
        p: ArrayView2<'_, f32>,
        n: usize,
        real: &(dyn Fn(usize) -> usize + Sync),
        count: Count<'_>,
    ) -> Result<Array2<f32>> {
        check("x", x.shape(), self.d)?;
        Ok(self.attend(x, &self.pack_query(p, None, count)?, n, real, count))
    }

    /// Adds the output projection of what was read to rows (b n, d).
    pub(in crate::model) fn add(&self, rows: ArrayViewMut2<'_, f32>, read: &Array2<f32>, count: Count<'_>) {
        self.out.add_to(rows, read, count);
    }

    fn attend(
        &self,
        x: ArrayView2<'_, f32>,
        pack_query: &Array2<f32>,
        n: usize,
        real: &(dyn Fn(usize) -> usize + Sync),
        count: Count<'_>,
    ) -> Array2<f32> {
        let mut read = Array2::zeros(x.raw_dim());
        if read.is_empty() || pack_query.is_empty() {
            return read;
        }
        let rows = self.project(x, count);
        let d_h = self.d / self.heads;
        read.axis_chunks_iter_mut(Axis(1), d_h).into_par_iter().enumerate().for_each(|(head, mut out)| {
            let columns = s![.., head * d_h..(head + 1) * d_h];
            let pack_query = pack_query.slice(columns);
            let [q, pack_keys, k, v] =
                [&rows.queries, &rows.pack_keys, &rows.keys, rows.values()].map(|rows| rows.slice(columns));
            for (sequence, mut out) in out.axis_chunks_iter_mut(Axis(0), n).enumerate() {
                let (first, real) = (sequence * n, real(sequence));
                let of = s![first..first + real, ..];
                let logits = product(pack_keys.slice(of), pack_query.t(), Threads::One);
                let w = logits.mapv_into(|x| self.weight.apply(x));
                let sums = chunked(q.slice(of), k.slice(of), w.view(), v.slice(of), CHUNK);
                out.slice_mut(s![..real, ..]).assign(&sums);
                if let Some(tally) = count {
                    tally_sums(tally, real, w.ncols(), d_h);
                }
            }
        });
        read
    }

    /// Every head at work on x (n, d) and p (l, d), nothing padded: queries, keys and values, and the weights of both
    /// steps.
    pub(in crate::model) fn look(&self, x: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Vec<Look>> {
        check("x", x.shape(), self.d)?;
        let pack_query = self.pack_query(p, None, None)?;
        let queries = self.query.apply(&x);
        let pack_keys = self.pack_key.apply(&x);
        let (keys, values) = self.key_value.apply(&x, None);
        let values = values.as_ref().unwrap_or(&keys);
        let d_h = self.d / self.heads;
        let look = |head: usize| {
            let of = |rows: &Array2<f32>| rows.slice(s![.., head * d_h..(head + 1) * d_h]).to_owned();
            let (q, k, v) = (of(&queries), of(&keys), of(values));
            let logits = product(of(&pack_keys).view(), of(&pack_query).t(), Threads::One);
            let w = logits.mapv_into(|x| self.weight.apply(x));
            let unpack = unpacking((&q * self.scale()).view(), k.view(), w.view());
            let pack = w.t().as_standard_layout().into_owned();
            Look { q, k, v, factors: Factors { unpack, pack, causal: true } }
        };
        Ok((0..self.heads).into_par_iter().map(look).collect())
    }

    /// A state that has seen no row yet.
    pub fn start(&self, p: ArrayView2<'_, f32>, padding: Option<&[bool]>) -> Result<CausalState> {
        let pack_query = Arc::new(self.pack_query(p, padding, None)?);
        let d_h = self.d / self.heads;
        let heads = vec![State::new(d_h, pack_query.nrows(), d_h); self.heads];
        Ok(CausalState { pack_query, heads })
    }

    /// The next row: y (d) of x (d), as [`forward`](Self::forward) gives it, in O(l d).
    pub fn step(&self, state: &mut CausalState, x: ArrayView1<'_, f32>) -> Result<Array1<f32>> {
        Ok(self.step_many([state], x.insert_axis(Axis(0)))?.index_axis_move(Axis(0), 0))
    }

    /// The next row of each state: y (b, d) of x (b, d), a row a state.
    pub(super) fn step_many<'a>(
        &self,
        states: impl IntoIterator<Item = &'a mut CausalState>,
        x: ArrayView2<'_, f32>,
    ) -> Result<Array2<f32>> {
        check("x", x.shape(), self.d)?;
        let mut read = Array2::zeros(x.raw_dim());
        let rows = self.project(x, None);
        let d_h = self.d / self.heads;
        for (row, state) in states.into_iter().enumerate() {
            if state.pack_query.is_empty() {
                continue;
            }
            for (head, of_head) in state.heads.iter_mut().enumerate() {
                let columns = head * d_h..(head + 1) * d_h;
                let of = |rows: &Array2<f32>| rows.slice(s![row, columns.clone()]).to_owned();
                let logits = state.pack_query.slice(s![.., columns.clone()]).dot(&of(&rows.pack_keys));
                let w = logits.mapv_into(|x| self.weight.apply(x));
                let (q, k, v) = (of(&rows.queries), of(&rows.keys), of(rows.values()));
                let y = of_head.push(q.view(), k.view(), w.view(), v.view());
                read.slice_mut(s![row, columns]).assign(&y);
            }
        }
        Ok(self.out.apply(&read))
    }

    /// `p W_pq / sqrt(d_h)` of the rows that are not padding.
    fn pack_query(
        &self,
        p: ArrayView2<'_, f32>,
        padding: Option<&[bool]>,
        count: Count<'_>,
    ) -> Result<Array2<f32>> {
        check("p", p.shape(), self.d)?;
        let real = real_rows("p", p.nrows(), padding)?;
        Ok(self.pack_query.counted(&kept(p, real.as_deref()), count) * self.scale())
    }

    fn project(&self, x: ArrayView2<'_, f32>, count: Count<'_>) -> Projected {
        let (keys, values) = self.key_value.apply(&x, count);
        let queries = self.query.counted(&x, count) * self.scale();
        Projected { queries, pack_keys: self.pack_key.counted(&x, count), keys, values }
    }

    fn scale(&self) -> f32 {
        (1.0 / ((self.d / self.heads) as f64).sqrt()) as f32
    }
}

impl Projected {
    fn values(&self) -> &Array2<f32> {
        self.values.as_ref().unwrap_or(&self.keys)
    }
}

/// Counts what n rows need in one head: their weights, their share in both sums, and both readings of them.
fn tally_sums(tally: &Tally, n: usize, l: usize, d_h: usize) {
    tally.product(n, d_h, l);
    tally.product(n, l, 2 * d_h);
    tally.product(n, l, 2 * d_h);
}
