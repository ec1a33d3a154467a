//! One layer of an encoder-decoder's decoder: causal attention of the target, attention over the source, and a feed-forward
//! network, each in its residual.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use super::attention::{Attention, Context, KeysAndValues};
use super::config::EncoderConfig;
use super::decoder_attention::DecoderAttention;
use super::encoder_layer::{Stream, missing_p};
use super::feed_forward::FeedForward;
use super::luna::{LunaAttention, LunaBlock, LunaBlockGradients, Packed, Streams};
use super::luna_causal::{CausalLunaAttention, CausalState};
use super::mechanism::Mechanism;
use super::pass::{Backward, Pass, Tape};
use super::residual::Residual;
use super::weights::Layout;
use crate::Result;
use crate::attention::{Mask, Past};
use crate::error::Error;

/// A Transformer's layer (Vaswani et al. 2017), Luna's (`LunaDecoderLayer` of its authors), or one with one attention of
/// each.
#[derive(Clone, Copy, Debug)]
pub struct DecoderLayer {
    own: OwnAttention,
    cross: CrossAttention,
    around_own: Residual,
    around_cross: Residual,
    feed_forward: FeedForward,
    around_feed_forward: Residual,
}

/// How the target reads itself.
#[derive(Clone, Copy, Debug)]
enum OwnAttention {
    Softmax(Attention),
    /// Reads P without a norm.
    Luna(CausalLunaAttention),
}

/// How the target reads the source.
#[derive(Clone, Copy, Debug)]
enum CrossAttention {
    Softmax(Attention),
    /// By a P that follows from the source alone: no row of the target enters it, which keeps the layer causal.
    Luna(LunaBlock),
}

/// What one layer remembers of a source and of the target's rows so far.
#[derive(Clone, Debug)]
pub(crate) struct DecoderLayerState {
    own: OwnState,
    cross: CrossState,
}

#[derive(Clone, Debug)]
enum OwnState {
    /// Keys and values of every row.
    Softmax(Vec<Box<dyn Past>>),
    /// Running sums.
    Luna(CausalState),
}

/// The source, which all clones share.
#[derive(Clone, Debug)]
enum CrossState {
    Softmax(Arc<KeysAndValues>),
    Luna(Arc<Packed>),
}

/// Arrays of one layer that are dropped from.
pub(crate) const SITES: usize = 5;

impl DecoderLayer {
    /// Declares a layer's tensors under `layers.AT.`, after the prefix of all: `self_attn`, `self_attn_layer_norm`,
    /// `encoder_attn`, `encoder_attn_layer_norm`, `encoder_atten_proj_layer_norm` (the Luna authors' spelling), `fc1`,
    /// `fc2`, `final_layer_norm`.
    ///
    /// Where the source is read by softmax there is no norm of P. `site` is the number of its first array that is dropped
    /// from.
    pub fn declare(
        layout: &mut Layout,
        prefix: &str,
        config: &EncoderConfig,
        attention: DecoderAttention,
        at: usize,
        site: usize,
    ) -> Self {
        let EncoderConfig { d, heads, pre_norm, .. } = *config;
        let DecoderAttention { kind, tied, packing, .. } = attention;
        let layer = format!("{prefix}layers.{at}.");
        let (own, cross) = (format!("{layer}self_attn"), format!("{layer}encoder_attn"));
        let residual = |layout: &mut Layout, name: &str, site: usize| {
            Residual::declare(layout, &format!("{layer}{name}"), d, pre_norm, site)
        };
        let softmax = |layout: &mut Layout, name: &str, mask: Mask, site: usize| {
            Attention::declare(layout, name, [d, heads], Mechanism::Softmax, mask, site)
        };
        let own = if kind.luna_self() {
            OwnAttention::Luna(CausalLunaAttention::declare(layout, &own, [d, heads], packing, tied, site))
        } else {
            OwnAttention::Softmax(softmax(layout, &own, Mask::Causal, site))
        };
        let around_own = residual(layout, "self_attn_layer_norm", site);
        let (cross, around_cross) = if kind.luna_source() {
            let attention = LunaAttention::declare(layout, &cross, d, [heads; 2], tied, site + 1);
            let around_cross = residual(layout, "encoder_attn_layer_norm", site + 1);
            let around_p = Some(residual(layout, "encoder_atten_proj_layer_norm", site + 2));
            (CrossAttention::Luna(LunaBlock { attention, around_p }), around_cross)
        } else {
            let cross = softmax(layout, &cross, Mask::Full, site + 1);
            (CrossAttention::Softmax(cross), residual(layout, "encoder_attn_layer_norm", site + 1))
        };
        let feed_forward =
            FeedForward::declare(layout, &layer, [d, config.ffn, d], config.activation, site + 3);
        let around_feed_forward = residual(layout, "final_layer_norm", site + 4);
        Self { own, cross, around_own, around_cross, feed_forward, around_feed_forward }
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
        let Stream { x, mut p } = stream;
        let x =
            self.around_own.forward(pass, x, tape.as_deref_mut(), |input, tape| match (&self.own, &p) {
                (OwnAttention::Softmax(own), _) => own.forward(pass, input, streams.x, None, tape),
                (OwnAttention::Luna(own), Some(p)) => {
                    own.forward(pass, (input, p.view()), streams.x, Some(streams.p), tape)
                }
                (OwnAttention::Luna(_), None) => Err(missing_p()),
            })?;
        let x = self.around_cross.forward(pass, x, tape.as_deref_mut(), |input, tape| match &self.cross {
            CrossAttention::Softmax(cross) => cross.forward(pass, input, streams.x, Some(source), tape),
            CrossAttention::Luna(cross) => {
                let given = p.take().ok_or_else(missing_p)?;
                let y;
                (y, p) = cross.forward(pass, input, given, streams, Some(source), tape)?;
                Ok(y)
            }
        })?;
        Ok(Stream { x: self.feed(pass, x, tape)?, p })
    }

    /// The feed-forward network in its residual.
    fn feed(&self, pass: Pass<'_>, x: Array2<f32>, tape: Option<&mut Tape>) -> Result<Array2<f32>> {
        self.around_feed_forward
            .forward(pass, x, tape, |input, tape| Ok(self.feed_forward.forward(pass, input, tape)))
    }

    /// The gradient of the layer's input under that of its output (a missing one of P is zeros); adds that of the source
    /// to `d_source`. `p` is the P that the layer read where it handed the same on.
    pub(crate) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        d_out: Stream,
        streams: Streams<'_>,
        (source, d_source): (Context<'_>, &mut Array2<f32>),
        p: Option<ArrayView2<'_, f32>>,
    ) -> Result<Stream> {
        let Stream { x: d_x, p: mut d_p } = d_out;
        let d_x = self.around_feed_forward.backward(back, tape, d_x, |back, tape, input, dy| {
            Ok(self.feed_forward.backward(back, tape, input, dy))
        })?;
        let mut packed_by = None;
        let context = Some((source, d_source));
        let d_x = self.around_cross.backward(back, tape, d_x, |back, tape, input, dy| match &self.cross {
            CrossAttention::Softmax(cross) => cross.backward(back, tape, (input, streams.x), context, dy),
            CrossAttention::Luna(cross) => {
                let LunaBlockGradients { input, p, given_p } =
                    cross.backward(back, tape, (input, dy), d_p.take(), streams, context)?;
                (d_p, packed_by) = (Some(p), Some(given_p));
                Ok(input)
            }
        })?;
        let p = packed_by.as_ref().map(|p| p.view()).or(p);
        let x = self.around_own.backward(back, tape, d_x, |back, tape, input, dy| match (&self.own, p) {
            (OwnAttention::Softmax(own), _) => own.backward(back, tape, (input, streams.x), None, dy),
            (OwnAttention::Luna(own), Some(p)) => {
                let (d_input, d_read) =
                    own.backward(back, tape, (input, p), streams.x, Some(streams.p), dy)?;
                match &mut d_p {
                    Some(sum) => *sum += &d_read,
                    None => d_p = Some(d_read),
                }
                Ok(d_input)
            }
            (OwnAttention::Luna(_), None) => Err(missing_p()),
        })?;
        Ok(Stream { x, p: d_p })
    }

    /// The state before a target's first row, of the encoder's output (m, d) and P, and the next layer's P.
    pub(crate) fn start(
        &self,
        pass: Pass<'_>,
        p: Option<Array2<f32>>,
        source: ArrayView2<'_, f32>,
    ) -> Result<(DecoderLayerState, Option<Array2<f32>>)> {
        let own = match (&self.own, &p) {
            (OwnAttention::Softmax(own), _) => OwnState::Softmax(own.start()?),
            (OwnAttention::Luna(own), Some(p)) => OwnState::Luna(own.start(pass, p.view())),
            (OwnAttention::Luna(_), None) => return Err(missing_p()),
        };
        let (cross, p) = match &self.cross {
            CrossAttention::Softmax(cross) => (CrossState::Softmax(Arc::new(cross.prepare(pass, source))), p),
            CrossAttention::Luna(cross) => {
                let (packed, next) = cross.pack(pass, p.ok_or_else(missing_p)?, source)?;
                (CrossState::Luna(Arc::new(packed)), next)
            }
        };
        Ok((DecoderLayerState { own, cross }, p))
    }

    /// The next row of each state: (b, d) to (b, d). States of one source that follow each other read it together.
    pub(crate) fn step(
        &self,
        pass: Pass<'_>,
        states: &mut [&mut DecoderLayerState],
        x: Array2<f32>,
    ) -> Result<Array2<f32>> {
        let foreign = || Error::value("state of a layer", "another's", "one that its start gave");
        let x = self.around_own.forward(pass, x, None, |input, _| match &self.own {
            OwnAttention::Softmax(own) => {
                let pasts = states.iter_mut().filter_map(|state| match &mut state.own {
                    OwnState::Softmax(pasts) => Some(&mut pasts[..]),
                    OwnState::Luna(_) => None,
                });
                Ok(own.step(pass, pasts, input))
            }
            OwnAttention::Luna(own) => {
                let sums = states.iter_mut().filter_map(|state| match &mut state.own {
                    OwnState::Luna(sums) => Some(sums),
                    OwnState::Softmax(_) => None,
                });
                Ok(own.step(pass, sums, input))
            }
        })?;
        let x = self.around_cross.forward(pass, x, None, |input, _| {
            let (mut read, mut first) = (Vec::new(), 0);
            for same in states.chunk_by(|a, b| a.cross.same_source(&b.cross)) {
                let rows = input.slice(s![first..first + same.len(), ..]);
                read.push(match (&self.cross, &same[0].cross) {
                    (CrossAttention::Softmax(cross), CrossState::Softmax(source)) => {
                        cross.read(pass, rows, source)?
                    }
                    (CrossAttention::Luna(cross), CrossState::Luna(packed)) => {
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

impl CrossState {
    fn same_source(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Softmax(a), Self::Softmax(b)) => Arc::ptr_eq(a, b),
            (Self::Luna(a), Self::Luna(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}
