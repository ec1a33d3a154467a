//! From tokens or vectors through all layers: what classifiers, language models and the encoders of translators share.

use ndarray::Array2;

use super::learned_p::{EMBEDDING_NORM as P_EMBEDDING_NORM, LearnedP, P};
use crate::Result;
use crate::error::Error;
use crate::layer::{
    Backward, EncoderConfig, EncoderLayer, LayerNorm, Layout, Matrix, Mechanism, Pass, Rows, Stream, Streams,
    Tape, embedding,
};

/// Names of the table of tokens and that of positions; the Luna authors' names.
pub(super) const TOKENS: &str = "embed_tokens.weight";
pub(super) const POSITIONS: &str = "embed_positions.weight";
/// The norm of the embeddings of X.
pub(super) const EMBEDDING_NORM: &str = "layernorm_embedding";
/// The norms after a stack whose blocks have theirs before.
pub(super) const LAST_NORM: &str = "layer_norm";
const P_LAST_NORM: &str = "proj_layer_norm";

/// Embeddings where the configuration has them, layers, and last norms.
#[derive(Clone, Debug)]
pub(crate) struct Trunk {
    config: EncoderConfig,
    pub(super) tokens: Option<Matrix>,
    pub(super) positions: Option<Matrix>,
    /// P below the lowest layer, where all layers share one.
    pub(super) p: Option<Matrix>,
    pub(super) norm: Option<LayerNorm>,
    p_norm: Option<LayerNorm>,
    pub(super) layers: Vec<EncoderLayer>,
    pub(super) last: Option<LayerNorm>,
    p_last: Option<LayerNorm>,
    /// Whether the last P is read, and so normalised.
    reads_last_p: bool,
}

/// Dropped from the embeddings of X, and after all layers from those of P.
const SITE: usize = 0;
const P_SITE: usize = usize::MAX >> 33;

impl Trunk {
    /// Declares the learned tensors.
    pub(crate) fn declare(layout: &mut Layout, prefix: &str, config: &EncoderConfig) -> Self {
        let d = config.d;
        let table = |layout: &mut Layout, name: &str, rows: usize| {
            (rows > 0).then(|| layout.table(format!("{prefix}{name}"), rows, d))
        };
        let norm = |layout: &mut Layout, name: &str, wanted: bool| {
            wanted.then(|| LayerNorm::declare(layout, &format!("{prefix}{name}"), d))
        };
        let tokens = table(layout, TOKENS, config.vocab.unwrap_or(0));
        let p = table(layout, P, config.shared_p());
        let positions = table(layout, POSITIONS, config.positions);
        let embedding_norm = norm(layout, EMBEDDING_NORM, config.embedding_norm);
        let p_norm = norm(layout, P_EMBEDDING_NORM, config.embedding_norm && p.is_some());
        let layers = (0..config.layers).map(|at| EncoderLayer::declare(layout, prefix, config, at)).collect();
        let last = norm(layout, LAST_NORM, config.pre_norm);
        let p_last = norm(layout, P_LAST_NORM, config.pre_norm && config.carries_p());
        let (config, norm) = (*config, embedding_norm);
        Self { config, tokens, positions, p, norm, p_norm, layers, last, p_last, reads_last_p: true }
    }

    /// Declares what is drawn and not learned, after all learned tensors of the network.
    pub(crate) fn declare_fixed(&mut self, layout: &mut Layout, prefix: &str) {
        for (at, layer) in self.layers.iter_mut().enumerate() {
            layer.declare_fixed(layout, prefix, at);
        }
    }

    /// The same where nobody reads the last P.
    pub(crate) fn without_last_p(mut self) -> Self {
        self.reads_last_p = false;
        self
    }

    /// Refuses attention without a backward pass.
    pub(crate) fn check_trainable(&self) -> Result<()> {
        self.layers.iter().try_for_each(EncoderLayer::check_trainable)
    }

    /// Rows of P in each sequence: min(l, length).
    pub(crate) fn p_rows(&self, rows: &Rows) -> Rows {
        match self.config.mechanism {
            Mechanism::Luna { l, .. } => rows.at_most(l),
            _ => rows.at_most(0),
        }
    }

    /// The P that layer `at` reads where no layer below it hands one on: in every sequence (Luna), or for all of them.
    pub(crate) fn first_p(
        &self,
        pass: Pass<'_>,
        at: usize,
        p_rows: &Rows,
        tape: Option<&mut Tape>,
    ) -> Option<Array2<f32>> {
        Some(self.learned_p(at)?.forward(pass, self.own_rows(p_rows), tape))
    }

    /// The learned P that layer `at` reads where no layer below it hands one on.
    fn learned_p(&self, at: usize) -> Option<LearnedP> {
        let own = self.layers.get(at).and_then(|layer| layer.own_p);
        let site = P_SITE - if own.is_some() { at } else { 0 };
        Some(LearnedP { table: own.or(self.p)?, norm: self.p_norm, site })
    }

    /// The rows of P where every sequence has its own.
    fn own_rows<'a>(&self, p_rows: &'a Rows) -> Option<&'a Rows> {
        matches!(self.config.mechanism, Mechanism::Luna { .. }).then_some(p_rows)
    }

    /// The table of tokens.
    pub(crate) fn tokens(&self) -> Option<Matrix> {
        self.tokens
    }

    /// From tokens to after the last layer and its norms.
    pub(crate) fn forward(
        &self,
        pass: Pass<'_>,
        ids: &[u32],
        streams: Streams<'_>,
        tape: Option<&mut Tape>,
    ) -> Result<Stream> {
        let Some(tokens) = self.tokens else {
            return Err(Error::value("input of an encoder without a vocabulary", "token ids", "vectors"));
        };
        self.forward_vectors(pass, embedding::look_up(pass, tokens, ids, "the input")?, streams, tape)
    }

    /// The same from vectors (rows, d) in the place of embedded tokens; positions are added where there are any.
    pub(crate) fn forward_vectors(
        &self,
        pass: Pass<'_>,
        mut x: Array2<f32>,
        streams: Streams<'_>,
        mut tape: Option<&mut Tape>,
    ) -> Result<Stream> {
        if let Some(positions) = self.positions {
            embedding::add_positions(pass, positions, streams.x, &mut x, "a sequence of the input")?;
        }
        let stream = self.begin(pass, x, streams, tape.as_deref_mut());
        let Stream { mut x, mut p } = self.through_layers(pass, stream, streams, tape.as_deref_mut())?;
        if let Some(norm) = &self.last {
            x = norm.forward(pass, x, tape.as_deref_mut());
        }
        if let (Some(norm), true) = (&self.p_last, self.reads_last_p) {
            p = p.map(|p| norm.forward(pass, p, tape));
        }
        Ok(Stream { x, p })
    }

    /// The lowest layer's input, of embedded tokens.
    pub(super) fn begin(
        &self,
        pass: Pass<'_>,
        mut x: Array2<f32>,
        streams: Streams<'_>,
        mut tape: Option<&mut Tape>,
    ) -> Stream {
        if let Some(norm) = &self.norm {
            x = norm.forward(pass, x, tape.as_deref_mut());
        }
        pass.dropout.apply(&mut x, SITE);
        let p = self.first_p(pass, 0, streams.p, tape);
        Stream { x, p }
    }

    /// Through all layers, of which each layer's input is the last one's output, but for a P of its own.
    pub(crate) fn through_layers(
        &self,
        pass: Pass<'_>,
        mut stream: Stream,
        streams: Streams<'_>,
        mut tape: Option<&mut Tape>,
    ) -> Result<Stream> {
        for at in 0..self.layers.len() {
            if at > 0 && !self.config.p_chain {
                stream.p = self.first_p(pass, at, streams.p, None);
            }
            stream = self.layers[at].forward(pass, stream, streams, tape.as_deref_mut())?;
            if let Some(tape) = tape.as_deref_mut() {
                tape.layer_done();
            }
        }
        Ok(stream)
    }

    /// Adds the gradients of all tensors, under those of the output of [`forward`](Self::forward).
    pub(crate) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        ids: &[u32],
        mut d: Stream,
        streams: Streams<'_>,
    ) -> Result<()> {
        if let (Some(norm), true) = (&self.p_last, self.reads_last_p) {
            d.p = d.p.map(|dp| norm.backward(back, tape, dp));
        }
        if let Some(norm) = &self.last {
            d.x = norm.backward(back, tape, d.x);
        }
        let Stream { x: mut dx, p } = self.layers_backward(back, tape, d, streams)?;
        if let (Some(learned), Some(dp)) = (self.p.and(self.learned_p(0)), p) {
            learned.backward(back, tape, dp, self.own_rows(streams.p));
        }
        back.pass.dropout.apply(&mut dx, SITE);
        if let Some(norm) = &self.norm {
            dx = norm.backward(back, tape, dx);
        }
        if let Some(positions) = self.positions {
            embedding::add_positions_backward(back.gradients, positions, streams.x, &dx);
        }
        if let Some(tokens) = self.tokens {
            embedding::look_up_backward(back.gradients, tokens, ids, &dx);
        }
        Ok(())
    }

    /// The gradients of the lowest layer's input, under those of the highest layer's output.
    pub(crate) fn layers_backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        mut d: Stream,
        streams: Streams<'_>,
    ) -> Result<Stream> {
        for (at, layer) in self.layers.iter().enumerate().rev() {
            d = layer.backward(back, tape, d, streams)?;
            let own = self.learned_p(at).zip(d.p.take_if(|_| layer.own_p.is_some()));
            if let Some((learned, dp)) = own {
                learned.backward(back, tape, dp, self.own_rows(streams.p));
            }
        }
        Ok(d)
    }
}
