//! Incremental decoding: the state of a causal network after some tokens, and the logits of the next one.

use ndarray::{Array1, Axis};

use super::encoder::Encoder;
use super::head::over_tokens;
use crate::layer::{EncoderConfig, LayerState, Rows, embedding};
use crate::{Error, Result};

/// What a causal network remembers of the tokens so far. Softmax keeps keys and values of all of them, a window those that
/// it sees; linear attention, Performer and causal Luna keep sums, whose size does not depend on the length.
#[derive(Clone, Debug)]
pub struct DecodingState {
    /// Of the network that it belongs to.
    config: EncoderConfig,
    tokens: usize,
    layers: Vec<LayerState>,
}

impl DecodingState {
    /// The number of tokens so far.
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

impl Encoder {
    /// The state before the first token of a sequence.
    ///
    /// Refuses networks that are not causal, and heads that are not of tokens.
    pub fn start(&self) -> Result<DecodingState> {
        self.token_head()?;
        if !self.config().causal {
            return Err(Error::value("mask of an encoder that takes a token at a time", "full", "causal"));
        }
        let (pass, trunk) = (self.pass(), &self.graph.trunk);
        let layer = |at: usize| {
            let p = trunk.first_p(pass, at, &Rows::of([]), None);
            trunk.layers[at].start(pass, p.as_ref().map(|p| p.view()))
        };
        let layers = (0..trunk.layers.len()).map(layer).collect::<Result<_>>()?;
        Ok(DecodingState { config: *self.config(), tokens: 0, layers })
    }

    /// Takes in the next token and returns the logits (vocab) of the one after it: as
    /// [`token_logits`](Self::token_logits) of the whole sequence has them in this row.
    ///
    /// Refuses tokens beyond the vocabulary and beyond the last position, and a state of another network; the state is
    /// then as it was before.
    pub fn step(&self, state: &mut DecodingState, token: u32) -> Result<Array1<f32>> {
        let tokens = self.token_head()?;
        if state.config != *self.config() {
            return Err(Error::value("decoding state", "one of another network", "one that its start gave"));
        }
        let (pass, trunk) = (self.pass(), &self.graph.trunk);
        let what = ["the input", "a decoded sequence"];
        let mut x = embedding::at_places(pass, tokens, trunk.positions, &[token], [state.tokens], what)?;
        if let Some(norm) = &trunk.norm {
            x = norm.forward(pass, x, None);
        }
        for (layer, state) in trunk.layers.iter().zip(&mut state.layers) {
            x = layer.step(pass, state, x)?;
        }
        if let Some(norm) = &trunk.last {
            x = norm.forward(pass, x, None);
        }
        state.tokens += 1;
        Ok(over_tokens(pass, tokens, x.view()).index_axis_move(Axis(0), 0))
    }
}
