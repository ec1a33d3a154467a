//! One layer of an encoder.

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayViewMut2, Axis, s};

use super::attention::{Attention, Batch};
use super::luna::{Blocks, Causal, OwnP};
use super::{Encoder, EncoderConfig, Head, Mechanism};
use crate::cost::Tally;
use crate::model::linear::Count;
use crate::model::luna::{Look, LunaEncoderLayer, Named, Padding};
use crate::{Error, Result};

/// What goes from layer to layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// X, shape (b, n, d).
    pub x: Array3<f32>,
    /// P, shape (b, min(l, n), d), where layers carry it upward: the mechanism is Luna, in a chain.
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

/// One layer: a Transformer's, or one of Luna's.
pub struct Layer {
    pub(super) config: EncoderConfig,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Transformer(Box<Transformer>),
    Luna(Box<LunaEncoderLayer>),
    OwnP(Box<OwnP>),
    Causal(Box<Causal>),
}

pub(super) struct Transformer {
    pub(super) attention: Attention,
    pub(super) blocks: Blocks,
}

impl Layer {
    /// Reads `self_attn`, `self_attn_layer_norm`, `fc1`, `fc2` and `final_layer_norm` (for Luna what
    /// [`LunaEncoderLayer::load`] reads): [`EncoderConfig::tensors`] lists them under `layers.0.`.
    ///
    /// A Performer's features, (l, `d_h`), are `self_attn.features`. A P that is the layer's own, (l, d), is
    /// `projected_embeddings`; causal Luna reads it there even if its stack would share one.
    pub fn load(named: &Named, config: &EncoderConfig) -> Result<Self> {
        config.check()?;
        Self::with_p(named, config, None)
    }

    /// As [`load`](Self::load), with the P that all layers of causal Luna share, if they do.
    pub(super) fn with_p(
        named: &Named,
        config: &EncoderConfig,
        p: Option<&Arc<Array2<f32>>>,
    ) -> Result<Self> {
        let kind = match config.mechanism {
            Mechanism::LunaCausal { .. } => Kind::Causal(Box::new(Causal::load(named, config, p)?)),
            Mechanism::Luna { .. } if !config.p_chain => Kind::OwnP(Box::new(OwnP::load(named, config)?)),
            Mechanism::Luna { .. } => {
                Kind::Luna(Box::new(LunaEncoderLayer::load(named, &config.luna_layer())?))
            }
            _ => Kind::Transformer(Box::new(Transformer {
                attention: Attention::load(&named.within("self_attn"), config)?,
                blocks: Blocks::load(named, config)?,
            })),
        };
        Ok(Self { config: *config, kind })
    }

    /// The lowest layer of [`Encoder::random`](super::Encoder::random).
    pub fn random(config: &EncoderConfig, seed: u64) -> Result<Self> {
        let one = EncoderConfig { layers: 1, vocab: None, positions: 0, head: Head::None, ..*config };
        let layer = Encoder::random(&one, seed)?.layers.pop();
        layer.ok_or_else(|| Error::value("layers of an encoder", 0, "1 or more"))
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

    /// Every head at work on the first sequence of a batch without padding; refuses attention that is not Luna's.
    pub(super) fn look(&self, stream: &Stream) -> Result<Vec<Look>> {
        let x = stream.x.index_axis(Axis(0), 0);
        match (&self.kind, &stream.p) {
            (Kind::Luna(layer), Some(p)) => layer.look(x, p.index_axis(Axis(0), 0)),
            (Kind::OwnP(layer), _) => layer.look(x),
            (Kind::Causal(layer), _) => layer.look(x),
            _ => {
                let name = self.config.mechanism.name();
                Err(Error::value(
                    "attention of an encoder whose heads are watched",
                    name,
                    "luna, luna-causal",
                ))
            }
        }
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
            (Kind::Transformer(layer), None) => layer.run(rows(&mut stream.x), batch, count)?,
            (Kind::Causal(layer), None) => layer.run(rows(&mut stream.x), batch, count)?,
            (Kind::OwnP(layer), None) => {
                for (sequence, x) in stream.x.outer_iter_mut().enumerate() {
                    layer.run(x, batch.real(sequence), count)?;
                }
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
                        _ => "none".into(),
                    },
                });
            }
        }
        Ok(stream)
    }
}

/// The rows (b n, d) of x (b, n, d).
pub(super) fn rows(x: &mut Array3<f32>) -> ArrayViewMut2<'_, f32> {
    let (b, n, d) = x.dim();
    x.view_mut().into_shape_with_order((b * n, d)).expect("in standard layout")
}

impl Transformer {
    /// Rows (b n, d) in place.
    fn run(&self, mut x: ArrayViewMut2<'_, f32>, batch: Batch<'_>, count: Count<'_>) -> Result<()> {
        let Blocks { norm, pre_norm, .. } = &self.blocks;
        let input = norm.before(*pre_norm, x.view());
        let read = self.attention.read(input.view(), batch, count)?;
        drop(input);
        self.attention.add(x.view_mut(), &read, count);
        drop(read); // before the feed-forward network takes its own
        self.blocks.behind(x, count);
        Ok(())
    }
}
