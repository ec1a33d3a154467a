//! The forward pass: embeddings, layers, final norm. Hidden states are f32.

use ndarray::{Array2, Axis, s};

use super::config::{Arrangement, ModelConfig, Position};
use super::family::Role;
use super::heads::Heads;
use super::linear::Linear;
use super::load::Store;
use super::norm::normalise;
use super::observe::Observer;
use super::substitute::Substitute;
use crate::Result;

/// Runs the model over checked token ids; `None` if the observer ended the pass early.
pub(super) fn forward(
    config: &ModelConfig,
    store: &Store,
    ids: &[u32],
    observer: &mut dyn Observer,
    substitute: Option<&dyn Substitute>,
) -> Result<Option<Array2<f32>>> {
    let pass = Pass { config, store, substitute };
    let mut x = pass.embed(ids)?;
    for layer in 0..config.layers {
        let last = observer.last_layer() == Some(layer);
        if !pass.layer(layer, &mut x, observer, last)? {
            return Ok(None);
        }
    }
    if store.has(Role::FinalGain, 0) {
        pass.norm(&mut x, (Role::FinalGain, Role::FinalShift), 0)?;
    }
    Ok(Some(x))
}

struct Pass<'a> {
    config: &'a ModelConfig,
    store: &'a Store,
    substitute: Option<&'a dyn Substitute>,
}

impl Pass<'_> {
    /// Token ids as vectors, shape (n, d), with learned positions and the first segment if the model has them.
    fn embed(&self, ids: &[u32]) -> Result<Array2<f32>> {
        let tokens: Vec<usize> = ids.iter().map(|id| *id as usize).collect();
        let mut x = self.store.rows(Role::Token, &tokens)?;
        if let Position::Learned { padding } = self.config.position {
            x += &self.store.rows(Role::Position, &positions(&tokens, padding))?;
        }
        if self.config.segments > 0 {
            x += &self.store.rows(Role::Segment, &[0])?;
        }
        if self.store.has(Role::EmbedGain, 0) {
            self.norm(&mut x, (Role::EmbedGain, Role::EmbedShift), 0)?;
        }
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
        let (attn, ffn) = ((Role::AttnGain, Role::AttnShift), (Role::FfnGain, Role::FfnShift));
        let before = self.config.arrangement != Arrangement::NormAfter;
        let input = if before { Some(self.normed(x, attn, layer)?) } else { None };
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
        let parallel = self.config.arrangement == Arrangement::Parallel;
        let input = if parallel { Some(self.normed(x, ffn, layer)?) } else { None };
        self.linear((Role::O, Role::OBias), layer)?.add_to(x.view_mut(), &attended);
        let input = match (self.config.arrangement, input) {
            (Arrangement::NormAfter, _) => {
                self.norm(x, attn, layer)?;
                x.clone()
            }
            (_, Some(input)) => input,
            (_, None) => self.normed(x, ffn, layer)?,
        };
        self.feed_forward(layer, x, &input)?;
        if self.config.arrangement == Arrangement::NormAfter {
            self.norm(x, ffn, layer)?;
        }
        Ok(true)
    }

    /// Queries, keys and values of a layer's input, rotated by their positions if the model has rotary positions.
    fn project(&self, layer: usize, input: &Array2<f32>) -> Result<Heads> {
        let ModelConfig { heads, kv_heads, d_h, causal, .. } = *self.config;
        let mut qkv = Array2::zeros((input.nrows(), (heads + 2 * kv_heads) * d_h));
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
        if let Some(rope) = self.config.rope() {
            rope.rotate(qkv.slice_mut(s![.., ..(heads + kv_heads) * d_h]), d_h);
        }
        Ok(Heads { qkv, layer, heads, kv_heads, d_h, scale: self.config.scale(layer), causal })
    }

    /// `x += down(activation(up(input)))`, gated if the model is.
    fn feed_forward(&self, layer: usize, x: &mut Array2<f32>, input: &Array2<f32>) -> Result<()> {
        let up = self.linear((Role::Up, Role::UpBias), layer)?.apply(input);
        let inner = if self.config.gated {
            let mut gate = self.linear((Role::Gate, Role::GateBias), layer)?.apply(input);
            self.config.activation.apply(&mut gate);
            gate *= &up;
            gate
        } else {
            let mut up = up;
            self.config.activation.apply(&mut up);
            up
        };
        self.linear((Role::Down, Role::DownBias), layer)?.add_to(x.view_mut(), &inner);
        Ok(())
    }

    fn linear(&self, roles: (Role, Role), layer: usize) -> Result<Linear<'_>> {
        Linear::load(self.store, roles, layer, self.store.family().input_first)
    }

    fn normed(&self, x: &Array2<f32>, roles: (Role, Role), layer: usize) -> Result<Array2<f32>> {
        let mut x = x.clone();
        self.norm(&mut x, roles, layer)?;
        Ok(x)
    }

    fn norm(&self, x: &mut Array2<f32>, (gain, shift): (Role, Role), layer: usize) -> Result<()> {
        let gain = self.store.vector(gain, layer)?;
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
}

/// Rows of the position table. `RoBERTa` counts from the row after that of its padding token, which has its own row.
fn positions(tokens: &[usize], padding: Option<usize>) -> Vec<usize> {
    let Some(padding) = padding else { return (0..tokens.len()).collect() };
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
        assert_eq!(positions(&[5, 1, 7], None), [0, 1, 2]);
        assert_eq!(positions(&[5, 1, 7, 1], Some(1)), [2, 1, 3, 1]);
    }
}
