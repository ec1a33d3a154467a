//! The Transformer's decoder, a row at a time (Vaswani et al. 2017).

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView2, s};

use super::TranslatorConfig;
use crate::Result;
use crate::attention::Past;
use crate::attention::fused::Given;
use crate::model::kernel;
use crate::model::linear::Linear;
use crate::model::luna::{FeedForward, LayerNorm, Named};

/// Causal attention of the target, attention over the source, a feed-forward network, each with its norm.
pub(super) struct Layer {
    heads: usize,
    pre_norm: bool,
    own: Projections,
    own_norm: LayerNorm,
    cross: Projections,
    cross_norm: LayerNorm,
    feed_forward: FeedForward,
}

struct Projections {
    query: Linear<'static>,
    key: Linear<'static>,
    value: Linear<'static>,
    out: Linear<'static>,
}

/// What a layer keeps between rows.
#[derive(Clone, Debug)]
pub(super) struct LayerState {
    /// Of each head.
    pasts: Vec<Past>,
    /// Keys and values of the source, (h, m, `d_h`): the same after every row.
    source: Arc<[Array3<f32>; 2]>,
}

impl Projections {
    fn load(named: &Named, d: usize) -> Result<Self> {
        let [query, key, value, out] =
            ["q_proj", "k_proj", "v_proj", "out_proj"].map(|name| named.linear(name, d, d));
        Ok(Self { query: query?, key: key?, value: value?, out: out? })
    }
}

impl Layer {
    pub(super) fn load(named: &Named, config: &TranslatorConfig) -> Result<Self> {
        let encoder = &config.encoder;
        let sizes = encoder.luna_layer();
        let norm = |name: &str| LayerNorm::load(named, name, encoder.d, sizes.eps);
        Ok(Self {
            heads: encoder.heads,
            pre_norm: encoder.pre_norm,
            own: Projections::load(&named.within("self_attn"), encoder.d)?,
            own_norm: norm("self_attn_layer_norm")?,
            cross: Projections::load(&named.within("encoder_attn"), encoder.d)?,
            cross_norm: norm("encoder_attn_layer_norm")?,
            feed_forward: FeedForward::load(named, &sizes)?,
        })
    }

    /// Before the first row, over the encoder's output (m, d).
    pub(super) fn start(&self, source: ArrayView2<'_, f32>) -> Result<LayerState> {
        let d_h = source.ncols() / self.heads;
        let pasts = (0..self.heads).map(|_| Past::new("softmax", &Given::Nothing, d_h, d_h));
        let source =
            [&self.cross.key, &self.cross.value].map(|linear| linear.heads(&source, self.heads, None));
        Ok(LayerState { pasts: pasts.collect::<Result<_>>()?, source: Arc::new(source) })
    }

    /// The next row (1, d) in place.
    pub(super) fn step(&self, state: &mut LayerState, x: &mut Array2<f32>) -> Result<()> {
        let read = {
            let input = self.own_norm.before(self.pre_norm, x.view());
            let Projections { query, key, value, .. } = &self.own;
            let [q, k, v] = [query, key, value].map(|linear| linear.heads(&input, self.heads, None));
            let scale = (1.0 / (q.dim().2 as f64).sqrt()) as f32;
            let mut read = Array3::zeros(q.raw_dim());
            for (head, past) in state.pasts.iter_mut().enumerate() {
                let of = [&q, &k, &v].map(|x| x.slice(s![head, 0, ..]));
                read.slice_mut(s![head, 0, ..]).assign(&past.push(&Given::Nothing, scale, of));
            }
            read
        };
        self.own.out.add_heads(x.view_mut(), read.view(), None);
        self.own_norm.behind(self.pre_norm, x.view_mut());
        let read = {
            let input = self.cross_norm.before(self.pre_norm, x.view());
            let q = self.cross.query.heads(&input, self.heads, None);
            let [k, v] = &*state.source;
            kernel::softmax(q.view(), k.view(), v.view(), None)?
        };
        self.cross.out.add_heads(x.view_mut(), read.view(), None);
        self.cross_norm.behind(self.pre_norm, x.view_mut());
        self.feed_forward.run(x.view_mut(), None);
        Ok(())
    }
}
