//! The configuration of an encoder or a decoder-only network.

use super::activation::Activation;
use super::mechanism::Mechanism;
use crate::attention::Mask;
use crate::{Error, Result};

/// What is added to a norm's variance.
pub(crate) const EPS: f64 = 1e-5;

/// Sizes of an encoder, or of a decoder-only network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // facts of their own, not states of one machine
pub struct EncoderConfig {
    /// The attention of its layers.
    pub mechanism: Mechanism,
    /// d: width of the model.
    pub d: usize,
    /// h: heads; Luna packs with as many.
    pub heads: usize,
    /// Width inside the feed-forward networks.
    pub ffn: usize,
    /// Layers.
    pub layers: usize,
    /// Activation of the feed-forward networks.
    pub activation: Activation,
    /// Whether norms stand before blocks (with a last norm after the stack), else after them.
    pub pre_norm: bool,
    /// Tokens of the vocabulary; `None` for an encoder of vectors, without embeddings of tokens.
    pub vocab: Option<usize>,
    /// Rows of the table of learned positions: the longest sequence; 0 for none.
    pub positions: usize,
    /// Whether embeddings are normalised (of X and of P each by a norm of its own).
    pub embedding_norm: bool,
    /// Whether row t reads rows 0 to t only: a decoder-only stack.
    pub causal: bool,
    /// Whether Luna's layers share one P: carried from layer to layer by `luna`, the same for all layers of
    /// `luna-causal`. Otherwise every layer has a learned P of its own, reads it raw, and what it packs goes no further
    /// (the paper's ablation). Other mechanisms have no P and do not ask.
    pub p_chain: bool,
    /// The output head.
    pub head: Head,
}

impl EncoderConfig {
    /// Layers without embeddings and head, norms after blocks, gelu, no mask, one P.
    pub fn new(mechanism: Mechanism, d: usize, heads: usize, ffn: usize, layers: usize) -> Self {
        Self {
            mechanism,
            d,
            heads,
            ffn,
            layers,
            activation: Activation::Gelu,
            pre_norm: false,
            vocab: None,
            positions: 0,
            embedding_norm: false,
            causal: false,
            p_chain: true,
            head: Head::None,
        }
    }

    /// The Luna paper's encoder of byte-level text (Long Range Arena): 4 layers of width 256, 4 heads, feed-forward
    /// width 1024, learned positions, normalised embeddings, gelu, norms after blocks; 256 bytes and 4 special tokens.
    ///
    /// The paper's Transformer of this task has its norms before blocks; here every mechanism has the same places, so
    /// that attention is what differs.
    pub fn byte_text(mechanism: Mechanism) -> Self {
        Self {
            vocab: Some(260),
            positions: 4002,
            embedding_norm: true,
            ..Self::new(mechanism, 256, 4, 1024, 4)
        }
    }

    /// Width of one head, d / h.
    pub fn head_width(&self) -> usize {
        self.d / self.heads.max(1)
    }

    /// Refuses sizes that no layer can have.
    pub(crate) fn check(&self) -> Result<()> {
        for (what, size) in [("d", self.d), ("ffn", self.ffn), ("heads", self.heads)] {
            if size == 0 {
                return Err(Error::value(format!("{what} of an encoder"), size, "1 or more"));
            }
        }
        if !self.d.is_multiple_of(self.heads) {
            return Err(Error::value("heads", self.heads, format!("a divisor of d = {}", self.d)));
        }
        if self.mechanism.l() == Some(0) {
            let what = format!("parameter 'l' of attention '{}'", self.mechanism.name());
            return Err(Error::value(what, 0, "1 or more"));
        }
        if !self.mechanism.honours(self.mask()) {
            let what = if self.causal { "a causal encoder" } else { "an encoder that is not causal" };
            let (name, accepted) = (self.mechanism.name(), Mechanism::honouring(self.mask()));
            return Err(Error::value(format!("attention of {what}"), name, accepted));
        }
        self.head.check(self.vocab)
    }

    /// What a row sees.
    pub fn mask(&self) -> Mask {
        if self.causal { Mask::Causal } else { Mask::Full }
    }

    /// How many rows of P stand below the lowest layer and are shared by all; 0 where there are none.
    pub(crate) fn shared_p(&self) -> usize {
        if self.p_chain { self.mechanism.p_rows() } else { 0 }
    }

    /// How many rows of P every layer has for itself; 0 where there are none.
    pub(super) fn own_p(&self) -> usize {
        if self.p_chain { 0 } else { self.mechanism.p_rows() }
    }

    /// Whether P is changed by layers, and so normalised by them.
    pub(crate) fn carries_p(&self) -> bool {
        self.p_chain && matches!(self.mechanism, Mechanism::Luna { .. })
    }
}

/// The output head of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// None: the output is X itself.
    #[default]
    None,
    /// Logits of so many classes: `classifier` on the mean over a sequence's rows.
    Classes(usize),
    /// Logits of so many classes for pairs of sequences, each encoded alone by the same weights: of the means x1 and x2 over
    /// their rows, `[x1, x2, x1 x2, x1 - x2]` through a hidden layer of the feed-forward width with relu,
    /// `classifier.fc1` and `classifier.fc2` (Tay et al. 2021, document retrieval).
    Pairs(usize),
    /// Logits of the next token: every row times the table of tokens, `X embed_tokens^T`; nothing more is learned.
    Tokens,
}

impl Head {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Classes(_) => "classes",
            Self::Pairs(_) => "pairs",
            Self::Tokens => "tokens",
        }
    }

    /// Refuses no classes, and tokens without a vocabulary.
    fn check(self, vocab: Option<usize>) -> Result<()> {
        match self {
            Self::Classes(0) | Self::Pairs(0) => {
                Err(Error::value("classes of an encoder's head", 0, "1 or more"))
            }
            Self::Tokens if vocab.is_none() => Err(Error::value(
                "head of an encoder without a vocabulary",
                self.name(),
                "none, classes, pairs",
            )),
            _ => Ok(()),
        }
    }
}
