//! One layer of an encoder-decoder's decoder: causal attention of the target, attention over the source, and a feed-forward
//! network, each in its residual.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use super::attention::{Attention, Context, KeysAndValues};
use super::config::EncoderConfig;
use super::encoder_layer::{Stream, missing_p};
use super::feed_forward::FeedForward;
use super::luna::{LunaAttention, LunaBlock, LunaBlockGradients, Packed, Streams};
use super::luna_causal::{CausalLunaAttention, CausalState};
use super::mechanism::Mechanism;
use super::pass::{Backward, Pass, Tape};
use super::residual::Residual;
use super::weights::Layout;
use crate::Result;
use crate::attention::luna_causal::Weight;
use crate::attention::{Mask, Past};
use crate::error::Error;

/// A Transformer's layer (Vaswani et al. 2017), or Luna's (`LunaDecoderLayer` of its authors).
#[derive(Clone, Copy, Debug)]
pub struct DecoderLayer {
    attention: DecoderAttention,
    around_own: Residual,
    around_cross: Residual,
    feed_forward: FeedForward,
    around_feed_forward: Residual,
}

/// How the target reads itself, and the source.
#[derive(Clone, Copy, Debug)]
enum DecoderAttention {
    Softmax {
        own: Attention,
        cross: Attention,
    },
    /// By a P that follows from the source alone: no row of the target enters it, which keeps the layer causal. The causal
    /// attention reads P without a norm.
    Luna {
        own: CausalLunaAttention,
        cross: LunaBlock,
    },
}

/// What one layer remembers of a source and of the target's rows so far.
#[derive(Clone, Debug)]
pub(crate) enum DecoderLayerState {
    /// Keys and values of every row; those of the source are shared by all clones.
    Softmax(Vec<Box<dyn Past>>, Arc<KeysAndValues>),
    /// Running sums; the packed source is shared by all clones.
    Luna(CausalState, Arc<Packed>),
}

/// Arrays of one layer that are dropped from.
pub(crate) const SITES: usize = 5;

impl DecoderLayer {
    /// Declares a layer's tensors under `layers.AT.`, after the prefix of all: `self_attn`, `self_attn_layer_norm`,
    /// `encoder_attn`, `encoder_attn_layer_norm`, `encoder_atten_proj_layer_norm` (the Luna authors' spelling), `fc1`,
    /// `fc2`, `final_layer_norm`.
    ///
    /// The layer is Luna's where there is a `weight` for its causal attention; `site` is the number of its first array
    /// that is dropped from.
    pub fn declare(
        layout: &mut Layout,
        prefix: &str,
        config: &EncoderConfig,
        weight: Option<Weight>,
        at: usize,
        site: usize,
    ) -> Self {
        let EncoderConfig { d, heads, pre_norm, .. } = *config;
        let layer = format!("{prefix}layers.{at}.");
        let (own, cross) = (format!("{layer}self_attn"), format!("{layer}encoder_attn"));
        let residual = |layout: &mut Layout, name: &str, site: usize| {
            Residual::declare(layout, &format!("{layer}{name}"), d, pre_norm, site)
        };
        let tied = matches!(config.mechanism, Mechanism::Luna { tied: true, .. });
        let (attention, around_own, around_cross) = match weight {
            None => {
                let softmax = Mechanism::Softmax;
                let own = Attention::declare(layout, &own, [d, heads], softmax, Mask::Causal);
                let around_own = residual(layout, "self_attn_layer_norm", site);
                let cross = Attention::declare(layout, &cross, [d, heads], softmax, Mask::Full);
                let around_cross = residual(layout, "encoder_attn_layer_norm", site + 1);
                (DecoderAttention::Softmax { own, cross }, around_own, around_cross)
            }
            Some(weight) => {
                let own = CausalLunaAttention::declare(layout, &own, [d, heads], weight, tied);
                let around_own = residual(layout, "self_attn_layer_norm", site);
                let attention = LunaAttention::declare(layout, &cross, d, [heads; 2], tied);
                let around_cross = residual(layout, "encoder_attn_layer_norm", site + 1);
                let around_p = Some(residual(layout, "encoder_atten_proj_layer_norm", site + 2));
                let cross = LunaBlock { attention, around_p };
                (DecoderAttention::Luna { own, cross }, around_own, around_cross)
            }
        };
        let feed_forward =
            FeedForward::declare(layout, &layer, [d, config.ffn, d], config.activation, site + 3);
        let around_feed_forward = residual(layout, "final_layer_norm", site + 4);
        Self { attention, around_own, around_cross, feed_forward, around_feed_forward }
    }

    /// The next layer's input, of the target's stream and the encoder's output.
    pub fn forward(
        &self,
        pass: Pass<'_>,
        stream: Stream,
        streams: Streams<'_>,
        source: Context<'_>,
        mut tape: Option<&mut Tape>,
    ) -> Result<Stream> {
        let Stream { x, p } = stream;
        let x = self.around_own.forward(pass, x, tape.as_deref_mut(), |input, tape| {
            match (&self.attention, &p) {
                (DecoderAttention::Softmax { own, .. }, _) => own.forward(pass, input, streams.x, None, tape),
                (DecoderAttention::Luna { own, .. }, Some(p)) => {
                    own.forward(pass, (input, p.view()), streams.x, Some(streams.p), tape)
                }
                (DecoderAttention::Luna { .. }, None) => Err(missing_p()),
            }
        })?;
        let mut next_p = None;
        let x = self.around_cross.forward(pass, x, tape.as_deref_mut(), |input, tape| {
            match (&self.attention, p) {
                (DecoderAttention::Softmax { cross, .. }, _) => {
                    cross.forward(pass, input, streams.x, Some(source), tape)
                }
                (DecoderAttention::Luna { cross, .. }, Some(p)) => {
                    let y;
                    (y, next_p) = cross.forward(pass, input, p, streams, Some(source), tape)?;
                    Ok(y)
                }
                (DecoderAttention::Luna { .. }, None) => Err(missing_p()),
            }
        })?;
        Ok(Stream { x: self.feed(pass, x, tape)?, p: next_p })
    }

    /// The feed-forward network in its residual.
    fn feed(&self, pass: Pass<'_>, x: Array2<f32>, tape: Option<&mut Tape>) -> Result<Array2<f32>> {
        self.around_feed_forward
            .forward(pass, x, tape, |input, tape| Ok(self.feed_forward.forward(pass, input, tape)))
    }

    /// The gradient of the layer's input under that of its output (a missing one of P is zeros); adds that of the source
    /// to `d_source`.
    pub(crate) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        d_out: Stream,
        streams: Streams<'_>,
        (source, d_source): (Context<'_>, &mut Array2<f32>),
    ) -> Result<Stream> {
        let Stream { x: d_x, p: d_p } = d_out;
        let d_x = self.around_feed_forward.backward(back, tape, d_x, |back, tape, input, dy| {
            Ok(self.feed_forward.backward(back, tape, input, dy))
        })?;
        let mut of_p = None;
        let context = Some((source, d_source));
        let d_x =
            self.around_cross.backward(back, tape, d_x, |back, tape, input, dy| match &self.attention {
                DecoderAttention::Softmax { cross, .. } => {
                    cross.backward(back, tape, (input, streams.x), context, dy)
                }
                DecoderAttention::Luna { cross, .. } => {
                    let LunaBlockGradients { input, p, given_p } =
                        cross.backward(back, tape, (input, dy), d_p, streams, context)?;
                    of_p = Some((given_p, p));
                    Ok(input)
                }
            })?;
        let mut dp = None;
        let x = self.around_own.backward(back, tape, d_x, |back, tape, input, dy| {
            match (&self.attention, of_p) {
                (DecoderAttention::Softmax { own, .. }, _) => {
                    own.backward(back, tape, (input, streams.x), None, dy)
                }
                (DecoderAttention::Luna { own, .. }, Some((p, mut d))) => {
                    let both = (input, p.view());
                    let (d_input, d_read) = own.backward(back, tape, both, streams.x, Some(streams.p), dy)?;
                    d += &d_read;
                    dp = Some(d);
                    Ok(d_input)
                }
                (DecoderAttention::Luna { .. }, None) => Err(missing_p()),
            }
        })?;
        Ok(Stream { x, p: dp })
    }

    /// The state before a target's first row, of the encoder's output (m, d) and P, and the next layer's P.
    pub(crate) fn start(
        &self,
        pass: Pass<'_>,
        p: Option<Array2<f32>>,
        source: ArrayView2<'_, f32>,
    ) -> Result<(DecoderLayerState, Option<Array2<f32>>)> {
        match (&self.attention, p) {
            (DecoderAttention::Softmax { own, cross }, _) => {
                let source = Arc::new(cross.prepare(pass, source));
                Ok((DecoderLayerState::Softmax(own.start()?, source), None))
            }
            (DecoderAttention::Luna { own, cross }, Some(p)) => {
                let sums = own.start(pass, p.view());
                let (packed, next) = cross.pack(pass, p, source)?;
                Ok((DecoderLayerState::Luna(sums, Arc::new(packed)), next))
            }
            (DecoderAttention::Luna { .. }, None) => Err(missing_p()),
        }
    }

    /// The next row of each state: (b, d) to (b, d). States of one source that follow each other read it together.
    pub(crate) fn step(
        &self,
        pass: Pass<'_>,
        states: &mut [&mut DecoderLayerState],
        x: Array2<f32>,
    ) -> Result<Array2<f32>> {
        let foreign = || Error::value("state of a layer", "another's", "one that its start gave");
        let x = self.around_own.forward(pass, x, None, |input, _| match &self.attention {
            DecoderAttention::Softmax { own, .. } => {
                let pasts = states.iter_mut().filter_map(|state| match &mut **state {
                    DecoderLayerState::Softmax(pasts, _) => Some(&mut pasts[..]),
                    DecoderLayerState::Luna(..) => None,
                });
                Ok(own.step(pass, pasts, input))
            }
            DecoderAttention::Luna { own, .. } => {
                let sums = states.iter_mut().filter_map(|state| match &mut **state {
                    DecoderLayerState::Luna(sums, _) => Some(sums),
                    DecoderLayerState::Softmax(..) => None,
                });
                Ok(own.step(pass, sums, input))
            }
        })?;
        let x = self.around_cross.forward(pass, x, None, |input, _| {
            let (mut read, mut first) = (Vec::new(), 0);
            for same in states.chunk_by(|a, b| a.same_source(b)) {
                let rows = input.slice(s![first..first + same.len(), ..]);
                read.push(match (&self.attention, &*same[0]) {
                    (DecoderAttention::Softmax { cross, .. }, DecoderLayerState::Softmax(_, source)) => {
                        cross.read(pass, rows, source)?
                    }
                    (DecoderAttention::Luna { cross, .. }, DecoderLayerState::Luna(_, packed)) => {
                        cross.attention.unpack(pass, rows, packed)?
                    }
                    _ => return Err(foreign()),
                });
                first += same.len();
            }
            let views: Vec<_> = read.iter().map(|rows| rows.view()).collect();
            concatenate(Axis(0), &views).map_err(|error| Error::malformed("rows", error, "1 row or more"))
        })?;
        self.feed(pass, x, None)
    }
}

impl DecoderLayerState {
    fn same_source(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Softmax(_, a), Self::Softmax(_, b)) => Arc::ptr_eq(a, b),
            (Self::Luna(_, a), Self::Luna(_, b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}
