//! Batches of examples, as a network is given them: sequences one after the other, without padding.

use super::batch::IGNORED;

/// Sequences of tokens, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequences {
    /// The tokens of all of them.
    pub tokens: Vec<u32>,
    /// How many tokens each has.
    pub lengths: Vec<usize>,
}

/// A batch of examples with their targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examples {
    /// Sequences that an encoder or a decoder-only network reads.
    Sequences {
        /// What is read.
        inputs: Sequences,
        /// A class for each example, or the next token for each token ([`IGNORED`] where none counts).
        targets: Vec<u32>,
    },
    /// Pairs that an encoder-decoder reads and writes.
    Pairs {
        /// What the encoder reads.
        sources: Sequences,
        /// What the decoder reads: the token that begins a text, then the target.
        inputs: Sequences,
        /// What the decoder should write: the target, then the token that ends a text.
        targets: Vec<u32>,
    },
}

impl Sequences {
    /// Adds a sequence.
    pub fn push(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
        self.lengths.push(tokens.len());
    }
}

impl<'a> FromIterator<&'a [u32]> for Sequences {
    fn from_iter<I: IntoIterator<Item = &'a [u32]>>(sequences: I) -> Self {
        let mut all = Self::default();
        sequences.into_iter().for_each(|tokens| all.push(tokens));
        all
    }
}

impl Examples {
    /// Sequences of which each has a target for each of its tokens.
    pub fn next_tokens<'a>(windows: impl Iterator<Item = (&'a [u32], &'a [u32])>) -> Self {
        let (mut inputs, mut targets) = (Sequences::default(), Vec::new());
        for (tokens, of) in windows {
            inputs.push(tokens);
            targets.extend_from_slice(of);
        }
        Self::Sequences { inputs, targets }
    }

    /// How many targets count.
    pub fn counted(&self) -> usize {
        let (Self::Sequences { targets, .. } | Self::Pairs { targets, .. }) = self;
        targets.iter().filter(|target| **target != IGNORED).count()
    }

    /// How many tokens are read, on both sides of pairs.
    pub fn tokens(&self) -> usize {
        match self {
            Self::Sequences { inputs, .. } => inputs.tokens.len(),
            Self::Pairs { sources, inputs, .. } => sources.tokens.len() + inputs.tokens.len(),
        }
    }
}
