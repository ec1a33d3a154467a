//! One layer of an encoder.

use ndarray::{Array2, Array3, ArrayViewMut2, s};

use super::attention::{Attention, Batch};
use super::{EncoderConfig, Mechanism};
use crate::cost::Tally;
use crate::model::linear::Count;
use crate::model::luna::{FeedForward, LayerNorm, LunaEncoderLayer, Named, Padding};
use crate::{Error, Result};

/// What goes from layer to layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// X, shape (b, n, d).
    pub x: Array3<f32>,
    /// P, shape (b, min(l, n), d), where the mechanism is Luna.
    pub p: Option<Array3<f32>>,
}

impl Stream {
    /// The lowest layer's input: x (b, n, d), and the first min(l, n) rows of p (l, d) for every sequence.
    #[allow(clippy::missing_panics_doc)] // an axis of any length may be put before others
    pub fn new(x: Array3<f32>, p: Option<&Array2<f32>>) -> Self {
        let (b, n, _) = x.dim();
        let p = p.map(|p| {
            let rows = p.nrows().min(n);
            p.slice(s![..rows, ..]).broadcast((b, rows, p.ncols())).expect("p for every sequence").to_owned()
        });
        Self { x, p }
    }
}

/// One layer: a Transformer's, or Luna's own.
pub struct Layer {
    pub(super) config: EncoderConfig,
    kind: Kind,
}

enum Kind {
    Transformer(Box<Transformer>),
    Luna(Box<LunaEncoderLayer>),
}

struct Transformer {
    attention: Attention,
    norm: LayerNorm,
    feed_forward: FeedForward,
    pre_norm: bool,
}

impl Layer {
    /// Reads `self_attn`, `self_attn_layer_norm`, `fc1`, `fc2` and `final_layer_norm` (for Luna what
    /// [`LunaEncoderLayer::load`] reads): [`EncoderConfig::tensors`] lists them under `layers.0.`.
    ///
    /// A Performer's features, (l, `d_h`), are `self_attn.features`.
    pub fn load(named: &Named, config: &EncoderConfig) -> Result<Self> {
        config.check()?;
        let kind = if let Mechanism::Luna { .. } = config.mechanism {
            Kind::Luna(Box::new(LunaEncoderLayer::load(named, &config.luna_layer())?))
        } else {
            let eps = config.luna_layer().eps;
            Kind::Transformer(Box::new(Transformer {
                attention: Attention::load(&named.within("self_attn"), config)?,
                norm: LayerNorm::load(named, "self_attn_layer_norm", config.d, eps)?,
                feed_forward: FeedForward::load(named, &config.luna_layer())?,
                pre_norm: config.pre_norm,
            }))
        };
        Ok(Self { config: *config, kind })
    }

    /// The lowest layer of [`Encoder::random`](super::Encoder::random).
    pub fn random(config: &EncoderConfig, seed: u64) -> Result<Self> {
        let one = EncoderConfig { layers: 1, vocab: None, positions: 0, ..*config };
        Self::load(&one.draw(seed).within("layers").within("0"), config)
    }

    /// X (and P) for the next layer; `real` are the real rows of each sequence, all of them where it is `None`.
    ///
    /// Refuses shapes that are not the configuration's, and sequences that are longer than Linformer's E.
    pub fn forward(&self, stream: Stream, real: Option<&[usize]>) -> Result<Stream> {
        self.run(stream, real, None)
    }

    /// As [`forward`](Self::forward); every product adds its multiply-adds to the tally when it is done.
    pub fn forward_counted(&self, stream: Stream, real: Option<&[usize]>, tally: &Tally) -> Result<Stream> {
        self.run(stream, real, Some(tally))
    }

    pub(super) fn run(&self, mut stream: Stream, real: Option<&[usize]>, count: Count<'_>) -> Result<Stream> {
        let (b, n, d) = stream.x.dim();
        if d != self.config.d {
            let (what, found) = ("x of a layer".into(), stream.x.shape().to_vec());
            return Err(Error::Shape { what, found, expected: format!("(b, n, {})", self.config.d) });
        }
        let batch = Batch::check(b, n, real)?;
        if !stream.x.is_standard_layout() {
            stream.x = stream.x.as_standard_layout().into_owned();
        }
        match (&self.kind, &mut stream.p) {
            (Kind::Transformer(layer), None) => {
                let rows = stream.x.view_mut().into_shape_with_order((b * n, d)).expect("in standard layout");
                layer.run(rows, batch, count)?;
            }
            (Kind::Luna(layer), Some(p)) if p.dim().0 == b && p.dim().2 == d => {
                for (sequence, (x, p)) in stream.x.outer_iter_mut().zip(p.outer_iter_mut()).enumerate() {
                    let real = batch.real(sequence);
                    let hidden = |rows: usize| (real < n).then(|| Padding::dynamic(rows, real));
                    let (context, rows) = (hidden(n), hidden(p.nrows()));
                    let padding = Padding { context: context.as_deref(), p: rows.as_deref() };
                    layer.run(x, p, padding, count)?;
                }
            }
            (_, p) => {
                return Err(Error::Shape {
                    what: "p of a layer".into(),
                    found: p.as_ref().map_or(Vec::new(), |p| p.shape().to_vec()),
                    expected: match self.kind {
                        Kind::Luna(_) => format!("({b}, l, {d})"),
                        Kind::Transformer(_) => "none".into(),
                    },
                });
            }
        }
        Ok(stream)
    }
}

impl Transformer {
    /// Rows (b n, d) in place.
    fn run(&self, mut x: ArrayViewMut2<'_, f32>, batch: Batch<'_>, count: Count<'_>) -> Result<()> {
        let input = self.norm.before(self.pre_norm, x.view());
        let read = self.attention.read(input.view(), batch, count)?;
        drop(input);
        self.attention.add(x.view_mut(), &read, count);
        drop(read); // before the feed-forward network takes its own
        self.norm.behind(self.pre_norm, x.view_mut());
        self.feed_forward.run(x, count);
        Ok(())
    }
}
