//! Luna's attention with its projections, and its gradients (Ma et al. 2021; the authors' `LunarMultiheadAttention`).

use ndarray::{Array2, Array3, ArrayView2};

use super::attention::{Context, projected_back, softmax};
use super::core::{Core, Read, Stack};
use super::linear::Linear;
use super::parameters::{Layout, Numbers};
use super::rows::Rows;
use crate::Result;
use crate::attention::Mask;
use crate::linalg::arrays::{add, join, split, zeros};

/// Pack and unpack, each with its projections.
#[derive(Clone, Debug)]
pub(super) struct Luna {
    heads: usize,
    pack_query: Linear,
    pack: KeyValue,
    query: Linear,
    unpack: KeyValue,
    out: Linear,
    core: Core,
}

/// Keys and values of the same rows: by one projection, or by two.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyValue {
    Tied(Linear),
    Untied(Linear, Linear),
}

/// Heads of keys, and of values unless they are the keys.
type KeysValues = (Array3<f32>, Option<Array3<f32>>);

/// What the gradients need beside x and p.
#[derive(Debug)]
pub(super) struct Kept {
    pack_query: Array3<f32>,
    packed_from: KeysValues,
    packed: Read,
    query: Array3<f32>,
    unpacked_from: KeysValues,
    unpacked: Read,
}

/// Whose rows are whose.
#[derive(Clone, Copy)]
pub(super) struct Streams<'a> {
    /// Of X.
    pub(super) x: &'a Rows,
    /// Of P: min(l, length) for each sequence.
    pub(super) p: &'a Rows,
}

impl Luna {
    /// `pq_proj`, `pc_proj` (or `pk_proj` and `pv_proj`), `q_proj`, `c_proj` (or `k_proj` and `v_proj`), `out_proj`.
    pub(super) fn find(layout: &Layout, name: &str, heads: usize) -> Result<Self> {
        let find = |projection: &str| Linear::find(layout, &format!("{name}.{projection}"));
        Ok(Self {
            heads,
            pack_query: find("pq_proj")?,
            pack: KeyValue::find(layout, name, ["pc_proj", "pk_proj", "pv_proj"])?,
            query: find("q_proj")?,
            unpack: KeyValue::find(layout, name, ["c_proj", "k_proj", "v_proj"])?,
            out: find("out_proj")?,
            core: softmax(Mask::Full)?,
        })
    }

    /// What X reads, and what was packed (before any residual), each (rows, d): of the context, or of X itself.
    pub(super) fn forward(
        &self,
        numbers: Numbers<'_>,
        x: ArrayView2<'_, f32>,
        p: ArrayView2<'_, f32>,
        streams: Streams<'_>,
        context: Option<Context<'_>>,
    ) -> Result<(Array2<f32>, Array2<f32>, Kept)> {
        let (of, of_rows) =
            context.as_ref().map_or((x.view(), streams.x), |context| (context.x.view(), context.rows));
        let pack_query = self.pack_query.heads(numbers, p, self.heads);
        let packed_from = self.pack.heads(numbers, of, self.heads);
        let packed = self.core.forward(numbers, stack(&pack_query, &packed_from, streams.p, of_rows))?;
        let y_p = join(packed.out.view());
        let query = self.query.heads(numbers, x, self.heads);
        let unpacked_from = self.unpack.heads(numbers, y_p.view(), self.heads);
        let unpacked = self.core.forward(numbers, stack(&query, &unpacked_from, streams.x, streams.p))?;
        let y = self.out.forward(numbers, join(unpacked.out.view()).view());
        Ok((y, y_p, Kept { pack_query, packed_from, packed, query, unpacked_from, unpacked }))
    }

    /// Gradients of x and p under those of what X reads and of what was packed; adds that of the context to its
    /// gradient where there is one.
    #[allow(clippy::too_many_arguments)] // two streams in, two streams back
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        (x, p): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        streams: Streams<'_>,
        context: Option<(Context<'_>, &mut Array2<f32>)>,
        kept: Kept,
        dy: ArrayView2<'_, f32>,
        mut d_packed: Array2<f32>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let Kept { pack_query, packed_from, packed, query, unpacked_from, unpacked } = kept;
        let d_read = projected_back(&self.out, numbers, gradients, &unpacked, dy, self.heads);
        let of = stack(&query, &unpacked_from, streams.x, streams.p);
        let back = self.core.backward(numbers, gradients, of, unpacked, d_read.view())?;
        drop((unpacked_from, query));
        let mut dx = zeros(x.raw_dim());
        self.query.learn_heads(numbers, gradients, x, &back.q, &mut dx);
        let y_p = join(packed.out.view());
        self.unpack.backward(numbers, gradients, y_p.view(), back.k, back.v, &mut d_packed);
        let d_packed = split(d_packed.view(), self.heads);
        let of = context.as_ref().map_or(streams.x, |(context, _)| context.rows);
        let of = stack(&pack_query, &packed_from, streams.p, of);
        let back = self.core.backward(numbers, gradients, of, packed, d_packed.view())?;
        let (of, to) = match context {
            Some((context, d_context)) => (context.x, d_context),
            None => (x, &mut dx),
        };
        self.pack.backward(numbers, gradients, of, back.k, back.v, to);
        let d_query = join(back.q.view());
        self.pack_query.learn(numbers, gradients, p, d_query.view());
        Ok((dx, self.pack_query.back(numbers, d_query.view())))
    }
}

fn stack<'a>(q: &'a Array3<f32>, (k, v): &'a KeysValues, queries: &'a Rows, context: &'a Rows) -> Stack<'a> {
    Stack { q: q.view(), k: k.view(), v: v.as_ref().unwrap_or(k).view(), queries, context }
}

impl KeyValue {
    /// By the name of the tied projection, and those of the untied keys' and values'.
    pub(super) fn find(layout: &Layout, name: &str, [both, key, value]: [&str; 3]) -> Result<Self> {
        let find = |projection: &str| Linear::find(layout, &format!("{name}.{projection}"));
        if layout.has(&format!("{name}.{both}.weight")) {
            return Ok(Self::Tied(find(both)?));
        }
        Ok(Self::Untied(find(key)?, find(value)?))
    }

    pub(super) fn heads(&self, numbers: Numbers<'_>, x: ArrayView2<'_, f32>, heads: usize) -> KeysValues {
        match self {
            Self::Tied(both) => (both.heads(numbers, x, heads), None),
            Self::Untied(key, value) => (key.heads(numbers, x, heads), Some(value.heads(numbers, x, heads))),
        }
    }

    /// Adds the gradient of `x` to `dx`, under those of keys and values.
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        x: ArrayView2<'_, f32>,
        mut d_keys: Array3<f32>,
        d_values: Array3<f32>,
        dx: &mut Array2<f32>,
    ) {
        let parts = match self {
            // One array was read as both.
            Self::Tied(both) => {
                add(&mut d_keys, &d_values);
                vec![(both, d_keys)]
            }
            Self::Untied(key, value) => vec![(key, d_keys), (value, d_values)],
        };
        for (linear, d) in parts {
            linear.learn_heads(numbers, gradients, x, &d, dx);
        }
    }
}
