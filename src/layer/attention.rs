//! The attention block of a Transformer and its gradients: over its own rows, or over those of a context.

use ndarray::{Array2, Array3, ArrayView2};

use super::heads::{MultiHead, Operands};
use super::linear::Linear;
use super::mechanism::Mechanism;
use super::pass::{Backward, Pass, Tape};
use super::rows::Rows;
use super::weights::Layout;
use crate::Result;
use crate::attention::{Mask, Past};
use crate::linalg::arrays::{join, split, zeros};

/// Four projections (d, d) around a mechanism.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attention {
    d: usize,
    heads: usize,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    core: MultiHead,
    /// Its number among the arrays that are dropped from.
    site: usize,
}

/// Rows that are read in the place of a block's own, and which of them belong to which sequence.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// (rows, d).
    pub x: ArrayView2<'a, f32>,
    /// Which rows belong to which sequence.
    pub rows: &'a Rows,
}

impl<'a> Context<'a> {
    /// The context, or where there is none a block's own rows.
    pub(super) fn or_own(
        context: Option<&'a Context<'_>>,
        x: &'a ArrayView2<'_, f32>,
        rows: &'a Rows,
    ) -> Self {
        match context {
            Some(context) => Self { x: context.x.view(), rows: context.rows },
            None => Self { x: x.view(), rows },
        }
    }
}

/// Keys and values of a context, each (h, m, `d_h`).
#[derive(Clone, Debug)]
pub(crate) struct KeysAndValues {
    keys: Array3<f32>,
    values: Array3<f32>,
}

/// Saved activations beside those of the heads.
struct Saved {
    q: Array3<f32>,
    k: Array3<f32>,
    v: Array3<f32>,
    out: Array3<f32>,
}

impl Attention {
    /// Declares `q_proj`, `k_proj`, `v_proj`, `out_proj` and what the mechanism learns, below `name`.
    pub(super) fn declare(
        layout: &mut Layout,
        name: &str,
        [d, heads]: [usize; 2],
        mechanism: Mechanism,
        mask: Mask,
        site: usize,
    ) -> Self {
        let [query, key, value] = ["q_proj", "k_proj", "v_proj"]
            .map(|projection| Linear::projection(layout, &format!("{name}.{projection}"), d));
        let out = Linear::declare(layout, &format!("{name}.out_proj"), d, d);
        let core = MultiHead::declare(layout, name, heads, mechanism, mask);
        Self { d, heads, query, key, value, out, core, site }
    }

    /// Declares below `name` what the mechanism draws and does not learn.
    pub(super) fn declare_fixed(&mut self, layout: &mut Layout, name: &str) {
        self.core.declare_fixed(layout, name, self.d / self.heads);
    }

    /// The mechanism between the projections.
    pub(super) fn mechanism(&self) -> Mechanism {
        self.core.mechanism
    }

    /// Refuses a mechanism that has no backward pass under this mask.
    pub(super) fn check_trainable(&self) -> Result<()> {
        self.core.check_trainable()
    }

    /// The output (rows, d) of rows (rows, d) that read the context, or each other.
    pub(super) fn forward(
        &self,
        pass: Pass<'_>,
        x: ArrayView2<'_, f32>,
        rows: &Rows,
        context: Option<Context<'_>>,
        mut tape: Option<&mut Tape>,
    ) -> Result<Array2<f32>> {
        let of = Context::or_own(context.as_ref(), &x, rows);
        let q = self.query.to_heads(pass, x, self.heads);
        let [k, v] = [&self.key, &self.value].map(|linear| linear.to_heads(pass, of.x, self.heads));
        let operands = self.operands(pass, [&q, &k, &v], rows, of.rows);
        let out = self.core.forward(pass, operands, tape.as_deref_mut())?;
        let Some(tape) = tape else {
            drop((q, k, v)); // before the output projection allocates
            return Ok(self.out.of_heads(pass, out.view()));
        };
        let y = self.out.of_heads(pass, out.view());
        tape.save(Saved { q, k, v, out });
        Ok(y)
    }

    /// The gradient of the input `x` under that of the output; adds that of the context, where there is one, to the array
    /// beside it.
    pub(super) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        (x, rows): (ArrayView2<'_, f32>, &Rows),
        context: Option<(Context<'_>, &mut Array2<f32>)>,
        dy: ArrayView2<'_, f32>,
    ) -> Result<Array2<f32>> {
        let Saved { q, k, v, out } = tape.take();
        let d_out = projection_backward(&self.out, back, &out, dy, self.heads);
        let context_rows = context.as_ref().map_or(rows, |(context, _)| context.rows);
        let operands = self.operands(back.pass, [&q, &k, &v], rows, context_rows);
        let d = self.core.backward(back, tape, operands, out, d_out.view())?;
        drop((q, k, v, d_out)); // before the projections allocate
        let mut dx = zeros(x.raw_dim());
        self.query.to_heads_backward(back, x, &d.q, &mut dx);
        let (of, to) = match context {
            Some((context, d_context)) => (context.x, d_context),
            None => (x, &mut dx),
        };
        self.key.to_heads_backward(back, of, &d.k, to);
        self.value.to_heads_backward(back, of, &d.v, to);
        Ok(dx)
    }

    fn operands<'a>(
        &self,
        pass: Pass<'_>,
        [q, k, v]: [&'a Array3<f32>; 3],
        queries: &'a Rows,
        context: &'a Rows,
    ) -> Operands<'a> {
        let dropout = pass.dropout.attention(self.site, 0);
        Operands { q: q.view(), k: k.view(), v: v.view(), queries, context, dropout }
    }

    /// The past of every head, before the first row of a sequence.
    pub(super) fn start(&self) -> Result<Vec<Box<dyn Past>>> {
        self.core.start(self.d / self.heads)
    }

    /// The output (b, d) of the next row (b, d) of sequences, of which each has its pasts.
    pub(super) fn step<'a>(
        &self,
        pass: Pass<'_>,
        pasts: impl IntoIterator<Item = &'a mut [Box<dyn Past>]>,
        x: ArrayView2<'_, f32>,
    ) -> Array2<f32> {
        let qkv = [&self.query, &self.key, &self.value].map(|linear| linear.to_heads(pass, x, self.heads));
        self.out.of_heads(pass, self.core.step(pass, pasts, &qkv).view())
    }

    /// Keys and values of a context (m, d), for [`read`](Self::read).
    pub(super) fn prepare(&self, pass: Pass<'_>, context: ArrayView2<'_, f32>) -> KeysAndValues {
        let [keys, values] =
            [&self.key, &self.value].map(|linear| linear.to_heads(pass, context, self.heads));
        KeysAndValues { keys, values }
    }

    /// The output (n, d) of rows (n, d) that read one context.
    pub(super) fn read(
        &self,
        pass: Pass<'_>,
        x: ArrayView2<'_, f32>,
        context: &KeysAndValues,
    ) -> Result<Array2<f32>> {
        let q = self.query.to_heads(pass, x, self.heads);
        let KeysAndValues { keys, values } = context;
        let (queries, context) = (Rows::of([x.nrows()]), Rows::of([keys.dim().1]));
        let operands = self.operands(pass, [&q, keys, values], &queries, &context);
        Ok(self.out.of_heads(pass, self.core.forward(pass, operands, None)?.view()))
    }
}

/// The gradient of heads (h, rows, width) under that of their output projection, whose own gradients are added.
pub(super) fn projection_backward(
    out: &Linear,
    back: &mut Backward<'_>,
    heads: &Array3<f32>,
    dy: ArrayView2<'_, f32>,
    count: usize,
) -> Array3<f32> {
    out.add_gradients(back, join(heads.view()).view(), dy);
    split(out.input_gradient(back.pass, dy).view(), count)
}
