//! An encoder or a decoder-only network with its weights.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, ArrayD, ArrayView2, s};

use super::classifier::Classifier;
use super::trunk::Trunk;
use crate::attention::HeadTerms;
use crate::cost::{Cost, Tally};
use crate::layer::{
    self, Activation, EncoderConfig, FeedForward, Head, Layout, Linear, Pass, Rows, Streams, WatchedHead,
    embedding,
};
use crate::model::{HeadTap, Named, Observer};
use crate::{Error, Result};

/// The layers of a network and where its tensors lie: everything but its weights.
#[derive(Clone, Debug)]
pub(crate) struct EncoderGraph {
    pub(crate) config: EncoderConfig,
    pub(crate) layout: Layout,
    pub(crate) trunk: Trunk,
    pub(crate) classifier: Classifier,
}

impl EncoderGraph {
    /// Of a configuration that was checked.
    fn declare(config: &EncoderConfig) -> Self {
        let mut layout = Layout::default();
        let mut trunk = Trunk::declare(&mut layout, "", config);
        let classifier = match config.head {
            Head::Classes(classes) => {
                Classifier::Classes(Linear::declare(&mut layout, "classifier", classes, config.d))
            }
            Head::Pairs(classes) => {
                // Nothing is dropped from it: the site is not used.
                let sizes = [4 * config.d, config.ffn, classes];
                let head = FeedForward::declare(&mut layout, "classifier.", sizes, Activation::Relu, 0);
                Classifier::Pairs(head)
            }
            Head::None | Head::Tokens => Classifier::None,
        };
        trunk.declare_fixed(&mut layout, "");
        Self { config: *config, layout, trunk, classifier }
    }

    /// Of a configuration; refuses one that no network can have.
    pub(crate) fn new(config: &EncoderConfig) -> Result<Self> {
        config.check()?;
        Ok(Self::declare(config))
    }
}

impl EncoderConfig {
    /// The tensors of such a network: learned ones, then a Performer's features, which are drawn. Layers stand under
    /// `layers.0.` and so on; names are fairseq's, which are those of Luna's authors.
    pub fn layout(&self) -> Layout {
        EncoderGraph::declare(self).layout
    }

    /// The number of parameters: of learned elements.
    pub fn parameters(&self) -> usize {
        self.layout().learned()
    }

    /// Every tensor under its name, with initial values drawn from a seed.
    pub fn drawn(&self, seed: u64) -> BTreeMap<String, ArrayD<f32>> {
        let layout = self.layout();
        layout.tensors(&layout.draw(seed))
    }
}

/// An encoder: embeddings if its configuration has them, layers, last norms if norms stand before blocks, and a head.
///
/// It works on a batch of b sequences of length n, of which `real[i]` rows of the i-th are real and the others padding on the
/// right: padding is left out of all computations, and rows of padding are zeros afterwards.
pub struct Encoder {
    pub(super) graph: EncoderGraph,
    weights: Vec<f32>,
}

/// What goes from layer to layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// X, shape (b, n, d).
    pub x: Array3<f32>,
    /// P, shape (b, min(l, n), d), where layers hand it on: the mechanism is Luna, in a chain.
    pub p: Option<Array3<f32>>,
}

impl Stream {
    /// The lowest layer's input: x (b, n, d), and the first min(l, n) rows of p (l, d) for every sequence.
    #[allow(clippy::missing_panics_doc)] // an axis of any length may be put before others
    pub fn new(x: Array3<f32>, p: Option<ArrayView2<'_, f32>>) -> Self {
        let (b, n, _) = x.dim();
        let p = p.map(|p| {
            let rows = p.nrows().min(n);
            p.slice(s![..rows, ..]).broadcast((b, rows, p.ncols())).expect("p for every sequence").to_owned()
        });
        Self { x, p }
    }
}

/// Sequences of a batch: their length with padding, and the real rows of each.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    n: usize,
    pub(super) rows: Rows,
}

impl Batch {
    /// Refuses lengths that are not one for each sequence, or longer than the sequences.
    pub(super) fn check(b: usize, n: usize, real: Option<&[usize]>) -> Result<Self> {
        let Some(real) = real else { return Ok(Self { n, rows: Rows::of(std::iter::repeat_n(n, b)) }) };
        if real.len() != b || real.iter().any(|real| *real > n) {
            return Err(Error::Shape {
                what: "real rows of a batch".into(),
                found: real.to_vec(),
                expected: format!("{b} lengths of at most {n}"),
            });
        }
        Ok(Self { n, rows: Rows::of(real.iter().copied()) })
    }

    /// The real rows (rows, d) of x (b, n, d); without padding the same elements.
    fn packed(x: Array3<f32>, rows: &Rows) -> Array2<f32> {
        let (b, n, d) = x.dim();
        let x = if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() };
        if rows.total() == b * n {
            return x.into_shape_with_order((b * n, d)).expect("in standard layout");
        }
        let mut packed = Array2::zeros((rows.total(), d));
        for (of, x) in rows.each().zip(x.outer_iter()) {
            let length = of.len();
            packed.slice_mut(s![of, ..]).assign(&x.slice(s![..length, ..]));
        }
        packed
    }

    /// Rows (rows, d) as (b, n, d), padded with zeros.
    fn padded(x: Array2<f32>, rows: &Rows, n: usize) -> Array3<f32> {
        let (b, d) = (rows.sequences(), x.ncols());
        if rows.total() == b * n {
            return x.into_shape_with_order((b, n, d)).expect("in standard layout");
        }
        let mut padded = Array3::zeros((b, n, d));
        for (of, mut to) in rows.each().zip(padded.outer_iter_mut()) {
            let length = of.len();
            to.slice_mut(s![..length, ..]).assign(&x.slice(s![of, ..]));
        }
        padded
    }
}

impl Encoder {
    /// Reads the tensors that [`EncoderConfig::layout`] lists.
    pub fn load(named: &Named, config: &EncoderConfig) -> Result<Self> {
        let graph = EncoderGraph::new(config)?;
        Ok(Self { weights: named.gather(&graph.layout)?, graph })
    }

    /// An encoder with initial weights drawn from a seed.
    pub fn random(config: &EncoderConfig, seed: u64) -> Result<Self> {
        let graph = EncoderGraph::new(config)?;
        Ok(Self { weights: graph.layout.draw(seed), graph })
    }

    /// Its configuration.
    pub fn config(&self) -> &EncoderConfig {
        &self.graph.config
    }

    /// Its tensors.
    pub fn layout(&self) -> &Layout {
        &self.graph.layout
    }

    /// A pass with its weights.
    pub(super) fn pass(&self) -> Pass<'_> {
        Pass::new(&self.weights)
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = Layer<'_>> {
        (0..self.graph.trunk.layers.len()).map(|at| Layer { encoder: self, at })
    }

    /// P below the lowest layer, shape (l, d), where layers hand it on (Luna, in a chain).
    pub fn p(&self) -> Option<ArrayView2<'_, f32>> {
        let carried = self.graph.config.carries_p();
        self.graph.trunk.p.filter(|_| carried).map(|p| p.of(self.pass()))
    }

    /// Token ids (b, n) encoded; `real` are the real tokens of each sequence, all of them where it is `None`.
    ///
    /// Refuses ids beyond the vocabulary, sequences beyond the positions, and an encoder without a vocabulary.
    pub fn forward(&self, ids: ArrayView2<'_, u32>, real: Option<&[usize]>) -> Result<Stream> {
        self.encode(ids, real, None)
    }

    /// As [`forward`](Self::forward); every product adds its multiply-adds to the tally when it is done.
    pub fn forward_counted(
        &self,
        ids: ArrayView2<'_, u32>,
        real: Option<&[usize]>,
        tally: &Tally,
    ) -> Result<Stream> {
        self.encode(ids, real, Some(tally))
    }

    fn encode(
        &self,
        ids: ArrayView2<'_, u32>,
        real: Option<&[usize]>,
        tally: Option<&Tally>,
    ) -> Result<Stream> {
        let batch = Batch::check(ids.nrows(), ids.ncols(), real)?;
        let each = ids.rows().into_iter().zip(batch.rows.each());
        let ids: Vec<u32> = each.flat_map(|(ids, of)| ids.slice_move(s![..of.len()])).copied().collect();
        let pass = Pass { tally, ..self.pass() };
        self.over(&batch, |streams| self.graph.trunk.forward(pass, &ids, streams, None))
    }

    /// As [`forward`](Self::forward), from vectors (b, n, d) in the place of embedded tokens; positions are added
    /// where the encoder has them.
    pub fn forward_vectors(&self, x: Array3<f32>, real: Option<&[usize]>) -> Result<Stream> {
        let (b, n, d) = x.dim();
        if d != self.graph.config.d {
            let (what, found) = ("vectors of an encoder".into(), x.shape().to_vec());
            let expected = format!("(b, n, {})", self.graph.config.d);
            return Err(Error::Shape { what, found, expected });
        }
        let batch = Batch::check(b, n, real)?;
        let x = Batch::packed(x, &batch.rows);
        self.over(&batch, |streams| self.graph.trunk.forward_vectors(self.pass(), x, streams, None))
    }

    /// A pass over the real rows of a batch.
    fn over(&self, batch: &Batch, pass: impl FnOnce(Streams<'_>) -> Result<layer::Stream>) -> Result<Stream> {
        let p_rows = self.graph.trunk.p_rows(&batch.rows);
        let layer::Stream { x, p } = pass(Streams { x: &batch.rows, p: &p_rows })?;
        let p = p.filter(|_| self.graph.config.carries_p());
        let l = self.graph.config.mechanism.l().unwrap_or(0).min(batch.n);
        Ok(Stream { x: Batch::padded(x, &batch.rows, batch.n), p: p.map(|p| Batch::padded(p, &p_rows, l)) })
    }

    /// Runs n token ids upward and hands every head of the layers that it wants to an observer, with the
    /// [`Factors`](crate::layer::Factors) that Luna has in the place of a softmax matrix.
    ///
    /// The queries of a tap are those that read (of `luna`, the unpack attention's), keys and values those of the
    /// positions (of `luna`, the pack attention's). Refuses what [`forward`](Self::forward) refuses, an empty input, and
    /// encoders whose attention is not Luna's.
    pub fn watch(&self, ids: &[u32], observer: &mut dyn Observer) -> Result<()> {
        if ids.is_empty() {
            let (what, accepted) = ("the input".to_string(), "1 or more".to_string());
            return Err(Error::Tokens { what, found: 0, accepted });
        }
        let (pass, trunk) = (self.pass(), &self.graph.trunk);
        let rows = Rows::of([ids.len()]);
        let streams = Streams { x: &rows, p: &trunk.p_rows(&rows) };
        let mut stream = trunk.begin(pass, self.embed(ids, &rows)?, streams, None);
        for (at, layer) in trunk.layers.iter().enumerate() {
            if at > 0 && !self.graph.config.p_chain {
                stream.p = trunk.first_p(pass, at, streams.p, None);
            }
            if observer.wants_layer(at) {
                for (head, watched) in layer.watch(pass, &stream)?.into_iter().enumerate() {
                    let WatchedHead { q, k, v, factors } = watched;
                    let scale = (1.0 / (q.ncols() as f64).sqrt()) as f32;
                    let (causal, factors) = (factors.causal, Some(factors));
                    let (layer, matrix) = (at, None);
                    let terms = HeadTerms::default();
                    observer.head(HeadTap { layer, head, q, k, v, scale, causal, terms, matrix, factors })?;
                }
            }
            if observer.last_layer() == Some(at) {
                break;
            }
            stream = layer.forward(pass, stream, streams, None)?;
        }
        Ok(())
    }

    /// Tokens and their positions as vectors (rows, d).
    fn embed(&self, ids: &[u32], rows: &Rows) -> Result<Array2<f32>> {
        let (pass, trunk) = (self.pass(), &self.graph.trunk);
        let Some(tokens) = trunk.tokens else {
            return Err(Error::value("input of an encoder without a vocabulary", "token ids", "vectors"));
        };
        let mut x = embedding::look_up(pass, tokens, ids, "the input")?;
        if let Some(positions) = trunk.positions {
            embedding::add_positions(pass, positions, rows, &mut x, "a sequence of the input")?;
        }
        Ok(x)
    }

    /// As [`EncoderConfig::cost`].
    pub fn cost(&self, b: usize, n: usize) -> Cost {
        self.graph.config.cost(b, n)
    }

    /// As [`EncoderConfig::extra_bytes`]: layers free what they allocated.
    pub fn extra_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        self.graph.config.extra_bytes(b, n, threads)
    }
}

/// One layer of an encoder.
#[derive(Clone, Copy)]
pub struct Layer<'a> {
    encoder: &'a Encoder,
    at: usize,
}

impl Layer<'_> {
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

    fn run(&self, stream: Stream, real: Option<&[usize]>, tally: Option<&Tally>) -> Result<Stream> {
        let EncoderGraph { config, trunk, .. } = &self.encoder.graph;
        let Stream { x, p } = stream;
        let (b, n, d) = x.dim();
        if d != config.d {
            let (what, found) = ("x of a layer".into(), x.shape().to_vec());
            return Err(Error::Shape { what, found, expected: format!("(b, n, {})", config.d) });
        }
        let carried = config.carries_p();
        let l = config.mechanism.l().unwrap_or(0).min(n);
        let shape = p.as_ref().map(Array3::dim);
        if shape != carried.then_some((b, l, d)) {
            return Err(Error::Shape {
                what: "p of a layer".into(),
                found: p.as_ref().map_or(Vec::new(), |p| p.shape().to_vec()),
                expected: if carried { format!("({b}, {l}, {d})") } else { "none".into() },
            });
        }
        let batch = Batch::check(b, n, real)?;
        let x = Batch::packed(x, &batch.rows);
        let pass = Pass { tally, ..self.encoder.pass() };
        self.encoder.over(&batch, |streams| {
            let p = match p {
                Some(p) => Some(Batch::packed(p, streams.p)),
                None => trunk.first_p(pass, self.at, streams.p, None),
            };
            trunk.layers[self.at].forward(pass, layer::Stream { x, p }, streams, None)
        })
    }

    /// As [`EncoderConfig::layer_cost`].
    pub fn cost(&self, b: usize, n: usize) -> Cost {
        self.encoder.graph.config.layer_cost(b, n)
    }

    /// As [`EncoderConfig::extra_bytes`].
    pub fn extra_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        self.encoder.extra_bytes(b, n, threads)
    }
}
