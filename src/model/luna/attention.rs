//! Luna attention with its projections: `LunarMultiheadAttention` of the authors' code.

use ndarray::{Array2, Array3, ArrayRef2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::attend::{kept, real_rows, weights};
use super::{Factors, LayerConfig, Look, Named, Padding, check, head_width};
use crate::model::kernel;
use crate::model::linear::{Count, Linear};
use crate::{Error, Result};

/// Pack and unpack attention (Ma et al. 2021, section 3.1), with the authors' projections.
///
/// With `C` the context and W standing for W and its bias:
///
/// - pack: `y_p = softmax((p W_pq) (C W_pk)^T / sqrt(d / pack_heads)) (C W_pv)`, heads side by side, no output
///   projection
/// - unpack: `y_x = [softmax((x W_q) (y_p W_k)^T / sqrt(d / heads)) (y_p W_v)] W_out`
///
/// Tied weights have `W_pk = W_pv` (`pc_proj`) and `W_k = W_v` (`c_proj`); pack and unpack share nothing. Which of the
/// two it is follows from the names of the tensors.
///
/// Padding is cut away before anything reads it, so that what stands there (even NaN) has no influence. A context that
/// is all padding packs into zeros, and an all-padded P makes every unpacked row `out_proj`'s bias; the authors' code
/// gives NaN in both cases.
pub struct LunaAttention {
    d: usize,
    heads: usize,
    pack_heads: usize,
    pack_query: Linear<'static>,
    pack: KeyValue,
    query: Linear<'static>,
    unpack: KeyValue,
    out: Linear<'static>,
}

/// What a context was packed into, ready to be read by any number of queries.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The packed context, shape (l, d), rows of padding in P included.
    pub y_p: Array2<f32>,
    /// Rows of `y_p` that are not padding; `None` if none is.
    real: Option<Vec<usize>>,
    /// Of the real rows, shape (h, l, `d_h`).
    keys: Array3<f32>,
    /// `None` if they are the keys.
    values: Option<Array3<f32>>,
}

impl LunaAttention {
    /// Reads `pq_proj`, `pc_proj` (or `pk_proj` and `pv_proj`), `q_proj`, `c_proj` (or `k_proj` and `v_proj`) and
    /// `out_proj`, all (d, d) with biases.
    pub fn load(named: &Named, config: &LayerConfig) -> Result<Self> {
        let LayerConfig { d, heads, pack_heads, .. } = *config;
        head_width(d, heads)?;
        head_width(d, pack_heads)?;
        Ok(Self {
            d,
            heads,
            pack_heads,
            pack_query: named.linear("pq_proj", d, d)?,
            pack: KeyValue::load(named, ["pc_proj", "pk_proj", "pv_proj"], d)?,
            query: named.linear("q_proj", d, d)?,
            unpack: KeyValue::load(named, ["c_proj", "k_proj", "v_proj"], d)?,
            out: named.linear("out_proj", d, d)?,
        })
    }

    /// (`y_x`, `y_p`), shapes (n, d) and (l, d), of queries x (n, d), p (l, d) and a context (m, d).
    pub fn forward(
        &self,
        x: ArrayView2<'_, f32>,
        p: ArrayView2<'_, f32>,
        context: ArrayView2<'_, f32>,
        padding: Padding<'_>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let packed = self.pack(p, context, padding)?;
        Ok((self.unpack(x, &packed)?, packed.y_p))
    }

    /// Packs a context (m, d) by p (l, d): O(l m).
    pub fn pack(
        &self,
        p: ArrayView2<'_, f32>,
        context: ArrayView2<'_, f32>,
        padding: Padding<'_>,
    ) -> Result<Packed> {
        self.pack_counted(p, context, padding, None)
    }

    /// As [`pack`](Self::pack), and counts.
    pub(in crate::model) fn pack_counted(
        &self,
        p: ArrayView2<'_, f32>,
        context: ArrayView2<'_, f32>,
        padding: Padding<'_>,
        count: Count<'_>,
    ) -> Result<Packed> {
        check("p", p.shape(), self.d)?;
        check("context", context.shape(), self.d)?;
        let rows = real_rows("the context", context.nrows(), padding.context)?;
        let real = real_rows("p", p.nrows(), padding.p)?;
        let y_p = {
            let context = kept(context, rows.as_deref());
            let queries = self.pack_query.heads(&p, self.pack_heads, count);
            let (keys, values) = self.pack.heads(&context, self.pack_heads, count);
            let values = values.as_ref().unwrap_or(&keys);
            kernel::join(kernel::softmax(queries.view(), keys.view(), values.view(), count)?.view())
        };
        let (keys, values) = self.unpack.heads(&kept(y_p.view(), real.as_deref()), self.heads, count);
        Ok(Packed { y_p, real, keys, values })
    }

    /// `y_x` (n, d) of queries x (n, d) that read a packed context: O(l n), each row by itself.
    pub fn unpack(&self, x: ArrayView2<'_, f32>, packed: &Packed) -> Result<Array2<f32>> {
        let read = self.read(x, packed, None)?;
        let mut y = Array2::zeros(x.raw_dim());
        self.add(y.view_mut(), &read, None);
        Ok(y)
    }

    /// What queries x (n, d) read of a packed context, heads (h, n, `d_h`) before their output projection.
    pub(in crate::model) fn read(
        &self,
        x: ArrayView2<'_, f32>,
        packed: &Packed,
        count: Count<'_>,
    ) -> Result<Array3<f32>> {
        check("x", x.shape(), self.d)?;
        let Packed { keys, values, .. } = packed;
        let queries = self.query.heads(&x, self.heads, count);
        kernel::softmax(queries.view(), keys.view(), values.as_ref().unwrap_or(keys).view(), count)
    }

    /// Adds the output projection of what was read to rows (n, d).
    pub(in crate::model) fn add(&self, rows: ArrayViewMut2<'_, f32>, read: &Array3<f32>, count: Count<'_>) {
        self.out.add_heads(rows, read.view(), count);
    }

    /// The weights of the unpack attention, shape (h, n, l); columns of padding in P are zeros.
    pub fn unpack_weights(&self, x: ArrayView2<'_, f32>, packed: &Packed) -> Result<Array3<f32>> {
        check("x", x.shape(), self.d)?;
        let queries = self.query.heads(&x, self.heads, None);
        let mut all = Array3::zeros((self.heads, x.nrows(), packed.y_p.nrows()));
        for (head, mut all) in all.outer_iter_mut().enumerate() {
            let weights = weights(queries.index_axis(Axis(0), head), packed.keys.index_axis(Axis(0), head));
            for (at, column) in weights.axis_iter(Axis(1)).enumerate() {
                let at = packed.real.as_ref().map_or(at, |real| real[at]);
                all.column_mut(at).assign(&column);
            }
        }
        Ok(all)
    }

    /// Every head at work on x (n, d), whose context is x itself, and p (l, d), nothing padded: unpack queries, pack
    /// keys and pack values, and the weights of both steps.
    ///
    /// Refuses modules that pack with other heads than they unpack with: no pack head belongs to an unpack head there.
    pub(in crate::model) fn look(&self, x: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Vec<Look>> {
        if self.heads != self.pack_heads {
            let what = "pack heads of a Luna attention whose heads are watched";
            return Err(Error::value(what, self.pack_heads, format!("{}, as many as unpack", self.heads)));
        }
        let packed = self.pack(p, x, Padding::default())?;
        let queries = self.query.heads(&x, self.heads, None);
        let pack_queries = self.pack_query.heads(&p, self.heads, None);
        let (keys, values) = self.pack.heads(&x, self.heads, None);
        let values = values.as_ref().unwrap_or(&keys);
        let look = |head: usize| {
            let of = |rows: &Array3<f32>| rows.index_axis(Axis(0), head).to_owned();
            let (q, k, v) = (of(&queries), of(&keys), of(values));
            let unpack = weights(q.view(), packed.keys.index_axis(Axis(0), head));
            let pack = weights(pack_queries.index_axis(Axis(0), head), k.view());
            Look { q, k, v, factors: Factors { unpack, pack, causal: false } }
        };
        Ok((0..self.heads).into_par_iter().map(look).collect())
    }
}

/// Keys and values of the same rows: by one projection, or by two.
pub(super) enum KeyValue {
    Tied(Linear<'static>),
    Untied(Linear<'static>, Linear<'static>),
}

impl KeyValue {
    /// By the name of the tied projection, and those of the untied keys' and values'.
    pub(super) fn load(named: &Named, [both, key, value]: [&str; 3], d: usize) -> Result<Self> {
        Ok(if named.has(&format!("{key}.weight")) || !named.has(&format!("{both}.weight")) {
            Self::Untied(named.linear(key, d, d)?, named.linear(value, d, d)?)
        } else {
            Self::Tied(named.linear(both, d, d)?)
        })
    }

    /// Keys, and values unless they are the keys.
    pub(super) fn apply(&self, x: &ArrayRef2<f32>, count: Count<'_>) -> (Array2<f32>, Option<Array2<f32>>) {
        match self {
            Self::Tied(both) => (both.counted(x, count), None),
            Self::Untied(key, value) => (key.counted(x, count), Some(value.counted(x, count))),
        }
    }

    /// As `apply`, cut into heads (h, n, `d_h`).
    fn heads(&self, x: &ArrayRef2<f32>, h: usize, count: Count<'_>) -> (Array3<f32>, Option<Array3<f32>>) {
        match self {
            Self::Tied(both) => (both.heads(x, h, count), None),
            Self::Untied(key, value) => (key.heads(x, h, count), Some(value.heads(x, h, count))),
        }
    }
}
