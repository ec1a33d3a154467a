//! One layer of a translator's decoder and its gradients: causal attention of the target, attention over the source, a
//! feed-forward network, each in its residual.

use ndarray::Array2;

use super::attention::{self, Attention, Context};
use super::dropout::Dropout;
use super::feed_forward::{self, FeedForward};
use super::layer::Stream;
use super::luna::{Kept as KeptByLuna, Luna, Streams};
use super::luna_causal::{self, LunaCausal};
use super::parameters::{Layout, Numbers};
use super::residual::{self, Residual};
use super::rows::Rows;
use crate::Result;
use crate::attention::Mask;
use crate::model::translator::TranslatorConfig;

/// A Transformer's layer (Vaswani et al. 2017), or Luna's (`LunaDecoderLayer` of its authors).
#[derive(Clone, Debug)]
pub(super) struct DecoderLayer {
    attend: Attend,
    around_own: Residual,
    around_cross: Residual,
    feed_forward: FeedForward,
    around_feed_forward: Residual,
}

/// How the target reads itself, and the source.
#[derive(Clone, Debug)]
enum Attend {
    Softmax { own: Box<Attention>, cross: Box<Attention> },
    Luna { own: Box<LunaCausal>, cross: Box<Luna>, of_p: Box<Residual> },
}

/// What was read of whom, and what is dropped.
#[derive(Clone, Copy)]
pub(super) struct Over<'a> {
    /// Whose the target's rows are.
    pub(super) rows: &'a Rows,
    /// Whose the rows of P are.
    pub(super) p_rows: &'a Rows,
    /// What the encoder made of the source.
    pub(super) source: Context<'a>,
    pub(super) dropout: Dropout,
}

impl<'a> Over<'a> {
    fn streams(&self) -> Streams<'a> {
        Streams { x: self.rows, p: self.p_rows }
    }
}

/// What the gradients need.
#[derive(Debug)]
pub(super) struct Kept {
    x: Array2<f32>,
    attended: Attended,
    around_own: residual::Kept,
    behind_own: Array2<f32>,
    around_cross: residual::Kept,
    behind_cross: Array2<f32>,
    feed_forward: feed_forward::Kept,
    around_feed_forward: residual::Kept,
}

#[derive(Debug)]
enum Attended {
    Softmax { own: Box<attention::Kept>, cross: Box<attention::Kept> },
    Luna { p: Array2<f32>, own: Box<luna_causal::Kept>, cross: Box<KeptByLuna>, of_p: Box<residual::Kept> },
}

/// Arrays of one layer that are dropped from.
pub(super) const SITES: usize = 5;

impl DecoderLayer {
    /// The layer whose tensors stand under `decoder.layers.AT.`; `site` is the number of its first array that is dropped
    /// from.
    pub(super) fn find(layout: &Layout, config: &TranslatorConfig, at: usize, site: usize) -> Result<Self> {
        let encoder = &config.encoder;
        let layer = format!("decoder.layers.{at}.");
        let named = |name: &str| format!("{layer}{name}");
        let residual = |name: &str, site| Residual::find(layout, &named(name), encoder.pre_norm, site);
        let (own, cross) = (named("self_attn"), named("encoder_attn"));
        let attend = if config.is_luna() {
            Attend::Luna {
                own: Box::new(LunaCausal::find(layout, &own, encoder.heads, config.weight)?),
                cross: Box::new(Luna::find(layout, &cross, encoder.heads)?),
                of_p: Box::new(residual("encoder_atten_proj_layer_norm", site + 2)?),
            }
        } else {
            Attend::Softmax {
                own: Box::new(Attention::of(layout, &own, &config.exact(), Mask::Causal)?),
                cross: Box::new(Attention::of(layout, &cross, &config.exact(), Mask::Full)?),
            }
        };
        Ok(Self {
            attend,
            around_own: residual("self_attn_layer_norm", site)?,
            around_cross: residual("encoder_attn_layer_norm", site + 1)?,
            feed_forward: FeedForward::find(layout, &layer, encoder.activation, site + 3)?,
            around_feed_forward: residual("final_layer_norm", site + 4)?,
        })
    }

    /// The next layer's input, and what the gradients need.
    pub(super) fn forward(
        &self,
        numbers: Numbers<'_>,
        stream: Stream,
        over: Over<'_>,
    ) -> Result<(Stream, Kept)> {
        let Stream { x, p } = stream;
        let Over { rows, p_rows, source, dropout } = over;
        let (input, opened) = self.around_own.open(numbers, &x);
        let (y, attended_own) = match (&self.attend, &p) {
            (Attend::Luna { own, .. }, Some(p)) => {
                let (y, kept) = own.forward(numbers, (input.view(), p.view()), rows, Some(p_rows))?;
                (y, Own::Luna(Box::new(kept)))
            }
            (Attend::Softmax { own, .. }, _) => {
                let (y, kept) = own.forward(numbers, input.view(), rows, None)?;
                (y, Own::Softmax(Box::new(kept)))
            }
            _ => unreachable!("a translator hands the encoder's P to Luna's layers"),
        };
        drop(input);
        let (behind_own, around_own) = self.around_own.close(numbers, &x, y, opened, dropout);
        let (input, opened) = self.around_cross.open(numbers, &behind_own);
        let (y, next_p, attended) = match (&self.attend, attended_own, p) {
            (Attend::Luna { cross, of_p, .. }, Own::Luna(own), Some(p)) => {
                let (p_input, p_opened) = of_p.open(numbers, &p);
                let streams = over.streams();
                let (y, y_p, cross) =
                    cross.forward(numbers, input.view(), p_input.view(), streams, Some(source))?;
                drop(p_input);
                let (next, of_p) = of_p.close(numbers, &p, y_p, p_opened, dropout);
                let (cross, of_p) = (Box::new(cross), Box::new(of_p));
                (y, Some(next), Attended::Luna { p, own, cross, of_p })
            }
            (Attend::Softmax { cross, .. }, Own::Softmax(own), _) => {
                let (y, cross) = cross.forward(numbers, input.view(), rows, Some(source))?;
                (y, None, Attended::Softmax { own, cross: Box::new(cross) })
            }
            _ => unreachable!("what was kept is of this layer"),
        };
        drop(input);
        let (behind_cross, around_cross) = self.around_cross.close(numbers, &behind_own, y, opened, dropout);
        let (input, opened) = self.around_feed_forward.open(numbers, &behind_cross);
        let (y, feed_forward) = self.feed_forward.forward(numbers, input.view(), dropout);
        drop(input);
        let (out, around_feed_forward) =
            self.around_feed_forward.close(numbers, &behind_cross, y, opened, dropout);
        let kept = Kept {
            x,
            attended,
            around_own,
            behind_own,
            around_cross,
            behind_cross,
            feed_forward,
            around_feed_forward,
        };
        Ok((Stream { x: out, p: next_p }, kept))
    }

    /// The gradient of the layer's input under that of its output (a missing one of P is zeros); adds that of the
    /// source to `d_source`.
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        kept: Kept,
        d_out: Stream,
        over: Over<'_>,
        d_source: &mut Array2<f32>,
    ) -> Result<Stream> {
        let Kept {
            x,
            attended,
            around_own,
            behind_own,
            around_cross,
            behind_cross,
            feed_forward,
            around_feed_forward,
        } = kept;
        let Over { rows, p_rows, source, dropout } = over;
        let residual = &self.around_feed_forward;
        let (mut d_behind, dy, opened) =
            residual.reopen(numbers, gradients, around_feed_forward, d_out.x, dropout);
        let input = residual.input(numbers, &behind_cross, opened.as_ref());
        let network = &self.feed_forward;
        let d_input = network.backward(numbers, gradients, input.view(), feed_forward, dy.view(), dropout);
        drop(input);
        residual.finish(numbers, gradients, opened.as_ref(), &mut d_behind, &d_input);
        let (mut d_behind_own, dy, opened) =
            self.around_cross.reopen(numbers, gradients, around_cross, d_behind, dropout);
        let input = self.around_cross.input(numbers, &behind_own, opened.as_ref());
        let to_source = Some((source, d_source));
        let (d_input, own, p) = match (&self.attend, attended) {
            (Attend::Luna { cross, of_p: residual, .. }, Attended::Luna { p, own, cross: kept, of_p }) => {
                let d_p = d_out.p.unwrap_or_else(|| Array2::zeros(p.raw_dim()));
                let (mut dp, d_packed, opened) = residual.reopen(numbers, gradients, *of_p, d_p, dropout);
                let p_input = residual.input(numbers, &p, opened.as_ref());
                let both = (input.view(), p_input.view());
                let streams = over.streams();
                let (d_input, d_p_input) = cross.backward(
                    numbers,
                    gradients,
                    both,
                    streams,
                    to_source,
                    *kept,
                    dy.view(),
                    d_packed,
                )?;
                drop(p_input);
                residual.finish(numbers, gradients, opened.as_ref(), &mut dp, &d_p_input);
                (d_input, Own::Luna(own), Some((p, dp)))
            }
            (Attend::Softmax { cross, .. }, Attended::Softmax { own, cross: kept }) => {
                let (input, dy) = (input.view(), dy.view());
                let d_input = cross.backward(numbers, gradients, input, rows, to_source, *kept, dy)?;
                (d_input, Own::Softmax(own), None)
            }
            _ => unreachable!("what was kept is of this layer"),
        };
        drop(input);
        self.around_cross.finish(numbers, gradients, opened.as_ref(), &mut d_behind_own, &d_input);
        let (mut dx, dy, opened) =
            self.around_own.reopen(numbers, gradients, around_own, d_behind_own, dropout);
        let input = self.around_own.input(numbers, &x, opened.as_ref());
        let (d_input, dp) = match (&self.attend, own, p) {
            (Attend::Luna { own, .. }, Own::Luna(kept), Some((p, mut dp))) => {
                let both = (input.view(), p.view());
                let (d_input, d_read) =
                    own.backward(numbers, gradients, both, rows, Some(p_rows), *kept, dy.view())?;
                dp += &d_read;
                (d_input, Some(dp))
            }
            (Attend::Softmax { own, .. }, Own::Softmax(kept), _) => {
                (own.backward(numbers, gradients, input.view(), rows, None, *kept, dy.view())?, None)
            }
            _ => unreachable!("what was kept is of this layer"),
        };
        drop(input);
        self.around_own.finish(numbers, gradients, opened.as_ref(), &mut dx, &d_input);
        Ok(Stream { x: dx, p: dp })
    }
}

/// What causal attention kept, on its way into what the layer keeps.
enum Own {
    Softmax(Box<attention::Kept>),
    Luna(Box<luna_causal::Kept>),
}
