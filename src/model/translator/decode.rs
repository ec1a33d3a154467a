//! A target token by token: what is kept of its source and of its tokens so far.

use ndarray::{Array1, Array2, Axis};

use super::beam::Writer;
use super::softmax::SoftmaxState;
use super::stack::{Encoded, Kind, no_p};
use super::{Translator, TranslatorConfig};
use crate::model::luna::{DecoderState, Padding};
use crate::{Error, Result};

/// A target that is being written. Clone it to go on in several ways: what comes from the source is shared.
///
/// Softmax keeps keys and values of every token so far, Luna two sums whose size no length changes.
#[derive(Clone, Debug)]
pub struct TranslatorState {
    /// Whose it is.
    config: TranslatorConfig,
    tokens: usize,
    kept: Kept,
}

#[derive(Clone, Debug)]
enum Kept {
    Softmax(SoftmaxState),
    Luna(DecoderState),
}

impl Kept {
    fn softmax(&mut self) -> Option<&mut SoftmaxState> {
        if let Self::Softmax(kept) = self { Some(kept) } else { None }
    }

    fn luna(&mut self) -> Option<&mut DecoderState> {
        if let Self::Luna(kept) = self { Some(kept) } else { None }
    }
}

impl TranslatorState {
    /// How many tokens of the target there were, with the one in front of it.
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

impl Translator {
    /// The state before a target's first token: the source is encoded here.
    ///
    /// Refuses a source without a token or beyond the positions, and tokens beyond the vocabulary.
    pub fn start(&self, source: &[u32]) -> Result<TranslatorState> {
        let Encoded { x: context, p } = self.encode(source)?;
        let kept = match (&self.kind, p) {
            (Kind::Softmax(decoder), _) => Kept::Softmax(decoder.start(context.view())?),
            (Kind::Luna(decoder), Some(p)) => {
                Kept::Luna(decoder.start(p, context.view(), Padding::default())?)
            }
            (Kind::Luna(_), None) => return Err(no_p()),
        };
        Ok(TranslatorState { config: self.config, tokens: 0, kept })
    }

    /// Takes in a target's next token and returns the logits (vocab) of the one behind it: as
    /// [`logits`](Self::logits) of the whole target has them in this row.
    ///
    /// Refuses tokens beyond the vocabulary and beyond the last position, and a state of another network; the state is
    /// as it was before.
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
        if states.iter().any(|state| state.config != self.config) {
            let what = "state of this translator";
            return Err(Error::value(what, "another's", "one that its start gave"));
        }
        let x = self.embed(tokens, states.iter().map(TranslatorState::tokens))?;
        let x = match &self.kind {
            Kind::Softmax(decoder) => {
                let mut kept: Vec<_> = states.iter_mut().filter_map(|state| state.kept.softmax()).collect();
                decoder.step(&mut kept, x)?
            }
            Kind::Luna(decoder) => {
                let mut kept: Vec<_> = states.iter_mut().filter_map(|state| state.kept.luna()).collect();
                decoder.step_many(&mut kept, x)?
            }
        };
        for state in states {
            state.tokens += 1;
        }
        self.over_tokens(&x)
    }
}

impl Writer for Translator {
    type State = TranslatorState;

    fn write(&self, states: &mut [TranslatorState], tokens: &[u32]) -> Result<Array2<f32>> {
        self.step_many(states, tokens)
    }
}
