//! A token at a time: what a causal stack keeps of the tokens so far, and the logits of the next one.

use ndarray::{Array1, ArrayView1, ArrayViewMut2, Axis};

use super::layer::{Kind, Transformer};
use super::luna::Causal;
use super::{Encoder, EncoderConfig, Layer};
use crate::attention::Past;
use crate::model::luna::CausalState;
use crate::{Error, Result};

/// What a causal stack keeps of the tokens so far. Softmax keeps keys and values of all of them, a window those that it
/// sees; linear attention, Performer and causal Luna keep sums, whose size no length changes.
#[derive(Clone, Debug)]
pub struct DecodingState {
    /// Whose it is.
    config: EncoderConfig,
    tokens: usize,
    layers: Vec<Kept>,
}

#[derive(Clone, Debug)]
enum Kept {
    /// Of each head.
    Heads(Vec<Box<dyn Past>>),
    Luna(CausalState),
}

impl DecodingState {
    /// How many tokens there were.
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

impl Encoder {
    /// The state before the first token of a sequence.
    ///
    /// Refuses stacks that are not causal, and heads that are not of tokens.
    pub fn start(&self) -> Result<DecodingState> {
        self.needs("tokens")?;
        if !self.config.causal {
            return Err(Error::value("mask of an encoder that takes a token at a time", "full", "causal"));
        }
        let layers = self.layers.iter().map(Layer::start).collect::<Result<_>>()?;
        Ok(DecodingState { config: self.config, tokens: 0, layers })
    }

    /// Takes in the next token and returns the logits (vocab) of the one behind it: as
    /// [`token_logits`](Self::token_logits) of the whole sequence has them in this row.
    ///
    /// Refuses tokens beyond the vocabulary and beyond the last position, and a state of another encoder; the state is
    /// as it was before.
    pub fn step(&self, state: &mut DecodingState, token: u32) -> Result<Array1<f32>> {
        if state.config != self.config {
            return Err(Error::value("state of this encoder", "another's", "one that its start gave"));
        }
        let mut x = self.embed_at(token, state.tokens)?.insert_axis(Axis(0));
        if let Some(norm) = &self.embedding_norms.x {
            norm.apply(x.view_mut());
        }
        for (layer, kept) in self.layers.iter().zip(&mut state.layers) {
            match (&layer.kind, kept) {
                (Kind::Transformer(layer), Kept::Heads(pasts)) => layer.step(pasts, x.view_mut()),
                (Kind::Causal(layer), Kept::Luna(state)) => layer.step(state, x.view_mut())?,
                _ => {}
            }
        }
        if let Some(norm) = &self.last_norms.x {
            norm.apply(x.view_mut());
        }
        state.tokens += 1;
        Ok(self.over_tokens(x.view())?.index_axis_move(Axis(0), 0))
    }

    /// A token at a place, as a vector (d).
    fn embed_at(&self, token: u32, place: usize) -> Result<Array1<f32>> {
        let row = |table: &ndarray::Array2<f32>, at: usize| {
            (at < table.nrows()).then(|| table.index_axis(Axis(0), at).to_owned())
        };
        let vocab = self.config.vocab.unwrap_or(0);
        let tokens = self.tokens.as_ref().and_then(|tokens| row(tokens, token as usize));
        let mut x = tokens.ok_or_else(|| {
            Error::value("token of the input", token, format!("ids below {vocab}, the vocabulary"))
        })?;
        if let Some(positions) = &self.positions {
            let position = row(positions, place).ok_or_else(|| Error::Tokens {
                what: "a sequence that is decoded".into(),
                found: place + 1,
                accepted: format!("{} or less, the positions", positions.nrows()),
            })?;
            x += &position;
        }
        Ok(x)
    }
}

impl Layer {
    fn start(&self) -> Result<Kept> {
        match &self.kind {
            Kind::Transformer(layer) => layer.attention.start(self.config.head_width()).map(Kept::Heads),
            Kind::Causal(layer) => layer.attention.start(layer.p.view(), None).map(Kept::Luna),
            Kind::Luna(_) | Kind::OwnP(_) => {
                Err(Error::value("attention that takes a row at a time", "luna", "luna-causal"))
            }
        }
    }
}

impl Transformer {
    /// The next row (1, d) in place.
    fn step(&self, pasts: &mut [Box<dyn Past>], mut x: ArrayViewMut2<'_, f32>) {
        let input = self.blocks.norm.before(self.blocks.pre_norm, x.view());
        let read = self.attention.step([pasts], input.view());
        drop(input);
        self.attention.add(x.view_mut(), &read, None);
        self.blocks.behind(x, None);
    }
}

impl Causal {
    /// The next row (1, d) in place.
    fn step(&self, state: &mut CausalState, mut x: ArrayViewMut2<'_, f32>) -> Result<()> {
        let y = {
            let input = self.blocks.norm.before(self.blocks.pre_norm, x.view());
            let row: ArrayView1<'_, f32> = input.row(0);
            self.attention.step(state, row)?
        };
        x += &y;
        self.blocks.behind(x, None);
        Ok(())
    }
}
