//! Luna's layers that its authors' encoder does not have: with a P of the layer's own, and causal without an encoder.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::EncoderConfig;
use super::attention::Batch;
use super::tensors::P;
use crate::Result;
use crate::model::linear::Count;
use crate::model::luna::{FeedForward, LayerNorm, Look, LunaAttention, LunaCausalAttention, Named, Padding};

/// Luna attention by a P that is the layer's alone and read as it is; what is packed goes no further.
pub(super) struct OwnP {
    attention: LunaAttention,
    p: Array2<f32>,
    blocks: Blocks,
}

/// Causal Luna attention by a P that no layer changes.
pub(super) struct Causal {
    pub(super) attention: LunaCausalAttention,
    /// As all layers share it, or the layer's own.
    pub(super) p: Arc<Array2<f32>>,
    pub(super) blocks: Blocks,
}

/// What stands around the attention: its norm, and the feed-forward block.
pub(super) struct Blocks {
    pub(super) norm: LayerNorm,
    pub(super) feed_forward: FeedForward,
    pub(super) pre_norm: bool,
}

impl Blocks {
    /// Reads `self_attn_layer_norm`, `fc1`, `fc2` and `final_layer_norm`.
    pub(super) fn load(named: &Named, config: &EncoderConfig) -> Result<Self> {
        let layer = config.luna_layer();
        Ok(Self {
            norm: LayerNorm::load(named, "self_attn_layer_norm", config.d, layer.eps)?,
            feed_forward: FeedForward::load(named, &layer)?,
            pre_norm: config.pre_norm,
        })
    }

    /// What follows the attention's residual: its norm if that stands behind, and the feed-forward block.
    pub(super) fn behind(&self, mut x: ArrayViewMut2<'_, f32>, count: Count<'_>) {
        self.norm.behind(self.pre_norm, x.view_mut());
        self.feed_forward.run(x, count);
    }
}

impl OwnP {
    pub(super) fn load(named: &Named, config: &EncoderConfig) -> Result<Self> {
        Ok(Self {
            attention: LunaAttention::load(&named.within("self_attn"), &config.luna_layer())?,
            p: named.matrix(P, (config.own_p(), config.d))?,
            blocks: Blocks::load(named, config)?,
        })
    }

    /// Every head at work on one sequence (n, d).
    pub(super) fn look(&self, x: ArrayView2<'_, f32>) -> Result<Vec<Look>> {
        let query = self.blocks.norm.before(self.blocks.pre_norm, x);
        let p = self.p.slice(s![..self.p.nrows().min(query.nrows()), ..]);
        self.attention.look(query.view(), p)
    }

    /// One sequence (n, d) in place, of which so many rows are real.
    pub(super) fn run(&self, mut x: ArrayViewMut2<'_, f32>, real: usize, count: Count<'_>) -> Result<()> {
        let Blocks { norm, pre_norm, .. } = &self.blocks;
        let n = x.nrows();
        let p = self.p.slice(s![..self.p.nrows().min(n), ..]);
        let hidden = |rows: usize| (real < n).then(|| Padding::dynamic(rows, real));
        let (context, rows) = (hidden(n), hidden(p.nrows()));
        let padding = Padding { context: context.as_deref(), p: rows.as_deref() };
        let read = {
            let query = norm.before(*pre_norm, x.view());
            let packed = self.attention.pack_counted(p, query.view(), padding, count)?;
            self.attention.read(query.view(), &packed, count)?
        };
        self.attention.add(x.view_mut(), &read, count);
        drop(read); // before the feed-forward network takes its own
        self.blocks.behind(x, count);
        Ok(())
    }
}

impl Causal {
    /// With the P that all layers share, or the layer's own where there is none.
    pub(super) fn load(named: &Named, config: &EncoderConfig, p: Option<&Arc<Array2<f32>>>) -> Result<Self> {
        let p = match p {
            Some(p) => Arc::clone(p),
            None => Arc::new(named.matrix(P, (config.mechanism.p_rows(), config.d))?),
        };
        let attention = LunaCausalAttention::load(&named.within("self_attn"), &config.luna_layer())?;
        Ok(Self { attention, p, blocks: Blocks::load(named, config)? })
    }

    /// Every head at work on one sequence (n, d).
    pub(super) fn look(&self, x: ArrayView2<'_, f32>) -> Result<Vec<Look>> {
        let input = self.blocks.norm.before(self.blocks.pre_norm, x);
        self.attention.look(input.view(), self.p.view())
    }

    /// Rows (b n, d) in place.
    pub(super) fn run(
        &self,
        mut x: ArrayViewMut2<'_, f32>,
        batch: Batch<'_>,
        count: Count<'_>,
    ) -> Result<()> {
        let Blocks { norm, pre_norm, .. } = &self.blocks;
        let input = norm.before(*pre_norm, x.view());
        let real = |sequence: usize| batch.real(sequence);
        let read = self.attention.read(input.view(), self.p.view(), batch.n, &real, count)?;
        drop(input);
        self.attention.add(x.view_mut(), &read, count);
        drop(read); // before the feed-forward network takes its own
        self.blocks.behind(x, count);
        Ok(())
    }
}
