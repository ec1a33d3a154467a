//! The attention block of a Transformer's layer and its gradients.

use ndarray::{Array2, Array3, ArrayView2};

use super::core::{Core, Form, Read, Stack};
use super::linear::Linear;
use super::parameters::{Layout, Numbers};
use super::rows::Rows;
use crate::Result;
use crate::attention::{Mask, fused};
use crate::linalg::arrays::{join, split, zeros};
use crate::model::encoder::{EncoderConfig, Mechanism};

/// Four projections around a mechanism.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    heads: usize,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    core: Core,
}

/// Rows of another stream that are read in the place of one's own, and whose they are.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// (rows, d).
    pub(super) x: ArrayView2<'a, f32>,
    pub(super) rows: &'a Rows,
}

/// What the gradients need beside the input.
#[derive(Debug)]
pub(super) struct Kept {
    q: Array3<f32>,
    k: Array3<f32>,
    v: Array3<f32>,
    read: Read,
}

impl Attention {
    /// `q_proj`, `k_proj`, `v_proj`, `out_proj` below `name`, and the mechanism's own piece.
    pub(super) fn find(layout: &Layout, name: &str, config: &EncoderConfig) -> Result<Self> {
        let mask = if config.causal { Mask::Causal } else { Mask::Full };
        Self::of(layout, name, config, mask)
    }

    /// The same under a mask that is not the configuration's.
    pub(super) fn of(layout: &Layout, name: &str, config: &EncoderConfig, mask: Mask) -> Result<Self> {
        let own = |piece: &str| layout.matrix(&format!("{name}.{piece}"));
        let array = match config.mechanism {
            Mechanism::Linformer { .. } => Some(("e", own("compress.weight")?)),
            Mechanism::Performer { .. } => Some(("features", own("features")?)),
            _ => None,
        };
        let (mechanism, l) = match config.mechanism {
            Mechanism::LunaCausal { .. } => ("softmax", None),
            other => (other.core(), other.core_l()),
        };
        let mechanism = fused(mechanism, l)?;
        if !mechanism.has_backward(mask) {
            return Err(mask.refused(&format!("the backward pass of attention '{}'", mechanism.name())));
        }
        let [query, key, value, out] = ["q_proj", "k_proj", "v_proj", "out_proj"]
            .map(|projection| Linear::find(layout, &format!("{name}.{projection}")));
        let form = if config.mechanism == Mechanism::Materialised {
            Form::Materialised
        } else {
            Form::Fused(mechanism)
        };
        let core = Core { form, mask, array };
        Ok(Self { heads: config.heads, query: query?, key: key?, value: value?, out: out?, core })
    }

    /// The output projection of what every row of the input (rows, d) reads: of the context, or of the input itself.
    pub(super) fn forward(
        &self,
        numbers: Numbers<'_>,
        x: ArrayView2<'_, f32>,
        rows: &Rows,
        context: Option<Context<'_>>,
    ) -> Result<(Array2<f32>, Kept)> {
        let (of, of_rows) =
            context.as_ref().map_or((x.view(), rows), |context| (context.x.view(), context.rows));
        let q = self.query.heads(numbers, x, self.heads);
        let [k, v] = [&self.key, &self.value].map(|linear| linear.heads(numbers, of, self.heads));
        let stack = Stack { q: q.view(), k: k.view(), v: v.view(), queries: rows, context: of_rows };
        let read = self.core.forward(numbers, stack)?;
        let y = self.out.forward(numbers, join(read.out.view()).view());
        Ok((y, Kept { q, k, v, read }))
    }

    /// The gradient of the input `x` under that of the output; adds that of the context to `d_context` where there is
    /// one.
    #[allow(clippy::too_many_arguments)] // two streams in, two gradients back
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        x: ArrayView2<'_, f32>,
        rows: &Rows,
        context: Option<(Context<'_>, &mut Array2<f32>)>,
        kept: Kept,
        dy: ArrayView2<'_, f32>,
    ) -> Result<Array2<f32>> {
        let Kept { q, k, v, read } = kept;
        let d_read = projected_back(&self.out, numbers, gradients, &read, dy, self.heads);
        let of = context.as_ref().map_or(rows, |(context, _)| context.rows);
        let stack = Stack { q: q.view(), k: k.view(), v: v.view(), queries: rows, context: of };
        let back = self.core.backward(numbers, gradients, stack, read, d_read.view())?;
        let mut dx = zeros(x.raw_dim());
        self.query.learn_heads(numbers, gradients, x, &back.q, &mut dx);
        let (of, to) = match context {
            Some((context, d_context)) => (context.x, d_context),
            None => (x, &mut dx),
        };
        self.key.learn_heads(numbers, gradients, of, &back.k, to);
        self.value.learn_heads(numbers, gradients, of, &back.v, to);
        Ok(dx)
    }
}

/// The gradient of what heads read, under that of its output projection.
pub(super) fn projected_back(
    out: &Linear,
    numbers: Numbers<'_>,
    gradients: &mut [f32],
    read: &Read,
    dy: ArrayView2<'_, f32>,
    heads: usize,
) -> Array3<f32> {
    out.learn(numbers, gradients, join(read.out.view()).view(), dy);
    split(out.back(numbers, dy).view(), heads)
}

/// Softmax under a mask, which every machine has.
pub(super) fn softmax(mask: Mask) -> Result<Core> {
    Ok(Core { form: Form::Fused(fused("softmax", None)?), mask, array: None })
}
