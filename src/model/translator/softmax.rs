//! The decoder of the Transformer (Vaswani et al. 2017): causal attention of the target, attention over the encoder's
//! output, feed-forward network.

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, s};

use super::TranslatorConfig;
use crate::Result;
use crate::attention::Past;
use crate::model::encoder::{Attention, Batch, EncoderConfig};
use crate::model::kernel;
use crate::model::linear::Linear;
use crate::model::luna::{FeedForward, LayerNorm, Named};

/// One layer; its norms stand before its blocks or behind them.
struct Layer {
    attention: Attention,
    norm: LayerNorm,
    cross: Cross,
    cross_norm: LayerNorm,
    feed_forward: FeedForward,
    pre_norm: bool,
    d_h: usize,
}

/// Attention of the target's rows over the encoder's.
struct Cross {
    heads: usize,
    query: Linear<'static>,
    key: Linear<'static>,
    value: Linear<'static>,
    out: Linear<'static>,
}

/// Keys and values of a source in one layer, each (h, m, `d_h`).
#[derive(Debug)]
struct Source {
    keys: Array3<f32>,
    values: Array3<f32>,
}

/// What one layer keeps between rows.
#[derive(Clone, Debug)]
struct Kept {
    pasts: Vec<Box<dyn Past>>,
    /// The same in every clone.
    source: Arc<Source>,
}

/// A stack of layers; if norms stand before blocks, with a last norm.
pub(super) struct Decoder {
    layers: Vec<Layer>,
    last: Option<LayerNorm>,
}

/// What a decoder keeps between rows.
#[derive(Clone, Debug)]
pub(super) struct SoftmaxState(Vec<Kept>);

impl Cross {
    fn load(named: &Named, d: usize, heads: usize) -> Result<Self> {
        let linear = |name: &str| named.linear(name, d, d);
        Ok(Self {
            heads,
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            out: linear("out_proj")?,
        })
    }

    /// Of the encoder's output (m, d).
    fn source(&self, context: ArrayView2<'_, f32>) -> Source {
        let [keys, values] = [&self.key, &self.value].map(|linear| linear.heads(&context, self.heads, None));
        Source { keys, values }
    }

    /// What rows (n, d) read, shape (h, n, `d_h`).
    fn read(&self, rows: ArrayView2<'_, f32>, source: &Source) -> Result<Array3<f32>> {
        let queries = self.query.heads(&rows, self.heads, None);
        kernel::softmax(queries.view(), source.keys.view(), source.values.view(), None)
    }
}

impl Layer {
    fn load(named: &Named, config: &EncoderConfig) -> Result<Self> {
        let layer = config.luna_layer();
        let norm = |name: &str| LayerNorm::load(named, name, layer.d, layer.eps);
        Ok(Self {
            attention: Attention::load(&named.within("self_attn"), config)?,
            norm: norm("self_attn_layer_norm")?,
            cross: Cross::load(&named.within("encoder_attn"), layer.d, layer.heads)?,
            cross_norm: norm("encoder_attn_layer_norm")?,
            feed_forward: FeedForward::load(named, &layer)?,
            pre_norm: config.pre_norm,
            d_h: config.head_width(),
        })
    }

    /// Rows (n, d) of a whole target in place, of the encoder's output (m, d).
    fn run(&self, mut x: ArrayViewMut2<'_, f32>, context: ArrayView2<'_, f32>) -> Result<()> {
        let read = {
            let input = self.norm.before(self.pre_norm, x.view());
            self.attention.read(input.view(), Batch { b: 1, n: x.nrows(), real: None }, None)?
        };
        self.attention.add(x.view_mut(), &read, None);
        let source = self.cross.source(context);
        self.behind(x, |query| self.cross.read(query, &source))
    }

    /// The next row of each state, shape (b, d), in place.
    fn step(&self, states: &mut [&mut Kept], mut x: ArrayViewMut2<'_, f32>) -> Result<()> {
        let read = {
            let input = self.norm.before(self.pre_norm, x.view());
            self.attention.step(states.iter_mut().map(|state| &mut state.pasts[..]), input.view())
        };
        self.attention.add(x.view_mut(), &read, None);
        let sources: Vec<&Arc<Source>> = states.iter().map(|state| &state.source).collect();
        self.behind(x, |query| {
            let (mut read, mut first) = (Array3::zeros((self.cross.heads, query.nrows(), self.d_h)), 0);
            // What has one source reads it together.
            for same in sources.chunk_by(|a, b| Arc::ptr_eq(a, b)) {
                let rows = first..first + same.len();
                let of_source = self.cross.read(query.slice(s![rows.clone(), ..]), same[0])?;
                read.slice_mut(s![.., rows, ..]).assign(&of_source);
                first += same.len();
            }
            Ok(read)
        })
    }

    /// Everything behind the causal attention's residual: rows (n, d), each by itself; `read` reads the source.
    fn behind(
        &self,
        mut x: ArrayViewMut2<'_, f32>,
        read: impl FnOnce(ArrayView2<'_, f32>) -> Result<Array3<f32>>,
    ) -> Result<()> {
        self.norm.behind(self.pre_norm, x.view_mut());
        let of_source = read(self.cross_norm.before(self.pre_norm, x.view()).view())?;
        self.cross.out.add_heads(x.view_mut(), of_source.view(), None);
        self.cross_norm.behind(self.pre_norm, x.view_mut());
        self.feed_forward.run(x, None);
        Ok(())
    }
}

impl Decoder {
    /// Reads `layers.0` to `layers.COUNT-1`, and `layer_norm` if norms stand before blocks.
    pub(super) fn load(named: &Named, config: &TranslatorConfig) -> Result<Self> {
        let of_layer = EncoderConfig { causal: true, ..config.exact() };
        let all = named.within("layers");
        let layer = |at: usize| Layer::load(&all.within(&at.to_string()), &of_layer);
        let last = || LayerNorm::load(named, "layer_norm", of_layer.d, of_layer.luna_layer().eps);
        Ok(Self {
            layers: (0..config.decoder_layers).map(layer).collect::<Result<_>>()?,
            last: of_layer.pre_norm.then(last).transpose()?,
        })
    }

    /// The decoded x (n, d) of embedded targets x (n, d) and the encoder's output (m, d).
    pub(super) fn forward(&self, mut x: Array2<f32>, context: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        for layer in &self.layers {
            layer.run(x.view_mut(), context)?;
        }
        Ok(self.end(x))
    }

    /// A state that has seen no row yet, of the encoder's output (m, d).
    pub(super) fn start(&self, context: ArrayView2<'_, f32>) -> Result<SoftmaxState> {
        let kept = |layer: &Layer| {
            let source = Arc::new(layer.cross.source(context));
            Ok(Kept { pasts: layer.attention.start(layer.d_h)?, source })
        };
        self.layers.iter().map(kept).collect::<Result<_>>().map(SoftmaxState)
    }

    /// The next row of each state: (b, d) to (b, d), as [`forward`](Self::forward) gives it.
    pub(super) fn step(&self, states: &mut [&mut SoftmaxState], mut x: Array2<f32>) -> Result<Array2<f32>> {
        for (at, layer) in self.layers.iter().enumerate() {
            let mut of_layer: Vec<&mut Kept> = states.iter_mut().map(|state| &mut state.0[at]).collect();
            layer.step(&mut of_layer, x.view_mut())?;
        }
        Ok(self.end(x))
    }

    fn end(&self, mut x: Array2<f32>) -> Array2<f32> {
        if let Some(norm) = &self.last {
            norm.apply(x.view_mut());
        }
        x
    }
}
