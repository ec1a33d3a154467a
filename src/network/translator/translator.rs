//! An encoder-decoder with its weights: logits of whole targets, and incremental decoding.

use ndarray::{Array1, Array2, Axis};

use super::beam::Writer;
use super::config::TranslatorConfig;
use super::graph::{Pairs, TranslatorGraph};
use crate::layer::{DecoderLayerState, Layout, Pass, Rows, Stream, embedding};
use crate::model::Named;
use crate::network::head::over_tokens;
use crate::{Error, Result};

/// An encoder-decoder.
pub struct Translator {
    graph: TranslatorGraph,
    weights: Vec<f32>,
}

/// A target that is being written. Clone it to decode on in several ways: what follows from the source is shared.
///
/// Softmax keeps keys and values of every token so far, Luna two sums whose size does not depend on the length.
#[derive(Clone, Debug)]
pub struct TranslatorState {
    /// Of the network that it belongs to.
    config: TranslatorConfig,
    tokens: usize,
    layers: Vec<DecoderLayerState>,
}

impl TranslatorState {
    /// The number of tokens of the target so far, with the one that begins it.
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

impl Translator {
    /// Reads the tensors that [`TranslatorConfig::layout`] lists.
    pub fn load(named: &Named, config: &TranslatorConfig) -> Result<Self> {
        let graph = TranslatorGraph::new(config)?;
        Ok(Self { weights: named.gather(&graph.layout)?, graph })
    }

    /// Its configuration.
    pub fn config(&self) -> &TranslatorConfig {
        &self.graph.config
    }

    /// Its tensors.
    pub fn layout(&self) -> &Layout {
        &self.graph.layout
    }

    fn pass(&self) -> Pass<'_> {
        Pass::new(&self.weights)
    }

    /// The logits (m, vocab) of the next token after each of the m tokens of a target, of which the first is the one that
    /// begins every target.
    ///
    /// Refuses a source or a target without a token, tokens beyond the vocabulary and sequences beyond the positions.
    pub fn logits(&self, source: &[u32], target: &[u32]) -> Result<Array2<f32>> {
        refuse_empty("a source", source)?;
        refuse_empty("a target", target)?;
        let pair = Pairs {
            sources: source.to_vec(),
            source_rows: Rows::of([source.len()]),
            inputs: target.to_vec(),
            rows: Rows::of([target.len()]),
            targets: Vec::new(),
        };
        let (x, _) = self.graph.forward(self.pass(), &pair, None)?;
        Ok(over_tokens(self.pass(), self.graph.tokens, x.view()))
    }

    /// The state before a target's first token: the source is encoded here.
    ///
    /// Refuses a source without a token or beyond the positions, and tokens beyond the vocabulary.
    pub fn start(&self, source: &[u32]) -> Result<TranslatorState> {
        refuse_empty("a source", source)?;
        let pass = self.pass();
        let Stream { x: context, mut p } =
            self.graph.encode(pass, source, &Rows::of([source.len()]), None)?;
        let mut layers = Vec::with_capacity(self.graph.layers.len());
        for layer in &self.graph.layers {
            let state;
            (state, p) = layer.start(pass, p, context.view())?;
            layers.push(state);
        }
        Ok(TranslatorState { config: self.graph.config, tokens: 0, layers })
    }

    /// Takes in a target's next token and returns the logits (vocab) of the one after it: as
    /// [`logits`](Self::logits) of the whole target has them in this row.
    ///
    /// Refuses tokens beyond the vocabulary and beyond the last position, and a state of another network; the state is
    /// then as it was before.
    pub fn step(&self, state: &mut TranslatorState, token: u32) -> Result<Array1<f32>> {
        Ok(self.step_many(std::slice::from_mut(state), &[token])?.index_axis_move(Axis(0), 0))
    }

    /// As [`step`](Self::step), of several targets at once: a token a state, logits (states, vocab). Targets of one
    /// source that stand side by side read it together.
    pub fn step_many(&self, states: &mut [TranslatorState], tokens: &[u32]) -> Result<Array2<f32>> {
        if states.len() != tokens.len() {
            let (what, found) = ("tokens of a step".to_string(), vec![tokens.len()]);
            return Err(Error::Shape { what, found, expected: format!("({}), one a state", states.len()) });
        }
        if states.iter().any(|state| state.config != self.graph.config) {
            let what = "decoding state";
            return Err(Error::value(what, "one of another network", "one that its start gave"));
        }
        let (pass, graph) = (self.pass(), &self.graph);
        let places = states.iter().map(TranslatorState::tokens);
        let what = ["the target", "a target"];
        let mut x = embedding::at_places(pass, graph.tokens, graph.positions, tokens, places, what)?;
        if let Some(norm) = &graph.norm {
            x = norm.forward(pass, x, None);
        }
        if !states.is_empty() {
            for (at, layer) in graph.layers.iter().enumerate() {
                let mut of_layer: Vec<&mut DecoderLayerState> =
                    states.iter_mut().map(|state| &mut state.layers[at]).collect();
                x = layer.step(pass, &mut of_layer, x)?;
            }
        }
        if let Some(norm) = &graph.last {
            x = norm.forward(pass, x, None);
        }
        for state in states {
            state.tokens += 1;
        }
        Ok(over_tokens(pass, graph.tokens, x.view()))
    }
}

impl Writer for Translator {
    type State = TranslatorState;

    fn write(&self, states: &mut [TranslatorState], tokens: &[u32]) -> Result<Array2<f32>> {
        self.step_many(states, tokens)
    }
}

fn refuse_empty(what: &str, tokens: &[u32]) -> Result<()> {
    if !tokens.is_empty() {
        return Ok(());
    }
    Err(Error::Tokens { what: what.into(), found: 0, accepted: "1 or more".into() })
}
