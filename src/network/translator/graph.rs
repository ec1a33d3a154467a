//! The layers of an encoder-decoder: a forward and a backward pass over a batch of pairs.

use ndarray::Array2;

use super::config::TranslatorConfig;
use crate::Result;
use crate::layer::{
    Backward, Context, DECODER_SITES, DecoderKind, DecoderLayer, LayerNorm, Layout, Matrix, Pass, Rows,
    Stream, Streams, Tape, embedding,
};
use crate::network::learned_p::LearnedP;
use crate::network::trunk::{EMBEDDING_NORM, LAST_NORM, POSITIONS, Trunk};

/// Sources and targets, pair after pair.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// The encoder's input.
    pub sources: Vec<u32>,
    /// Which of them belong to which pair.
    pub source_rows: Rows,
    /// The decoder's input: the token that begins a text, and the target.
    pub inputs: Vec<u32>,
    /// Which of them belong to which pair.
    pub rows: Rows,
    /// The next token at each place: the target, and the token that ends a text.
    pub targets: Vec<u32>,
}

/// The layers of an encoder-decoder and where its tensors lie: everything but its weights.
#[derive(Clone, Debug)]
pub(crate) struct TranslatorGraph {
    pub(crate) config: TranslatorConfig,
    pub(crate) layout: Layout,
    pub(super) encoder: Trunk,
    /// Of source, target and output.
    pub(crate) tokens: Matrix,
    pub(super) positions: Option<Matrix>,
    pub(super) norm: Option<LayerNorm>,
    /// A P of the decoder's own, where it reads one and the encoder hands on none.
    p: Option<LearnedP>,
    pub(super) layers: Vec<DecoderLayer>,
    pub(super) last: Option<LayerNorm>,
}

/// The encoder's output that a backward pass reads again.
pub(crate) struct Source {
    x: Array2<f32>,
    /// The P that all layers of the decoder read, where none of them changes it.
    p: Option<Array2<f32>>,
}

/// Dropped from the embeddings of targets; arrays of the decoder's layers have the numbers after it, far from the
/// encoder's.
const SITE: usize = 1 << 20;
/// Dropped from a P of the decoder's own.
const P_SITE: usize = SITE - 1;

impl TranslatorGraph {
    /// Of a configuration; refuses one that no network can have.
    pub(crate) fn new(config: &TranslatorConfig) -> Result<Self> {
        config.check()?;
        Ok(Self::declare(config))
    }

    /// Of a configuration that was checked. The encoder's tensors stand under `encoder.`, with the table of all tokens;
    /// the decoder's under `decoder.`, by the names of fairseq and of Luna's authors.
    pub(super) fn declare(config: &TranslatorConfig) -> Self {
        let (of, attention) = (&config.encoder, config.decoder);
        let layout = &mut Layout::default();
        let mut encoder = Trunk::declare(layout, "encoder.", of);
        if attention.kind == DecoderKind::Softmax {
            encoder = encoder.without_last_p();
        }
        let positions =
            (of.positions > 0).then(|| layout.table(format!("decoder.{POSITIONS}"), of.positions, of.d));
        let norm = |layout: &mut Layout, name: &str, wanted: bool| {
            wanted.then(|| LayerNorm::declare(layout, &format!("decoder.{name}"), of.d))
        };
        let embedding_norm = norm(layout, EMBEDDING_NORM, of.embedding_norm);
        let p =
            attention.l.map(|l| LearnedP::declare(layout, "decoder.", [l, of.d], of.embedding_norm, P_SITE));
        let layers = (0..config.decoder_layers)
            .map(|at| {
                let site = SITE + 1 + DECODER_SITES * at;
                DecoderLayer::declare(layout, "decoder.", of, attention, at, site)
            })
            .collect();
        let last = norm(layout, LAST_NORM, of.pre_norm);
        // The Luna authors' decoders normalise the last P too, which nobody reads.
        let _ = norm(layout, "proj_layer_norm", of.pre_norm && attention.kind == DecoderKind::Luna);
        encoder.declare_fixed(layout, "encoder.");
        let tokens = encoder.tokens.unwrap_or_default();
        let (config, layout, norm) = (*config, std::mem::take(layout), embedding_norm);
        Self { config, layout, encoder, tokens, positions, norm, p, layers, last }
    }

    /// Refuses attention without a backward pass.
    pub(crate) fn check_trainable(&self) -> Result<()> {
        self.encoder.check_trainable()
    }

    /// The encoder's output over sources, and the P that the decoder's lowest layer reads.
    pub(super) fn encode(
        &self,
        pass: Pass<'_>,
        sources: &[u32],
        rows: &Rows,
        mut tape: Option<&mut Tape>,
    ) -> Result<Stream> {
        let streams = Streams { x: rows, p: &self.encoder.p_rows(rows) };
        let mut stream = self.encoder.forward(pass, sources, streams, tape.as_deref_mut())?;
        if let Some(p) = &self.p {
            stream.p = Some(p.forward(pass, Some(&self.p_rows(rows)), tape));
        }
        Ok(stream)
    }

    /// Rows of the decoder's P for each source: min(l, length).
    fn p_rows(&self, sources: &Rows) -> Rows {
        self.config.decoder.l.map_or_else(|| self.encoder.p_rows(sources), |l| sources.at_most(l))
    }

    /// From the tokens of both sides to after the last layer of the decoder; the targets are not read.
    pub(crate) fn forward(
        &self,
        pass: Pass<'_>,
        pairs: &Pairs,
        mut tape: Option<&mut Tape>,
    ) -> Result<(Array2<f32>, Source)> {
        let Stream { x: source, p } =
            self.encode(pass, &pairs.sources, &pairs.source_rows, tape.as_deref_mut())?;
        let mut x = embedding::look_up(pass, self.tokens, &pairs.inputs, "the target")?;
        if let Some(positions) = self.positions {
            embedding::add_positions(pass, positions, &pairs.rows, &mut x, "a target")?;
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(pass, x, tape.as_deref_mut());
        }
        pass.dropout.apply(&mut x, SITE);
        let mut stream = Stream { x, p };
        let streams = Streams { x: &pairs.rows, p: &self.p_rows(&pairs.source_rows) };
        let context = Context { x: source.view(), rows: &pairs.source_rows };
        for layer in &self.layers {
            stream = layer.forward(pass, stream, streams, context, tape.as_deref_mut())?;
            if let Some(tape) = tape.as_deref_mut() {
                tape.layer_done();
            }
        }
        let Stream { mut x, p } = stream;
        if let Some(norm) = &self.last {
            x = norm.forward(pass, x, tape);
        }
        let p = p.filter(|_| !self.config.decoder.kind.luna_source());
        Ok((x, Source { x: source, p }))
    }

    /// Adds the gradients of all tensors, under that of the output of [`forward`](Self::forward).
    pub(crate) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        pairs: &Pairs,
        source: Source,
        mut dx: Array2<f32>,
    ) -> Result<()> {
        let Source { x: source, p } = source;
        if let Some(norm) = &self.last {
            dx = norm.backward(back, tape, dx);
        }
        let mut d = Stream { x: dx, p: None };
        let mut d_source = Array2::zeros(source.raw_dim());
        let p_rows = self.p_rows(&pairs.source_rows);
        let streams = Streams { x: &pairs.rows, p: &p_rows };
        let context = Context { x: source.view(), rows: &pairs.source_rows };
        for layer in self.layers.iter().rev() {
            let given = p.as_ref().map(|p| p.view());
            d = layer.backward(back, tape, d, streams, (context, &mut d_source), given)?;
        }
        let Stream { x: mut dx, p: mut dp } = d;
        back.pass.dropout.apply(&mut dx, SITE);
        if let Some(norm) = &self.norm {
            dx = norm.backward(back, tape, dx);
        }
        if let Some(positions) = self.positions {
            embedding::add_positions_backward(back.gradients, positions, &pairs.rows, &dx);
        }
        embedding::look_up_backward(back.gradients, self.tokens, &pairs.inputs, &dx);
        drop((source, p));
        if let Some((own, dp)) = self.p.and_then(|own| dp.take().map(|dp| (own, dp))) {
            own.backward(back, tape, dp, Some(&p_rows));
        }
        let streams = Streams { x: &pairs.source_rows, p: &self.encoder.p_rows(&pairs.source_rows) };
        self.encoder.backward(back, tape, &pairs.sources, Stream { x: d_source, p: dp }, streams)
    }
}

impl TranslatorConfig {
    /// The tensors of such a network: learned ones, then the features of a Performer encoder, which are drawn.
    pub fn layout(&self) -> Layout {
        TranslatorGraph::declare(self).layout
    }

    /// The number of parameters: of learned elements.
    pub fn parameters(&self) -> usize {
        self.layout().learned()
    }
}
