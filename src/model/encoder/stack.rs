//! A stack of layers, with embeddings below it where the configuration has them.

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView1, ArrayView2, Axis};

use super::head::{CLASSIFIER, Head};
use super::layer::rows;
use super::tensors::{EMBEDDING_NORM, LAST_NORM, P, P_EMBEDDING_NORM, P_LAST_NORM, POSITIONS, TOKENS};
use super::{EncoderConfig, Layer, Stream};
use crate::cost::Tally;
use crate::model::linear::{Count, Linear};
use crate::model::luna::{LayerNorm, Look, Named};
use crate::model::{HeadTap, Observer};
use crate::{Error, Result};

/// An encoder: embeddings if its configuration has them, layers, last norms if norms stand before blocks, and a head.
pub struct Encoder {
    pub(super) config: EncoderConfig,
    pub(super) layers: Vec<Layer>,
    pub(super) tokens: Option<Array2<f32>>,
    pub(super) positions: Option<Array2<f32>>,
    p: Option<Array2<f32>>,
    pub(super) embedding_norms: Norms,
    pub(super) last_norms: Norms,
    pub(super) classifier: Option<Linear<'static>>,
}

/// The norms of X and of P, where there are any.
#[derive(Default)]
pub(super) struct Norms {
    pub(super) x: Option<LayerNorm>,
    p: Option<LayerNorm>,
}

impl Norms {
    /// The norms of these names, P's only if there is a P to normalise; nothing unless `wanted`.
    fn load(named: &Named, config: &EncoderConfig, wanted: bool, p: bool, names: [&str; 2]) -> Result<Self> {
        if !wanted {
            return Ok(Self::default());
        }
        let load = |name: &str| LayerNorm::load(named, name, config.d, config.luna_layer().eps);
        Ok(Self { x: Some(load(names[0])?), p: p.then(|| load(names[1])).transpose()? })
    }

    fn apply(&self, stream: &mut Stream) {
        for (norm, of) in [(&self.x, Some(&mut stream.x)), (&self.p, stream.p.as_mut())] {
            if let (Some(norm), Some(of)) = (norm, of) {
                norm.apply(rows(of));
            }
        }
    }
}

impl Encoder {
    /// Reads the tensors that [`EncoderConfig::tensors`] lists, and a Performer's features.
    pub fn load(named: &Named, config: &EncoderConfig) -> Result<Self> {
        config.check()?;
        let d = config.d;
        let table = |name: &str, rows: usize| named.matrix(&format!("{name}.weight"), (rows, d));
        let shared = config.shared_p();
        let mut p = (shared > 0).then(|| named.matrix(P, (shared, d))).transpose()?;
        let embedding_norms = Norms::load(
            named,
            config,
            config.embedding_norm,
            shared > 0,
            [EMBEDDING_NORM, P_EMBEDDING_NORM],
        )?;
        let last_norms =
            Norms::load(named, config, config.pre_norm, config.carries_p(), [LAST_NORM, P_LAST_NORM])?;
        // A P that no layer changes is normalised once and given to each; it is no part of the stream.
        let fixed = if config.carries_p() { None } else { p.take() }.map(|mut p| {
            if let Some(norm) = &embedding_norms.p {
                norm.apply(p.view_mut());
            }
            Arc::new(p)
        });
        let all = named.within("layers");
        let layer = |at: usize| Layer::with_p(&all.within(&at.to_string()), config, fixed.as_ref());
        let classifier = match config.head {
            Head::Classes(classes) => Some(named.linear(CLASSIFIER, classes, d)?),
            Head::None | Head::Pairs(_) | Head::Tokens => None,
        };
        Ok(Self {
            config: *config,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            tokens: config.vocab.map(|vocab| table(TOKENS, vocab)).transpose()?,
            positions: (config.positions > 0).then(|| table(POSITIONS, config.positions)).transpose()?,
            p,
            embedding_norms,
            last_norms,
            classifier,
        })
    }

    /// An encoder with weights drawn from a seed: the same seed, the same weights, whatever else is drawn.
    pub fn random(config: &EncoderConfig, seed: u64) -> Result<Self> {
        config.check()?;
        Self::load(&config.draw(seed), config)
    }

    /// What it was made from.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// P below the lowest layer, shape (l, d), where layers carry it upward (Luna, in a chain).
    pub fn p(&self) -> Option<&Array2<f32>> {
        self.p.as_ref()
    }

    /// Token ids (b, n) encoded; `real` are the real tokens of each sequence, all of them where it is `None`.
    ///
    /// Refuses ids beyond the vocabulary, sequences beyond the positions, and an encoder without a vocabulary.
    pub fn forward(&self, ids: ArrayView2<'_, u32>, real: Option<&[usize]>) -> Result<Stream> {
        self.rise(self.embed(ids)?, real, None)
    }

    /// Runs n token ids upward and hands every head of the layers that it wants to an observer, with the
    /// [`Factors`](crate::model::luna::Factors) that Luna has in the place of a softmax matrix.
    ///
    /// The queries of a tap are those that read (of `luna`, the unpack attention's), keys and values those of the
    /// positions (of `luna`, the pack attention's). Refuses what [`forward`](Self::forward) refuses, an empty input, and
    /// encoders whose attention is not Luna's.
    pub fn watch(&self, ids: &[u32], observer: &mut dyn Observer) -> Result<()> {
        if ids.is_empty() {
            let (what, accepted) = ("the input".to_string(), "1 or more".to_string());
            return Err(Error::Tokens { what, found: 0, accepted });
        }
        let mut stream =
            Stream::new(self.embed(ArrayView1::from(ids).insert_axis(Axis(0)))?, self.p.as_ref());
        self.embedding_norms.apply(&mut stream);
        for (at, layer) in self.layers.iter().enumerate() {
            if observer.wants_layer(at) {
                for (head, look) in layer.look(&stream)?.into_iter().enumerate() {
                    let Look { q, k, v, factors } = look;
                    let scale = (1.0 / (q.ncols() as f64).sqrt()) as f32;
                    let (causal, factors) = (factors.causal, Some(factors));
                    let (layer, matrix) = (at, None);
                    observer.head(HeadTap { layer, head, q, k, v, scale, causal, matrix, factors })?;
                }
            }
            if observer.last_layer() == Some(at) {
                break;
            }
            stream = layer.run(stream, None, None)?;
        }
        Ok(())
    }

    /// As [`forward`](Self::forward); every product adds its multiply-adds to the tally when it is done.
    pub fn forward_counted(
        &self,
        ids: ArrayView2<'_, u32>,
        real: Option<&[usize]>,
        tally: &Tally,
    ) -> Result<Stream> {
        self.rise(self.embed(ids)?, real, Some(tally))
    }

    /// As [`forward`](Self::forward), from vectors (b, n, d) in the place of embedded tokens; positions are added
    /// where the encoder has them.
    pub fn forward_vectors(&self, mut x: Array3<f32>, real: Option<&[usize]>) -> Result<Stream> {
        if x.dim().2 != self.config.d {
            let (what, found) = ("vectors of an encoder".into(), x.shape().to_vec());
            return Err(Error::Shape { what, found, expected: format!("(b, n, {})", self.config.d) });
        }
        if !x.is_standard_layout() {
            x = x.as_standard_layout().into_owned();
        }
        self.place(&mut x)?;
        self.rise(x, real, None)
    }

    /// The table of tokens, (vocab, d), if there is a vocabulary.
    pub(in crate::model) fn token_table(&self) -> Option<&Array2<f32>> {
        self.tokens.as_ref()
    }

    /// From embedded tokens to the top.
    fn rise(&self, x: Array3<f32>, real: Option<&[usize]>, count: Count<'_>) -> Result<Stream> {
        let mut stream = Stream::new(x, self.p.as_ref());
        self.embedding_norms.apply(&mut stream);
        for layer in &self.layers {
            stream = layer.run(stream, real, count)?;
        }
        self.last_norms.apply(&mut stream);
        Ok(stream)
    }

    /// Tokens and their positions as vectors, shape (b, n, d).
    fn embed(&self, ids: ArrayView2<'_, u32>) -> Result<Array3<f32>> {
        let Some(tokens) = &self.tokens else {
            return Err(Error::value("input of an encoder without a vocabulary", "token ids", "vectors"));
        };
        if let Some(id) = ids.iter().find(|id| **id as usize >= tokens.nrows()) {
            let accepted = format!("ids below {}, the vocabulary", tokens.nrows());
            return Err(Error::value("token of the input", id, accepted));
        }
        let mut x = Array3::zeros((ids.nrows(), ids.ncols(), self.config.d));
        for (mut rows, ids) in x.outer_iter_mut().zip(ids.rows()) {
            for (mut row, id) in rows.rows_mut().into_iter().zip(ids) {
                row.assign(&tokens.row(*id as usize));
            }
        }
        self.place(&mut x)?;
        Ok(x)
    }

    /// Adds positions.
    fn place(&self, x: &mut Array3<f32>) -> Result<()> {
        let Some(positions) = &self.positions else { return Ok(()) };
        let n = x.dim().1;
        if n > positions.nrows() {
            let accepted = format!("{} or less, the positions", positions.nrows());
            return Err(Error::Tokens { what: "a sequence of the input".into(), found: n, accepted });
        }
        *x += &positions.slice(ndarray::s![..n, ..]);
        Ok(())
    }
}
