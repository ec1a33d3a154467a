//! Luna's attention with its projections, and its gradients: `LunarMultiheadAttention` of the authors' code (Ma et al.
//! 2021, section 3.1; XuezheMax/fairseq-apollo 3644d20).
//!
//! With `C` the context and W standing for W and its bias:
//!
//! - pack: `y_p = softmax((p W_pq) (C W_pk)^T / sqrt(d / pack_heads)) (C W_pv)`, heads side by side, without an output
//!   projection
//! - unpack: `y_x = [softmax((x W_q) (y_p W_k)^T / sqrt(d / heads)) (y_p W_v)] W_out`
//!
//! Tied weights have `W_pk = W_pv` (`pc_proj`) and `W_k = W_v` (`c_proj`); pack and unpack share nothing. Where the
//! published code says more than the paper's equations, the code is followed: softmax in both steps, queries scaled after
//! their bias. A context without rows packs into zeros, and without P every row of the output is `out_proj`'s bias; the
//! authors' code gives NaN in both cases.

use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;

use super::attention::{Context, projection_backward};
use super::factors::{Factors, WatchedHead, softmax_weights};
use super::heads::{MultiHead, Operands};
use super::key_value::{KeyValue, KeyValueHeads};
use super::linear::Linear;
use super::pass::{Backward, Pass, Tape};
use super::residual::Residual;
use super::rows::Rows;
use super::weights::Layout;
use crate::Result;
use crate::attention::Mask;
use crate::attention::luna_causal::Decay;
use crate::error::Error;
use crate::linalg::arrays::{join, split, zeros};

/// The two steps, as masks of dropout tell them apart.
const PACK: usize = 0;
const UNPACK: usize = 1;

/// Pack and unpack, each with its projections.
#[derive(Clone, Copy, Debug)]
pub struct LunaAttention {
    heads: usize,
    pack_heads: usize,
    pack_query: Linear,
    pack: KeyValue,
    query: Linear,
    unpack: KeyValue,
    out: Linear,
    /// Its number among the arrays that are dropped from.
    site: usize,
}

/// Which rows belong to which sequence.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'a> {
    /// Of X.
    pub x: &'a Rows,
    /// Of P: min(l, length) for each sequence.
    pub p: &'a Rows,
}

/// A packed context, ready to be read by any number of queries.
#[derive(Clone, Debug)]
pub struct Packed {
    /// (rows of P, d).
    pub y_p: Array2<f32>,
    key_values: KeyValueHeads,
}

/// Saved activations of the pack attention.
struct SavedPack {
    queries: Array3<f32>,
    key_values: KeyValueHeads,
    out: Array3<f32>,
}

/// Saved activations of the unpack attention.
struct SavedUnpack {
    queries: Array3<f32>,
    key_values: KeyValueHeads,
    out: Array3<f32>,
}

impl LunaAttention {
    /// Declares `pq_proj`, `q_proj`, `pc_proj` (or `pk_proj` and `pv_proj`), `c_proj` (or `k_proj` and `v_proj`) and
    /// `out_proj`, all (d, d), below `name`.
    pub fn declare(
        layout: &mut Layout,
        name: &str,
        d: usize,
        [heads, pack_heads]: [usize; 2],
        tied: bool,
        site: usize,
    ) -> Self {
        let [pack_query, query] = ["pq_proj", "q_proj"]
            .map(|projection| Linear::projection(layout, &format!("{name}.{projection}"), d));
        let pack = KeyValue::declare(layout, name, d, tied, ["pc_proj", "pk_proj", "pv_proj"]);
        let unpack = KeyValue::declare(layout, name, d, tied, ["c_proj", "k_proj", "v_proj"]);
        let out = Linear::declare(layout, &format!("{name}.out_proj"), d, d);
        Self { heads, pack_heads, pack_query, pack, query, unpack, out, site }
    }

    /// The output of X, and the packed context (before any residual), each (rows, d); the context is X itself where there
    /// is no other.
    pub fn forward(
        &self,
        pass: Pass<'_>,
        x: ArrayView2<'_, f32>,
        p: ArrayView2<'_, f32>,
        streams: Streams<'_>,
        context: Option<Context<'_>>,
        mut tape: Option<&mut Tape>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let context = Context::or_own(context.as_ref(), &x, streams.x);
        let packed = self.pack(pass, p, streams.p, context, tape.as_deref_mut())?;
        let (queries, out) = self.read(pass, x, streams, &packed, tape.as_deref_mut())?;
        let Packed { y_p, key_values } = packed;
        let Some(tape) = tape else {
            drop((queries, key_values)); // before the output projection allocates
            return Ok((self.out.of_heads(pass, out.view()), y_p));
        };
        let y = self.out.of_heads(pass, out.view());
        tape.save(SavedUnpack { queries, key_values, out });
        Ok((y, y_p))
    }

    /// Packs a context by p (rows of P, d).
    pub fn pack(
        &self,
        pass: Pass<'_>,
        p: ArrayView2<'_, f32>,
        p_rows: &Rows,
        context: Context<'_>,
        mut tape: Option<&mut Tape>,
    ) -> Result<Packed> {
        let queries = self.pack_query.to_heads(pass, p, self.pack_heads);
        let key_values = self.pack.forward(pass, context.x, self.pack_heads);
        let core = MultiHead::softmax(self.pack_heads, Mask::Full);
        let of = self.operands(pass, PACK, (&queries, &key_values), p_rows, context.rows);
        let out = core.forward(pass, of, tape.as_deref_mut())?;
        let y_p = if let Some(tape) = tape {
            let y_p = join(out.view());
            tape.save(SavedPack { queries, key_values, out });
            y_p
        } else {
            drop((queries, key_values));
            join(out.view())
        };
        let key_values = self.unpack.forward(pass, y_p.view(), self.heads);
        Ok(Packed { y_p, key_values })
    }

    /// Queries of X, and what they read of a packed context, each (h, rows, `d_h`).
    fn read(
        &self,
        pass: Pass<'_>,
        x: ArrayView2<'_, f32>,
        streams: Streams<'_>,
        packed: &Packed,
        tape: Option<&mut Tape>,
    ) -> Result<(Array3<f32>, Array3<f32>)> {
        let queries = self.query.to_heads(pass, x, self.heads);
        let core = MultiHead::softmax(self.heads, Mask::Full);
        let of = self.operands(pass, UNPACK, (&queries, &packed.key_values), streams.x, streams.p);
        let out = core.forward(pass, of, tape)?;
        Ok((queries, out))
    }

    /// The output (n, d) of rows (n, d) that read one packed context: O(l n), each row by itself.
    pub fn unpack(&self, pass: Pass<'_>, x: ArrayView2<'_, f32>, packed: &Packed) -> Result<Array2<f32>> {
        let streams = Streams { x: &Rows::of([x.nrows()]), p: &Rows::of([packed.y_p.nrows()]) };
        let (_, out) = self.read(pass, x, streams, packed, None)?;
        Ok(self.out.of_heads(pass, out.view()))
    }

    /// The weights of the unpack attention, (h, n, l), of rows (n, d) that read one packed context.
    pub fn unpack_weights(&self, pass: Pass<'_>, x: ArrayView2<'_, f32>, packed: &Packed) -> Array3<f32> {
        let queries = self.query.to_heads(pass, x, self.heads);
        let mut all = Array3::zeros((self.heads, x.nrows(), packed.y_p.nrows()));
        for (head, mut all) in all.outer_iter_mut().enumerate() {
            let keys = packed.key_values.keys();
            all.assign(&softmax_weights(queries.index_axis(Axis(0), head), keys.index_axis(Axis(0), head)));
        }
        all
    }

    /// Every head at work on one sequence x (n, d), whose context is x itself, and p (l, d): unpack queries, pack keys and
    /// pack values, and the weights of both steps.
    ///
    /// Refuses modules that pack with other heads than they unpack with: there no pack head belongs to an unpack head.
    pub(super) fn watch(
        &self,
        pass: Pass<'_>,
        x: ArrayView2<'_, f32>,
        p: ArrayView2<'_, f32>,
    ) -> Result<Vec<WatchedHead>> {
        if self.heads != self.pack_heads {
            let what = "pack heads of a Luna attention whose heads are watched";
            return Err(Error::value(what, self.pack_heads, format!("{}, as many as unpack", self.heads)));
        }
        let (rows, p_rows) = (Rows::of([x.nrows()]), Rows::of([p.nrows()]));
        let packed = self.pack(pass, p, &p_rows, Context { x, rows: &rows }, None)?;
        let unpack = self.unpack_weights(pass, x, &packed);
        let queries = self.query.to_heads(pass, x, self.heads);
        let pack_queries = self.pack_query.to_heads(pass, p, self.heads);
        let key_values = self.pack.forward(pass, x, self.heads);
        let watch = |head: usize| {
            let [q, k, v, unpack] = [queries.view(), key_values.keys(), key_values.values(), unpack.view()]
                .map(|x| x.index_axis_move(Axis(0), head).to_owned());
            let pack = softmax_weights(pack_queries.index_axis(Axis(0), head), k.view());
            WatchedHead { q, k, v, factors: Factors { unpack, pack, causal: false, decay: Decay::NONE } }
        };
        Ok((0..self.heads).into_par_iter().map(watch).collect())
    }

    /// Gradients of x and p under those of the output and of the packed context; adds that of the context, where there is
    /// another one than x, to the array beside it.
    fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        (x, p): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        streams: Streams<'_>,
        context: Option<(Context<'_>, &mut Array2<f32>)>,
        (dy, mut d_packed): (ArrayView2<'_, f32>, Array2<f32>),
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let SavedUnpack { queries, key_values, out } = tape.take();
        let d_out = projection_backward(&self.out, back, &out, dy, self.heads);
        let of = self.operands(back.pass, UNPACK, (&queries, &key_values), streams.x, streams.p);
        let core = MultiHead::softmax(self.heads, Mask::Full);
        let d = core.backward(back, tape, of, out, d_out.view())?;
        drop((key_values, queries, d_out)); // before the projections allocate
        let mut dx = zeros(x.raw_dim());
        self.query.to_heads_backward(back, x, &d.q, &mut dx);
        drop(d.q);
        let SavedPack { queries, key_values, out } = tape.take();
        let y_p = join(out.view());
        self.unpack.backward(back, y_p.view(), (d.k, d.v), &mut d_packed);
        let d_packed = split(d_packed.view(), self.pack_heads);
        let context_rows = context.as_ref().map_or(streams.x, |(context, _)| context.rows);
        let of = self.operands(back.pass, PACK, (&queries, &key_values), streams.p, context_rows);
        let core = MultiHead::softmax(self.pack_heads, Mask::Full);
        let d = core.backward(back, tape, of, out, d_packed.view())?;
        let (of, to) = match context {
            Some((context, d_context)) => (context.x, d_context),
            None => (x, &mut dx),
        };
        self.pack.backward(back, of, (d.k, d.v), to);
        let d_query = join(d.q.view());
        self.pack_query.add_gradients(back, p, d_query.view());
        Ok((dx, self.pack_query.input_gradient(back.pass, d_query.view())))
    }

    /// Queries, and the keys and values that they read, of one of the two steps.
    fn operands<'a>(
        &self,
        pass: Pass<'_>,
        step: usize,
        (queries, key_values): (&'a Array3<f32>, &'a KeyValueHeads),
        rows: &'a Rows,
        context: &'a Rows,
    ) -> Operands<'a> {
        let (k, v) = (key_values.keys(), key_values.values());
        let dropout = pass.dropout.attention(self.site, step);
        Operands { q: queries.view(), k, v, queries: rows, context, dropout }
    }
}

/// Luna's attention inside the residual of X, with the residual of P if the packed context is handed on as the next P.
#[derive(Clone, Copy, Debug)]
pub(super) struct LunaBlock {
    pub(super) attention: LunaAttention,
    pub(super) around_p: Option<Residual>,
}

/// Gradients of a [`LunaBlock`], and the P that it was given.
pub(super) struct LunaBlockGradients {
    pub(super) input: Array2<f32>,
    pub(super) p: Array2<f32>,
    pub(super) given_p: Array2<f32>,
}

impl LunaBlock {
    /// The output of the block's input (rows, d), and the next P where it is handed on.
    pub(super) fn forward(
        &self,
        pass: Pass<'_>,
        input: ArrayView2<'_, f32>,
        p: Array2<f32>,
        streams: Streams<'_>,
        context: Option<Context<'_>>,
        mut tape: Option<&mut Tape>,
    ) -> Result<(Array2<f32>, Option<Array2<f32>>)> {
        let attention = &self.attention;
        let Some(residual) = &self.around_p else {
            let (y, _) = attention.forward(pass, input, p.view(), streams, context, tape.as_deref_mut())?;
            if let Some(tape) = tape {
                tape.save(p);
            }
            return Ok((y, None));
        };
        let (p_input, norm) = residual.open(pass, &p, tape.is_some());
        let (y, y_p) =
            attention.forward(pass, input, p_input.view(), streams, context, tape.as_deref_mut())?;
        drop(p_input);
        Ok((y, Some(residual.close(pass, p, y_p, norm, tape))))
    }

    /// The context (m, d) of one sequence packed by p, and the next P.
    pub(super) fn pack(
        &self,
        pass: Pass<'_>,
        p: Array2<f32>,
        context: ArrayView2<'_, f32>,
    ) -> Result<(Packed, Option<Array2<f32>>)> {
        let (p_rows, rows) = (Rows::of([p.nrows()]), Rows::of([context.nrows()]));
        let context = Context { x: context, rows: &rows };
        let Some(residual) = &self.around_p else {
            return Ok((self.attention.pack(pass, p.view(), &p_rows, context, None)?, None));
        };
        let (p_input, norm) = residual.open(pass, &p, false);
        let packed = self.attention.pack(pass, p_input.view(), &p_rows, context, None)?;
        drop(p_input);
        let next = residual.close(pass, p, packed.y_p.clone(), norm, None);
        Ok((packed, Some(next)))
    }

    /// Gradients under that of the output, and that of the next P (zeros if there is none).
    pub(super) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        (input, dy): (ArrayView2<'_, f32>, ArrayView2<'_, f32>),
        d_next_p: Option<Array2<f32>>,
        streams: Streams<'_>,
        context: Option<(Context<'_>, &mut Array2<f32>)>,
    ) -> Result<LunaBlockGradients> {
        let d_next_p = d_next_p.unwrap_or_else(|| Array2::zeros((streams.p.total(), input.ncols())));
        let Some(residual) = &self.around_p else {
            let given_p: Array2<f32> = tape.take();
            // The packed context was read here and not handed on: its gradient from above is zeros.
            let both = (input, given_p.view());
            let (input, p) = self.attention.backward(back, tape, both, streams, context, (dy, d_next_p))?;
            return Ok(LunaBlockGradients { input, p, given_p });
        };
        let (mut dp, d_packed, opened) = residual.reopen(back, tape, d_next_p);
        let p_input = residual.input(back.pass, &opened);
        let both = (input, p_input.view());
        let (input, d_p_input) =
            self.attention.backward(back, tape, both, streams, context, (dy, d_packed))?;
        drop(p_input);
        residual.finish(back, &opened, &mut dp, &d_p_input);
        Ok(LunaBlockGradients { input, p: dp, given_p: opened.x })
    }
}
