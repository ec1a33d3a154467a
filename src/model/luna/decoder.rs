//! Luna's decoder: `LunaDecoderLayer`, and a stack of them, over whole targets or one row at a time.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate, s};

use super::encoder::last_norms;
use super::feed_forward::FeedForward;
use super::layer_norm::LayerNorm;
use super::{CausalState, LayerConfig, LunaAttention, LunaCausalAttention, Named, Packed, Padding};
use crate::{Error, Result};

/// One layer: causal Luna attention of X (P is read as it comes, without a norm, and stays what it is), Luna attention
/// of X and P over the encoder's output, feed-forward network on X only.
///
/// P is handed to the next layer, and follows from the encoder alone: no row of the target enters it, which keeps the
/// layer causal.
pub struct LunaDecoderLayer {
    causal: LunaCausalAttention,
    causal_norm: LayerNorm,
    cross: LunaAttention,
    cross_norm: LayerNorm,
    p_norm: LayerNorm,
    feed_forward: FeedForward,
    pre_norm: bool,
}

/// What one layer keeps between rows.
#[derive(Clone, Debug)]
struct LayerState {
    causal: CausalState,
    /// The same in every clone.
    packed: Arc<Packed>,
}

impl LunaDecoderLayer {
    /// Reads `self_attn`, `self_attn_layer_norm`, `encoder_attn`, `encoder_attn_layer_norm`,
    /// `encoder_atten_proj_layer_norm` (the authors' spelling), `fc1`, `fc2` and `final_layer_norm`.
    pub fn load(named: &Named, config: &LayerConfig) -> Result<Self> {
        let norm = |name: &str| LayerNorm::load(named, name, config.d, config.eps);
        Ok(Self {
            causal: LunaCausalAttention::load(&named.within("self_attn"), config)?,
            causal_norm: norm("self_attn_layer_norm")?,
            cross: LunaAttention::load(&named.within("encoder_attn"), config)?,
            cross_norm: norm("encoder_attn_layer_norm")?,
            p_norm: norm("encoder_atten_proj_layer_norm")?,
            feed_forward: FeedForward::load(named, config)?,
            pre_norm: config.pre_norm,
        })
    }

    /// x (n, d) and p (l, d) for the next layer, of the encoder's output as context (m, d) and its padding.
    pub fn forward(
        &self,
        x: Array2<f32>,
        p: Array2<f32>,
        context: ArrayView2<'_, f32>,
        padding: Padding<'_>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        let y = {
            let input = self.causal_norm.before(self.pre_norm, x.view());
            self.causal.forward(input.view(), p.view(), padding.p)?
        };
        let (packed, p) = self.pack(p, context, padding)?;
        Ok((self.behind_causal(x, &y, |query| self.cross.unpack(query, &packed))?, p))
    }

    /// What to keep for row after row, and p for the next layer.
    fn start(
        &self,
        p: Array2<f32>,
        context: ArrayView2<'_, f32>,
        padding: Padding<'_>,
    ) -> Result<(LayerState, Array2<f32>)> {
        let causal = self.causal.start(p.view(), padding.p)?;
        let (packed, p) = self.pack(p, context, padding)?;
        Ok((LayerState { causal, packed: Arc::new(packed) }, p))
    }

    /// The next row of each state, shape (b, d).
    fn step(&self, states: &mut [&mut LayerState], x: Array2<f32>) -> Result<Array2<f32>> {
        let y = {
            let input = self.causal_norm.before(self.pre_norm, x.view());
            self.causal.step_many(states.iter_mut().map(|state| &mut state.causal), input.view())?
        };
        let packed: Vec<&Arc<Packed>> = states.iter().map(|state| &state.packed).collect();
        self.behind_causal(x, &y, |query| {
            let (mut read, mut first) = (Vec::new(), 0);
            // What has one context reads it together.
            for same in packed.chunk_by(|a, b| Arc::ptr_eq(a, b)) {
                let rows = query.slice(s![first..first + same.len(), ..]);
                read.push(self.cross.unpack(rows, same[0])?);
                first += same.len();
            }
            let views: Vec<_> = read.iter().map(|rows| rows.view()).collect();
            concatenate(Axis(0), &views).map_err(|error| Error::malformed("rows", error, "1 row or more"))
        })
    }

    /// The context packed by p, and p for the next layer.
    fn pack(
        &self,
        p: Array2<f32>,
        context: ArrayView2<'_, f32>,
        padding: Padding<'_>,
    ) -> Result<(Packed, Array2<f32>)> {
        let packed = self.cross.pack(self.p_norm.before(self.pre_norm, p.view()).view(), context, padding)?;
        let p = self.p_norm.after(self.pre_norm, p, &packed.y_p);
        Ok((packed, p))
    }

    /// Everything behind the causal attention: rows (n, d), each by itself; `unpack` reads the packed context.
    fn behind_causal(
        &self,
        x: Array2<f32>,
        y: &Array2<f32>,
        unpack: impl FnOnce(ArrayView2<'_, f32>) -> Result<Array2<f32>>,
    ) -> Result<Array2<f32>> {
        let x = self.causal_norm.after(self.pre_norm, x, y);
        let y = unpack(self.cross_norm.before(self.pre_norm, x.view()).view())?;
        Ok(self.feed_forward.apply(self.cross_norm.after(self.pre_norm, x, &y)))
    }
}

/// A stack of layers; if norms stand before blocks, with a last norm for each stream.
pub struct LunaDecoder {
    d: usize,
    layers: Vec<LunaDecoderLayer>,
    last: Option<(LayerNorm, LayerNorm)>,
}

/// What a decoder keeps between rows: as much after the thousandth as after the first. Clone it to decode on from one
/// place in several ways.
#[derive(Clone, Debug)]
pub struct DecoderState(Vec<LayerState>);

impl LunaDecoder {
    /// Reads `layers.0` to `layers.COUNT-1`, and `layer_norm` and `proj_layer_norm` if norms stand before blocks.
    pub fn load(named: &Named, config: &LayerConfig, layers: usize) -> Result<Self> {
        let all = named.within("layers");
        let layer = |at: usize| LunaDecoderLayer::load(&all.within(&at.to_string()), config);
        let layers = (0..layers).map(layer).collect::<Result<_>>()?;
        Ok(Self { d: config.d, layers, last: last_norms(named, config)? })
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[LunaDecoderLayer] {
        &self.layers
    }

    /// The decoded x (n, d), and the last P (l, d), of targets x (n, d), the encoder's P, its output as context (m, d),
    /// and its padding.
    pub fn forward(
        &self,
        mut x: Array2<f32>,
        mut p: Array2<f32>,
        context: ArrayView2<'_, f32>,
        padding: Padding<'_>,
    ) -> Result<(Array2<f32>, Array2<f32>)> {
        for layer in &self.layers {
            (x, p) = layer.forward(x, p, context, padding)?;
        }
        if let Some((x_norm, p_norm)) = &self.last {
            x_norm.apply(x.view_mut());
            p_norm.apply(p.view_mut());
        }
        Ok((x, p))
    }

    /// A state that has seen no target row yet; the context is packed here, once for each layer.
    pub fn start(
        &self,
        mut p: Array2<f32>,
        context: ArrayView2<'_, f32>,
        padding: Padding<'_>,
    ) -> Result<DecoderState> {
        let mut states = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let state;
            (state, p) = layer.start(p, context, padding)?;
            states.push(state);
        }
        Ok(DecoderState(states))
    }

    /// The next target row: (d) to (d), as [`forward`](Self::forward) gives it.
    pub fn step(&self, state: &mut DecoderState, x: ArrayView1<'_, f32>) -> Result<Array1<f32>> {
        let x = self.step_many(&mut [state], x.insert_axis(Axis(0)).to_owned())?;
        Ok(x.index_axis_move(Axis(0), 0))
    }

    /// The next target row of each state: (b, d) to (b, d), a row a state. States of one context that stand side by side
    /// read it together.
    pub fn step_many(&self, states: &mut [&mut DecoderState], mut x: Array2<f32>) -> Result<Array2<f32>> {
        if let Some(state) = states.iter().find(|state| state.0.len() != self.layers.len()) {
            let (what, found) = ("state of a decoder".to_string(), vec![state.0.len()]);
            return Err(Error::Shape { what, found, expected: format!("({} layers)", self.layers.len()) });
        }
        super::check("x", x.shape(), self.d)?;
        if x.nrows() != states.len() {
            let (what, found) = ("x".to_string(), x.shape().to_vec());
            return Err(Error::Shape {
                what,
                found,
                expected: format!("{} rows, one a state", states.len()),
            });
        }
        if states.is_empty() {
            return Ok(x);
        }
        for (at, layer) in self.layers.iter().enumerate() {
            let mut of_layer: Vec<&mut LayerState> =
                states.iter_mut().map(|state| &mut state.0[at]).collect();
            x = layer.step(&mut of_layer, x)?;
        }
        if let Some((x_norm, _)) = &self.last {
            x_norm.apply(x.view_mut());
        }
        Ok(x)
    }
}
