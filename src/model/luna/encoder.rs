//! Luna's encoder: `LunaEncoderLayer`, and a stack of them.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::feed_forward::FeedForward;
use super::layer_norm::LayerNorm;
use super::{LayerConfig, Look, LunaAttention, Named, Padding};
use crate::Result;
use crate::model::linear::Count;

/// One layer: Luna attention of X and P over X, residuals and norms on both streams, feed-forward network on X only.
pub struct LunaEncoderLayer {
    attention: LunaAttention,
    x_norm: LayerNorm,
    p_norm: LayerNorm,
    feed_forward: FeedForward,
    pre_norm: bool,
}

impl LunaEncoderLayer {
    /// Reads `self_attn`, `self_attn_layer_norm`, `self_atten_proj_layer_norm` (the authors' spelling), `fc1`, `fc2`
    /// and `final_layer_norm`.
    pub fn load(named: &Named, config: &LayerConfig) -> Result<Self> {
        let LayerConfig { d, pre_norm, eps, .. } = *config;
        Ok(Self {
            attention: LunaAttention::load(&named.within("self_attn"), config)?,
            x_norm: LayerNorm::load(named, "self_attn_layer_norm", d, eps)?,
            p_norm: LayerNorm::load(named, "self_atten_proj_layer_norm", d, eps)?,
            feed_forward: FeedForward::load(named, config)?,
            pre_norm,
        })
    }

    /// x (n, d) and p (l, d) for the next layer; `padding.context` is that of x.
    pub fn forward(
        &self,
        mut x: Array2<f32>,
        mut p: Array2<f32>,
        padding: Padding<'_>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        self.run(x.view_mut(), p.view_mut(), padding, None)?;
        Ok((x, p))
    }

    /// Every head at work on x (n, d) and p (l, d), as they come to this layer.
    pub(in crate::model) fn look(&self, x: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Vec<Look>> {
        let query = self.x_norm.before(self.pre_norm, x);
        let pack_query = self.p_norm.before(self.pre_norm, p);
        self.attention.look(query.view(), pack_query.view())
    }

    /// As [`forward`](Self::forward), in place, and counts.
    pub(in crate::model) fn run(
        &self,
        mut x: ArrayViewMut2<'_, f32>,
        mut p: ArrayViewMut2<'_, f32>,
        padding: Padding<'_>,
        count: Count<'_>,
    ) -> Result<()> {
        let (packed, read) = {
            let query = self.x_norm.before(self.pre_norm, x.view());
            let pack_query = self.p_norm.before(self.pre_norm, p.view());
            let packed = self.attention.pack_counted(pack_query.view(), query.view(), padding, count)?;
            let read = self.attention.read(query.view(), &packed, count)?;
            (packed, read)
        };
        self.attention.add(x.view_mut(), &read, count);
        drop(read); // before the feed-forward network takes its own
        self.x_norm.behind(self.pre_norm, x.view_mut());
        p += &packed.y_p;
        drop(packed);
        self.p_norm.behind(self.pre_norm, p);
        self.feed_forward.run(x, count);
        Ok(())
    }
}

/// A stack of layers; if norms stand before blocks, with a last norm for each stream.
pub struct LunaEncoder {
    layers: Vec<LunaEncoderLayer>,
    last: Option<(LayerNorm, LayerNorm)>,
}

impl LunaEncoder {
    /// Reads `layers.0` to `layers.COUNT-1`, and `layer_norm` and `proj_layer_norm` if norms stand before blocks.
    pub fn load(named: &Named, config: &LayerConfig, layers: usize) -> Result<Self> {
        let all = named.within("layers");
        let layer = |at: usize| LunaEncoderLayer::load(&all.within(&at.to_string()), config);
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_>>()?, last: last_norms(named, config)? })
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[LunaEncoderLayer] {
        &self.layers
    }

    /// The encoded x (n, d), and the last P (l, d), which a decoder starts from.
    pub fn forward(
        &self,
        mut x: Array2<f32>,
        mut p: Array2<f32>,
        padding: Padding<'_>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        for layer in &self.layers {
            (x, p) = layer.forward(x, p, padding)?;
        }
        if let Some((x_norm, p_norm)) = &self.last {
            x_norm.apply(x.view_mut());
            p_norm.apply(p.view_mut());
        }
        Ok((x, p))
    }
}

/// The norms of X and P behind a stack whose blocks have theirs before.
pub(super) fn last_norms(named: &Named, config: &LayerConfig) -> Result<Option<(LayerNorm, LayerNorm)>> {
    let load = |name: &str| LayerNorm::load(named, name, config.d, config.eps);
    config.pre_norm.then(|| Ok((load("layer_norm")?, load("proj_layer_norm")?))).transpose()
}
