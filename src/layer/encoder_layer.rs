//! One layer of an encoder or of a decoder-only network: a Transformer's, Luna's, or causal Luna's.

use ndarray::{Array2, ArrayView2};

use super::attention::Attention;
use super::config::EncoderConfig;
use super::factors::WatchedHead;
use super::feed_forward::FeedForward;
use super::luna::{LunaAttention, LunaBlock, LunaBlockGradients, Streams};
use super::luna_causal::{CausalLunaAttention, CausalState};
use super::mechanism::Mechanism;
use super::pass::{Backward, Pass, Tape};
use super::residual::Residual;
use super::weights::{Layout, Matrix};
use crate::Result;
use crate::attention::Past;
use crate::error::Error;

/// Attention and feed-forward network, each in its residual.
#[derive(Clone, Copy, Debug)]
pub struct EncoderLayer {
    attention: SelfAttention,
    around: Residual,
    feed_forward: FeedForward,
    around_feed_forward: Residual,
    /// P, (l, d), where every layer has its own.
    pub(crate) own_p: Option<Matrix>,
}

#[derive(Clone, Copy, Debug)]
enum SelfAttention {
    Transformer(Attention),
    Luna(LunaBlock),
    CausalLuna(CausalLunaAttention),
}

/// What goes from layer to layer.
#[derive(Debug)]
pub struct Stream {
    /// (rows, d).
    pub x: Array2<f32>,
    /// Luna's: (rows of P, d). Causal Luna's: (l, d), the same for every sequence.
    pub p: Option<Array2<f32>>,
}

/// What one layer remembers of the rows so far when rows come one at a time.
#[derive(Clone, Debug)]
pub(crate) enum LayerState {
    /// Of each head.
    Heads(Vec<Box<dyn Past>>),
    /// Running sums.
    CausalLuna(CausalState),
}

/// Arrays of one layer that are dropped from.
const SITES: usize = 4;

impl EncoderLayer {
    /// Declares a layer's tensors under `layers.AT.`, after the prefix of all: `self_attn`, P where it is the layer's own,
    /// `self_attn_layer_norm`, `self_atten_proj_layer_norm` (the Luna authors' spelling) where P is handed on, `fc1`,
    /// `fc2`, `final_layer_norm`.
    pub fn declare(layout: &mut Layout, prefix: &str, config: &EncoderConfig, at: usize) -> Self {
        let EncoderConfig { d, heads, pre_norm, .. } = *config;
        let (layer, site) = (format!("{prefix}layers.{at}."), 1 + SITES * at);
        let name = format!("{layer}self_attn");
        let mut attention = match config.mechanism {
            Mechanism::Luna { tied, .. } => {
                let attention = LunaAttention::declare(layout, &name, d, [heads; 2], tied, site);
                SelfAttention::Luna(LunaBlock { attention, around_p: None })
            }
            Mechanism::LunaCausal { packing, tied, .. } => SelfAttention::CausalLuna(
                CausalLunaAttention::declare(layout, &name, [d, heads], packing, tied, site),
            ),
            mechanism => {
                let attention = Attention::declare(layout, &name, [d, heads], mechanism, config.mask(), site);
                SelfAttention::Transformer(attention)
            }
        };
        let own_p = (config.own_p() > 0)
            .then(|| layout.table(format!("{layer}projected_embeddings"), config.own_p(), d));
        let mut residual =
            |name: &str, site: usize| Residual::declare(layout, &format!("{layer}{name}"), d, pre_norm, site);
        let around = residual("self_attn_layer_norm", site);
        if let SelfAttention::Luna(block) = &mut attention {
            block.around_p = config.carries_p().then(|| residual("self_atten_proj_layer_norm", site + 1));
        }
        let feed_forward =
            FeedForward::declare(layout, &layer, [d, config.ffn, d], config.activation, site + 2);
        let around_feed_forward =
            Residual::declare(layout, &format!("{layer}final_layer_norm"), d, pre_norm, site + 3);
        Self { attention, around, feed_forward, around_feed_forward, own_p }
    }

    /// Declares what is drawn and not learned.
    pub(crate) fn declare_fixed(&mut self, layout: &mut Layout, prefix: &str, at: usize) {
        if let SelfAttention::Transformer(attention) = &mut self.attention {
            attention.declare_fixed(layout, &format!("{prefix}layers.{at}.self_attn"));
        }
    }

    /// Refuses attention without a backward pass.
    pub(crate) fn check_trainable(&self) -> Result<()> {
        match &self.attention {
            SelfAttention::Transformer(attention) => attention.check_trainable(),
            SelfAttention::Luna(_) | SelfAttention::CausalLuna(_) => Ok(()),
        }
    }

    /// The next layer's input.
    pub fn forward(
        &self,
        pass: Pass<'_>,
        stream: Stream,
        streams: Streams<'_>,
        mut tape: Option<&mut Tape>,
    ) -> Result<Stream> {
        let Stream { x, p } = stream;
        let mut next_p = None;
        let x = self.around.forward(pass, x, tape.as_deref_mut(), |input, mut tape| {
            match (&self.attention, p) {
                (SelfAttention::Transformer(attention), _) => {
                    attention.forward(pass, input, streams.x, None, tape)
                }
                (SelfAttention::Luna(block), Some(p)) => {
                    let y;
                    (y, next_p) = block.forward(pass, input, p, streams, None, tape)?;
                    Ok(y)
                }
                (SelfAttention::CausalLuna(attention), Some(p)) => {
                    let both = (input, p.view());
                    let y = attention.forward(pass, both, streams.x, None, tape.as_deref_mut())?;
                    if let Some(tape) = tape {
                        tape.save(p.clone());
                    }
                    next_p = Some(p);
                    Ok(y)
                }
                (_, None) => Err(missing_p()),
            }
        })?;
        let x = self
            .around_feed_forward
            .forward(pass, x, tape, |input, tape| Ok(self.feed_forward.forward(pass, input, tape)))?;
        Ok(Stream { x, p: next_p })
    }

    /// The gradient of the layer's input under that of its output; a missing one of P is zeros.
    pub(crate) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        d_out: Stream,
        streams: Streams<'_>,
    ) -> Result<Stream> {
        let Stream { x: d_x, p: d_p } = d_out;
        let d_x = self.around_feed_forward.backward(back, tape, d_x, |back, tape, input, dy| {
            Ok(self.feed_forward.backward(back, tape, input, dy))
        })?;
        let mut dp = None;
        let x = self.around.backward(back, tape, d_x, |back, tape, input, dy| match &self.attention {
            SelfAttention::Transformer(attention) => {
                attention.backward(back, tape, (input, streams.x), None, dy)
            }
            SelfAttention::Luna(block) => {
                let LunaBlockGradients { input, p, .. } =
                    block.backward(back, tape, (input, dy), d_p, streams, None)?;
                dp = Some(p);
                Ok(input)
            }
            SelfAttention::CausalLuna(attention) => {
                let p: Array2<f32> = tape.take();
                let (d_input, mut d) =
                    attention.backward(back, tape, (input, p.view()), streams.x, None, dy)?;
                if let Some(above) = d_p {
                    d += &above;
                }
                dp = Some(d);
                Ok(d_input)
            }
        })?;
        Ok(Stream { x, p: dp })
    }

    /// Every head at work on one sequence x (n, d) and its p; refuses attention that is not Luna's.
    pub(crate) fn watch(&self, pass: Pass<'_>, stream: &Stream) -> Result<Vec<WatchedHead>> {
        let (input, _) = self.around.open(pass, &stream.x, false);
        match (&self.attention, &stream.p) {
            (SelfAttention::Luna(LunaBlock { attention, around_p }), Some(p)) => {
                let (p, _) = match around_p {
                    Some(residual) => residual.open(pass, p, false),
                    None => (p.view().into(), None),
                };
                attention.watch(pass, input.view(), p.view())
            }
            (SelfAttention::CausalLuna(attention), Some(p)) => {
                Ok(attention.watch(pass, input.view(), p.view()))
            }
            (SelfAttention::Transformer(attention), _) => {
                let what = "attention of an encoder whose heads are watched";
                Err(Error::value(what, attention.mechanism().name(), "luna, luna-causal"))
            }
            (_, None) => Err(missing_p()),
        }
    }

    /// The state before the first row of a sequence, and p (l, d) where the layer reads one.
    pub(crate) fn start(&self, pass: Pass<'_>, p: Option<ArrayView2<'_, f32>>) -> Result<LayerState> {
        match (&self.attention, p) {
            (SelfAttention::Transformer(attention), _) => attention.start().map(LayerState::Heads),
            (SelfAttention::CausalLuna(attention), Some(p)) => {
                Ok(LayerState::CausalLuna(attention.start(pass, p)))
            }
            (SelfAttention::CausalLuna(_), None) => Err(missing_p()),
            (SelfAttention::Luna(_), _) => {
                Err(Error::value("attention that takes a row at a time", "luna", "luna-causal"))
            }
        }
    }

    /// The next row (1, d) of a sequence.
    pub(crate) fn step(&self, pass: Pass<'_>, state: &mut LayerState, x: Array2<f32>) -> Result<Array2<f32>> {
        let x = self.around.forward(pass, x, None, |input, _| match (&self.attention, state) {
            (SelfAttention::Transformer(attention), LayerState::Heads(pasts)) => {
                Ok(attention.step(pass, [&mut pasts[..]], input))
            }
            (SelfAttention::CausalLuna(attention), LayerState::CausalLuna(state)) => {
                Ok(attention.step(pass, [state], input))
            }
            _ => Err(Error::value("state of a layer", "another's", "one that its start gave")),
        })?;
        self.around_feed_forward
            .forward(pass, x, None, |input, _| Ok(self.feed_forward.forward(pass, input, None)))
    }
}

/// Luna's layers read a P, which their network hands to them.
pub(super) fn missing_p() -> Error {
    Error::value("P of a layer of Luna", "none", "rows of P")
}
