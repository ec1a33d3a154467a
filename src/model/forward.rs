//! The forward pass: embeddings, layers, final norm. Hidden states are f32.

use ndarray::{Array1, Array2, ArrayView3, ArrayViewMut2, Axis, CowArray, Ix1, s};

use super::config::{Arrangement, ModelConfig, Position, QueryKeyNorm};
use super::family::Role;
use super::heads::{Heads, LayerTerms};
use super::linear::Linear;
use super::load::Store;
use super::norm::normalise;
use super::observe::Observer;
use super::substitute::Substitute;
use super::{ModelInput, bias, experts};
use crate::Result;

const ATTN: (Role, Role) = (Role::AttnGain, Role::AttnShift);
const FFN: (Role, Role) = (Role::FfnGain, Role::FfnShift);

/// What a layer's heads are multiplied by, shape (h `d_h`, d).
pub(super) fn output_weight(store: &Store, layer: usize) -> Result<Array2<f32>> {
    Ok(Linear::load(store, (Role::O, Role::NoBias), layer, store.family().input_first)?.weight().to_owned())
}

/// A forward pass of a model.
pub(super) struct Pass<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) store: &'a Store,
    pub(super) substitute: Option<&'a dyn Substitute>,
}

impl Pass<'_> {
    /// Runs the model over what it reads; `None` if the observer ended the pass early.
    pub(super) fn over(
        &self,
        input: ModelInput<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Array2<f32>>> {
        self.layers(0, self.embed(input)?, observer)
    }

    /// The layers from this one on, and what follows the last; `None` if the observer ended the pass early.
    pub(super) fn layers(
        &self,
        first: usize,
        mut x: Array2<f32>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Array2<f32>>> {
        for layer in first..self.config.layers {
            observer.hidden(layer, &x)?;
            let last = observer.last_layer() == Some(layer);
            if !self.layer(layer, &mut x, observer, last)? {
                return Ok(None);
            }
        }
        if self.has_norm(Role::FinalGain, 0) {
            self.norm(&mut x, (Role::FinalGain, Role::FinalShift), 0)?;
        }
        if self.store.has(Role::ProjectOut, 0) {
            x = self.linear((Role::ProjectOut, Role::NoBias), 0)?.apply(&x);
        }
        Ok(Some(x))
    }

    /// What the model reads as vectors, shape (n, d), with learned positions and the first segment if the model has them.
    fn embed(&self, input: ModelInput<'_>) -> Result<Array2<f32>> {
        let mut x = match input {
            ModelInput::Tokens(ids) => self.tokens(ids)?,
            ModelInput::Pixels(pixels) => self.patches(pixels)?,
        };
        if self.config.segments > 0 {
            x += &self.store.rows(Role::Segment, &[0])?;
        }
        if self.store.has(Role::EmbedGain, 0) {
            self.norm(&mut x, (Role::EmbedGain, Role::EmbedShift), 0)?;
        }
        if self.store.has(Role::EmbedProject, 0) {
            x = self.linear((Role::EmbedProject, Role::EmbedProjectBias), 0)?.apply(&x);
        }
        Ok(x)
    }

    fn tokens(&self, ids: &[u32]) -> Result<Array2<f32>> {
        let tokens: Vec<usize> = ids.iter().map(|id| *id as usize).collect();
        let mut x = self.store.rows(Role::Token, &tokens)?;
        if self.config.embedding_scale != 1.0 {
            x *= self.config.embedding_scale as f32;
        }
        if let Some(mask) = self.config.token_dropout {
            drop_tokens(&mut x, ids, mask);
        }
        if self.store.has(Role::ProjectIn, 0) {
            x = self.linear((Role::ProjectIn, Role::NoBias), 0)?.apply(&x);
        }
        if let Position::Learned { offset, padding } = self.config.position {
            x += &self.store.rows(Role::Position, &positions(&tokens, offset, padding))?;
        }
        Ok(x)
    }

    /// The patches of an image, row by row, behind the learned vectors that stand before them.
    fn patches(&self, pixels: ArrayView3<'_, f32>) -> Result<Array2<f32>> {
        let Some(image) = self.config.image else { return self.tokens(&[]) };
        let linear = self.linear((Role::Patch, Role::PatchBias), 0)?;
        let patches = linear.apply(&image.patches(pixels));
        let mut x = Array2::zeros((image.before + patches.nrows(), self.config.d));
        for (mut row, role) in
            x.rows_mut().into_iter().zip([Role::Class, Role::Distillation]).take(image.before)
        {
            row.assign(&self.store.vector(role, 0)?);
        }
        x.slice_mut(s![image.before.., ..]).assign(&patches);
        x += &self.store.rows(Role::Position, &(0..x.nrows()).collect::<Vec<_>>())?;
        Ok(x)
    }

    /// One layer in place; false if the pass ends with its heads.
    fn layer(
        &self,
        layer: usize,
        x: &mut Array2<f32>,
        observer: &mut dyn Observer,
        last: bool,
    ) -> Result<bool> {
        let after = self.config.arrangement == Arrangement::NormAfter;
        let parallel = self.config.arrangement == Arrangement::Parallel;
        let input = if after { None } else { self.normed(x, ATTN, layer)? };
        let heads = self.project(layer, input.as_ref().unwrap_or(x))?;
        let watches = observer.wants_layer(layer);
        let substitute = self.substitute.filter(|substitute| substitute.replaces(layer));
        let attended = if watches || substitute.is_some() {
            heads.observe(watches.then_some(observer), substitute, !last)?
        } else {
            (!last).then(|| heads.attend())
        };
        let Some(attended) = attended else { return Ok(false) };
        drop(heads);
        // Of parallel residuals the feed-forward network reads the layer's input, by a norm of its own or by the same.
        let beside = if parallel { self.normed(x, FFN, layer)?.or(input) } else { None };
        self.add(x, Role::AttnScale, (Role::AttnOutGain, Role::AttnOutShift), layer, |to| {
            self.linear((Role::O, Role::OBias), layer)?.add_to(to, &attended);
            Ok(())
        })?;
        let input = match beside {
            Some(beside) => Some(beside),
            None if after => {
                self.norm(x, ATTN, layer)?;
                None
            }
            None => self.normed(x, FFN, layer)?,
        };
        let input = input.unwrap_or_else(|| x.clone());
        self.add(x, Role::FfnScale, (Role::FfnOutGain, Role::FfnOutShift), layer, |to| {
            self.feed_forward(layer, to, &input)
        })?;
        if after {
            self.norm(x, FFN, layer)?;
        }
        Ok(true)
    }

    /// Adds the output of a block to x: as it is, normalised first, or times a learned vector, as the model has it.
    fn add(
        &self,
        x: &mut Array2<f32>,
        scale: Role,
        norm: (Role, Role),
        layer: usize,
        block: impl FnOnce(ArrayViewMut2<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        let (normed, scaled) = (self.store.has(norm.0, layer), self.store.vector_if(scale, layer)?);
        if !normed && scaled.is_none() {
            return block(x.view_mut());
        }
        let mut out = Array2::zeros(x.raw_dim());
        block(out.view_mut())?;
        if normed {
            self.norm(&mut out, norm, layer)?;
        }
        if let Some(scale) = scaled {
            out *= &scale;
        }
        *x += &out;
        Ok(())
    }

    /// Queries, keys and values of a layer's input: normalised and rotated by their positions where the model does that.
    fn project(&self, layer: usize, input: &Array2<f32>) -> Result<Heads> {
        let ModelConfig { heads, kv_heads, d_h, causal, .. } = *self.config;
        let (q, k) = (heads * d_h, kv_heads * d_h);
        let mut qkv = Array2::zeros((input.nrows(), q + 2 * k));
        if self.store.has(Role::Qkv, layer) {
            self.linear((Role::Qkv, Role::QkvBias), layer)?.apply_into(input, qkv.view_mut());
        } else if self.store.has(Role::QkvByHead, layer) {
            let by_head = self.linear((Role::QkvByHead, Role::QkvByHeadBias), layer)?.apply(input);
            for (at, block) in by_head.axis_chunks_iter(Axis(1), d_h).enumerate() {
                // Block at: the query, key or value (at % 3) of head at / 3.
                let first = (at % 3 * heads + at / 3) * d_h;
                qkv.slice_mut(s![.., first..first + d_h]).assign(&block);
            }
        } else {
            let mut at = 0;
            for roles in [(Role::Q, Role::QBias), (Role::K, Role::KBias), (Role::V, Role::VBias)] {
                let linear = self.linear(roles, layer)?;
                let end = at + linear.outputs();
                linear.apply_into(input, qkv.slice_mut(s![.., at..end]));
                at = end;
            }
        }
        if let Some(clip) = self.config.clip {
            qkv.mapv_inplace(|x| x.clamp(-clip as f32, clip as f32));
        }
        if let Some(over) = self.config.query_key_norm {
            for (role, part) in [(Role::QGain, 0..q), (Role::KGain, q..q + k)] {
                let width = if over == QueryKeyNorm::Head { d_h } else { part.len() };
                let gain = self.gain(role, layer)?;
                for mut head in qkv.slice_mut(s![.., part]).axis_chunks_iter_mut(Axis(1), width) {
                    normalise(self.config.norm, head.view_mut(), gain.view(), None, self.config.eps);
                }
            }
        }
        if let Some(rope) = self.config.rope(layer) {
            let frequencies = match self.store.vector_if(Role::Frequencies, 0)? {
                Some(stored) => stored.iter().map(|x| f64::from(*x)).collect(),
                None => rope.frequencies(input.nrows()),
            };
            rope.rotate(qkv.slice_mut(s![.., ..q + k]), d_h, &frequencies);
        }
        let terms = self.terms(layer, input.nrows())?;
        Ok(Heads { qkv, layer, heads, kv_heads, d_h, scale: self.config.scale(layer), causal, terms })
    }

    /// What changes the logits of a layer's heads over n positions.
    fn terms(&self, layer: usize, n: usize) -> Result<LayerTerms> {
        let biases = match &self.config.position {
            Position::Slopes(slopes) => Some(slopes.iter().map(|slope| bias::sloped(*slope, n)).collect()),
            Position::Buckets { buckets, furthest } => {
                let table = self.store.matrix(Role::RelativeBias, 0)?;
                let of = |head| bias::bucketed(table.column(head), *buckets, *furthest, n);
                Some((0..self.config.heads).map(of).collect())
            }
            Position::None | Position::Learned { .. } | Position::Rotary(_) => None,
        };
        let sinks = self.store.vector_if(Role::Sinks, layer)?.map(|sinks| sinks.to_vec());
        let softcap = self.config.softcap.map(|cap| cap as f32);
        Ok(LayerTerms { softcap, window: self.config.window_over(layer, n), biases, sinks })
    }

    /// `to += down(activation(up(input)))`, gated if the model is.
    fn feed_forward(&self, layer: usize, to: ArrayViewMut2<'_, f32>, input: &Array2<f32>) -> Result<()> {
        if let Some(experts) = self.config.experts {
            return experts::add_to(self.store, experts, layer, to, input);
        }
        let activation = self.config.activation;
        let inner = if self.store.has(Role::GateUp, layer) {
            let both = self.linear((Role::GateUp, Role::GateUpBias), layer)?.apply(input);
            let (gate, up) = both.view().split_at(Axis(1), both.ncols() / 2);
            let mut gate = gate.to_owned();
            activation.apply(&mut gate);
            gate *= &up;
            gate
        } else if self.config.gated {
            let mut gate = self.linear((Role::Gate, Role::GateBias), layer)?.apply(input);
            activation.apply(&mut gate);
            gate *= &self.linear((Role::Up, Role::UpBias), layer)?.apply(input);
            gate
        } else {
            let mut up = self.linear((Role::Up, Role::UpBias), layer)?.apply(input);
            activation.apply(&mut up);
            up
        };
        self.linear((Role::Down, Role::DownBias), layer)?.add_to(to, &inner);
        Ok(())
    }

    fn linear(&self, roles: (Role, Role), layer: usize) -> Result<Linear<'_>> {
        Linear::load(self.store, roles, layer, self.store.family().input_first)
    }

    /// Whether the model has a norm, by the role of its weight.
    fn has_norm(&self, gain: Role, layer: usize) -> bool {
        let ModelConfig { norm_weights, final_norm, .. } = *self.config;
        let without_weight = match gain {
            Role::AttnGain | Role::FfnGain => !norm_weights,
            Role::FinalGain => !norm_weights && final_norm,
            _ => false,
        };
        without_weight || self.store.has(gain, layer)
    }

    /// x normalised; `None` if the model has no such norm.
    fn normed(&self, x: &Array2<f32>, roles: (Role, Role), layer: usize) -> Result<Option<Array2<f32>>> {
        if !self.has_norm(roles.0, layer) {
            return Ok(None);
        }
        let mut x = x.clone();
        self.norm(&mut x, roles, layer)?;
        Ok(Some(x))
    }

    fn norm(&self, x: &mut Array2<f32>, (gain, shift): (Role, Role), layer: usize) -> Result<()> {
        let gain = self.gain(gain, layer)?;
        let shift = self.store.vector_if(shift, layer)?;
        normalise(
            self.config.norm,
            x.view_mut(),
            gain.view(),
            shift.as_ref().map(|shift| shift.view()),
            self.config.eps,
        );
        Ok(())
    }

    /// What a norm multiplies by.
    fn gain(&self, role: Role, layer: usize) -> Result<CowArray<'_, f32, Ix1>> {
        if !self.config.norm_weights {
            return Ok(Array1::ones(self.config.d).into());
        }
        let weight = self.store.vector(role, layer)?;
        Ok(if self.config.gain_from_one { (&weight + 1.0).into() } else { weight })
    }
}

/// Zeros for masked tokens, and the others scaled to the share of masked tokens in training, 15 % of which 80 % were
/// masked (ESM-2).
fn drop_tokens(x: &mut Array2<f32>, ids: &[u32], mask: u32) {
    const TRAINING: f64 = 0.15 * 0.8;
    let masked = ids.iter().filter(|id| **id == mask).count() as f64 / ids.len() as f64;
    for (mut row, _) in x.rows_mut().into_iter().zip(ids).filter(|(_, id)| **id == mask) {
        row.fill(0.0);
    }
    *x *= ((1.0 - TRAINING) / (1.0 - masked)) as f32;
}

/// Rows of the position table. `RoBERTa` counts from the row after that of its padding token, which has its own row.
fn positions(tokens: &[usize], offset: usize, padding: Option<usize>) -> Vec<usize> {
    let Some(padding) = padding else { return (offset..offset + tokens.len()).collect() };
    let mut next = padding;
    let position = |token: &usize| {
        if *token == padding {
            padding
        } else {
            next += 1;
            next
        }
    };
    tokens.iter().map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn padding_takes_no_position() {
        assert_eq!(positions(&[5, 1, 7], 0, None), [0, 1, 2]);
        assert_eq!(positions(&[5, 1, 7], 2, None), [2, 3, 4]);
        assert_eq!(positions(&[5, 1, 7, 1], 0, Some(1)), [2, 1, 3, 1]);
    }
}
