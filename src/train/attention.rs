//! The attention block of a Transformer's layer and its gradients.

use ndarray::{Array2, Array3, ArrayView2};

use super::core::{Core, Piece, Read, Stack};
use super::linear::{Linear, join, split};
use super::parameters::Layout;
use super::rows::Rows;
use crate::attention::{Mask, backward};
use crate::model::encoder::{EncoderConfig, Mechanism, PERFORMER_EPS};
use crate::{Error, Result};

/// Four projections around a mechanism.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attention {
    heads: usize,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    core: Core,
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
        let own = |piece: &str| layout.matrix(&format!("{name}.{piece}"));
        let (mechanism, piece) = match config.mechanism {
            Mechanism::Linformer { .. } => ("linformer", Piece::Compress(own("compress.weight")?)),
            Mechanism::Performer { .. } => ("performer", Piece::Features(own("features")?, PERFORMER_EPS)),
            Mechanism::Local { l } => ("local", Piece::Window(l)),
            Mechanism::Linear => ("linear", Piece::None),
            _ => ("softmax", Piece::None),
        };
        let mask = if config.causal { Mask::Causal } else { Mask::Full };
        let mechanism = backward::find(mechanism)
            .filter(|found| found.honours(mask))
            .ok_or_else(|| mask.refused(&format!("the backward pass of attention '{mechanism}'")))?;
        let [query, key, value, out] = ["q_proj", "k_proj", "v_proj", "out_proj"]
            .map(|projection| Linear::find(layout, &format!("{name}.{projection}")));
        let core = Core { mechanism, mask, piece };
        Ok(Self { heads: config.heads, query: query?, key: key?, value: value?, out: out?, core })
    }

    /// The output projection of what every row of the input (rows, d) reads.
    pub(super) fn forward(
        &self,
        numbers: &[f32],
        x: ArrayView2<'_, f32>,
        rows: &Rows,
    ) -> Result<(Array2<f32>, Kept)> {
        let [q, k, v] =
            [&self.query, &self.key, &self.value].map(|linear| linear.heads(numbers, x, self.heads));
        let stack = Stack { q: q.view(), k: k.view(), v: v.view(), queries: rows, context: rows };
        let read = self.core.forward(numbers, stack)?;
        let y = self.out.forward(numbers, join(read.out.view()).view());
        Ok((y, Kept { q, k, v, read }))
    }

    /// The gradient of the input `x` under that of the output.
    pub(super) fn backward(
        &self,
        numbers: &[f32],
        gradients: &mut [f32],
        x: ArrayView2<'_, f32>,
        rows: &Rows,
        kept: Kept,
        dy: ArrayView2<'_, f32>,
    ) -> Result<Array2<f32>> {
        let Kept { q, k, v, read } = kept;
        let d_read = projected_back(&self.out, numbers, gradients, &read, dy, self.heads);
        let stack = Stack { q: q.view(), k: k.view(), v: v.view(), queries: rows, context: rows };
        let back = self.core.backward(numbers, gradients, stack, &read, d_read.view())?;
        let mut dx = Array2::zeros(x.raw_dim());
        for (linear, d) in [(&self.query, back.q), (&self.key, back.k), (&self.value, back.v)] {
            let d = join(d.view());
            linear.learn(gradients, x, d.view());
            linear.add_back(numbers, d.view(), dx.view_mut());
        }
        Ok(dx)
    }
}

/// The gradient of what heads read, under that of its output projection.
pub(super) fn projected_back(
    out: &Linear,
    numbers: &[f32],
    gradients: &mut [f32],
    read: &Read,
    dy: ArrayView2<'_, f32>,
    heads: usize,
) -> Array3<f32> {
    out.learn(gradients, join(read.out.view()).view(), dy);
    split(out.back(numbers, dy).view(), heads)
}

/// Softmax under a mask, which every machine has.
pub(super) fn softmax(mask: Mask) -> Result<Core> {
    let mechanism = backward::find("softmax")
        .ok_or_else(|| Error::value("attention with a backward pass", "softmax", "one of the list"))?;
    Ok(Core { mechanism, mask, piece: Piece::None })
}
