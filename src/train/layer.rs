//! One layer and its gradients: a Transformer's, Luna's, or a causal Luna's.

use ndarray::{Array2, ArrayView2};

use super::attention::{self, Attention};
use super::dropout::Dropout;
use super::feed_forward::{self, FeedForward};
use super::luna::{Kept as KeptByLuna, Luna, Streams};
use super::luna_causal::{self, LunaCausal};
use super::parameters::{Layout, Numbers};
use super::residual::{self, Residual};
use super::rows::Rows;
use crate::Result;
use crate::model::encoder::{EncoderConfig, Mechanism};

/// Attention and feed-forward network, each in its residual.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    attend: Attend,
    around: Residual,
    feed_forward: FeedForward,
    around_feed_forward: Residual,
}

#[derive(Clone, Debug)]
enum Attend {
    Transformer(Attention),
    /// With the residual of P, unless what a layer packs is not carried on.
    Luna(Luna, Option<Residual>),
    LunaCausal(LunaCausal),
}

/// What goes from layer to layer.
#[derive(Debug)]
pub(super) struct Stream {
    /// (rows, d).
    pub(super) x: Array2<f32>,
    /// Luna's: (rows of P, d). Causal Luna's: (l, d), the same for every sequence.
    pub(super) p: Option<Array2<f32>>,
}

/// Which rows belong to which sequence, and what is dropped.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) rows: &'a Rows,
    /// Of P, where each sequence has its own.
    pub(super) p_rows: &'a Rows,
    pub(super) dropout: Dropout,
}

impl<'a> Around<'a> {
    fn streams(&self) -> Streams<'a> {
        Streams { x: self.rows, p: self.p_rows }
    }
}

/// What the gradients need.
#[derive(Debug)]
pub(super) struct Kept {
    x: Array2<f32>,
    p: Option<Array2<f32>>,
    attended: Attended,
    around: residual::Kept,
    of_p: Option<residual::Kept>,
    between: Array2<f32>,
    feed_forward: feed_forward::Kept,
    around_feed_forward: residual::Kept,
}

#[derive(Debug)]
enum Attended {
    Transformer(attention::Kept),
    Luna(KeptByLuna),
    LunaCausal(luna_causal::Kept),
}

/// Arrays of one layer that are dropped from.
pub(super) const SITES: usize = 4;

impl Layer {
    /// The layer whose tensors stand under `layers.AT.`, behind the prefix of all.
    pub(super) fn find(layout: &Layout, prefix: &str, config: &EncoderConfig, at: usize) -> Result<Self> {
        let (layer, site) = (format!("{prefix}layers.{at}."), 1 + SITES * at);
        let residual =
            |name: &str, site| Residual::find(layout, &format!("{layer}{name}"), config.pre_norm, site);
        let of = format!("{layer}self_attn");
        let attend = match config.mechanism {
            Mechanism::Luna { .. } => {
                let of_p = config.p_chain.then(|| residual("self_atten_proj_layer_norm", site + 1));
                Attend::Luna(Luna::find(layout, &of, config.heads)?, of_p.transpose()?)
            }
            Mechanism::LunaCausal { weight, .. } => {
                Attend::LunaCausal(LunaCausal::find(layout, &of, config.heads, weight)?)
            }
            _ => Attend::Transformer(Attention::find(layout, &of, config)?),
        };
        Ok(Self {
            attend,
            around: residual("self_attn_layer_norm", site)?,
            feed_forward: FeedForward::find(layout, &layer, config.activation, site + 2)?,
            around_feed_forward: residual("final_layer_norm", site + 3)?,
        })
    }

    /// The next layer's input, and what the gradients need.
    pub(super) fn forward(
        &self,
        numbers: Numbers<'_>,
        stream: Stream,
        around: Around<'_>,
    ) -> Result<(Stream, Kept)> {
        let Stream { x, p } = stream;
        let dropout = around.dropout;
        let (y, attended, opened, next_p, of_p) = {
            let (input, opened) = self.around.open(numbers, &x);
            match (&self.attend, &p) {
                (Attend::Luna(luna, of_p), Some(p)) => {
                    let (p_input, p_opened) = match of_p {
                        Some(residual) => residual.open(numbers, p),
                        None => (p.view().into(), None),
                    };
                    let (y, y_p, kept) =
                        luna.forward(numbers, input.view(), p_input.view(), around.streams(), None)?;
                    let closed = of_p.map(|residual| residual.close(numbers, p, y_p, p_opened, dropout));
                    let (next, of_p) = closed.unzip();
                    (y, Attended::Luna(kept), opened, next, of_p)
                }
                (Attend::LunaCausal(luna), Some(p)) => {
                    let (y, kept) = luna.forward(numbers, (input.view(), p.view()), around.rows, None)?;
                    (y, Attended::LunaCausal(kept), opened, Some(p.clone()), None)
                }
                (Attend::Transformer(attention), _) => {
                    let (y, kept) = attention.forward(numbers, input.view(), around.rows, None)?;
                    (y, Attended::Transformer(kept), opened, None, None)
                }
                _ => unreachable!("a network makes a P for the layers that read one"),
            }
        };
        let (between, around_kept) = self.around.close(numbers, &x, y, opened, dropout);
        let (y, feed_forward, opened) = {
            let (input, opened) = self.around_feed_forward.open(numbers, &between);
            let (y, kept) = self.feed_forward.forward(numbers, input.view(), dropout);
            (y, kept, opened)
        };
        let (out, around_feed_forward) =
            self.around_feed_forward.close(numbers, &between, y, opened, dropout);
        let kept =
            Kept { x, p, attended, around: around_kept, of_p, between, feed_forward, around_feed_forward };
        Ok((Stream { x: out, p: next_p }, kept))
    }

    /// The gradient of the layer's input under that of its output; a missing one of P is zeros.
    pub(super) fn backward(
        &self,
        numbers: Numbers<'_>,
        gradients: &mut [f32],
        kept: Kept,
        d_out: Stream,
        around: Around<'_>,
    ) -> Result<Stream> {
        let Kept { x, p, attended, around: around_kept, of_p, between, feed_forward, around_feed_forward } =
            kept;
        let dropout = around.dropout;
        let residual = &self.around_feed_forward;
        let (mut d_between, dy, opened) =
            residual.reopen(numbers, gradients, around_feed_forward, d_out.x, dropout);
        {
            let input = residual.input(numbers, &between, opened.as_ref());
            let network = &self.feed_forward;
            let d_input =
                network.backward(numbers, gradients, input.view(), feed_forward, dy.view(), dropout);
            residual.finish(numbers, gradients, opened.as_ref(), &mut d_between, &d_input);
        }
        drop((between, dy, opened));
        let (mut dx, dy, opened) = self.around.reopen(numbers, gradients, around_kept, d_between, dropout);
        let input = self.around.input(numbers, &x, opened.as_ref());
        let (d_input, dp) = match (&self.attend, attended, &p) {
            (Attend::Luna(luna, residual), Attended::Luna(kept), Some(p)) => {
                let d_p = d_out.p.unwrap_or_else(|| Array2::zeros(p.raw_dim()));
                let both = (input.view(), p);
                let parts = (numbers, gradients as &mut [f32]);
                let of_p = residual.as_ref().zip(of_p);
                back_through_luna(luna, of_p, parts, both, kept, (dy.view(), d_p), around)
                    .map(|(d_input, dp)| (d_input, Some(dp)))?
            }
            (Attend::LunaCausal(luna), Attended::LunaCausal(kept), Some(p)) => {
                let both = (input.view(), p.view());
                let (d_input, mut dp) =
                    luna.backward(numbers, gradients, both, around.rows, None, kept, dy.view())?;
                if let Some(above) = d_out.p {
                    dp += &above;
                }
                (d_input, Some(dp))
            }
            (Attend::Transformer(attention), Attended::Transformer(kept), _) => {
                let (input, rows) = (input.view(), around.rows);
                let dx = attention.backward(numbers, gradients, input, rows, None, kept, dy.view())?;
                (dx, None)
            }
            _ => unreachable!("what was kept is of this layer"),
        };
        drop(input);
        self.around.finish(numbers, gradients, opened.as_ref(), &mut dx, &d_input);
        Ok(Stream { x: dx, p: dp })
    }
}

/// The gradients of x's block input and of p, under those of what x read and of the next layer's p.
fn back_through_luna(
    luna: &Luna,
    of_p: Option<(&Residual, residual::Kept)>,
    (numbers, gradients): (Numbers<'_>, &mut [f32]),
    (input, p): (ArrayView2<'_, f32>, &Array2<f32>),
    kept: KeptByLuna,
    (dy, d_p): (ArrayView2<'_, f32>, Array2<f32>),
    around: Around<'_>,
) -> Result<(Array2<f32>, Array2<f32>)> {
    let streams = around.streams();
    let Some((residual, of_p)) = of_p else {
        // What was packed was read here and not carried on.
        let d_packed = Array2::zeros(p.raw_dim());
        return luna.backward(numbers, gradients, (input, p.view()), streams, None, kept, dy, d_packed);
    };
    let (mut dp, d_packed, opened) = residual.reopen(numbers, gradients, of_p, d_p, around.dropout);
    let p_input = residual.input(numbers, p, opened.as_ref());
    let both = (input, p_input.view());
    let (d_input, d_p_input) = luna.backward(numbers, gradients, both, streams, None, kept, dy, d_packed)?;
    residual.finish(numbers, gradients, opened.as_ref(), &mut dp, &d_p_input);
    Ok((d_input, dp))
}
