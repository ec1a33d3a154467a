//! What stands on the last layer: nothing, a classifier of whole sequences, or the next token.

use ndarray::{Array2, Array3, ArrayView2, Axis, s};

use super::attention::Batch;
use super::{Encoder, Stream};
use crate::linalg::gemm::{Threads, product};
use crate::{Error, Result};

/// Name of the map from a mean to the classes.
pub(super) const CLASSIFIER: &str = "classifier";

/// What an encoder's last X becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// It stays as it is.
    #[default]
    None,
    /// The mean over a sequence's real rows, mapped to so many classes by `classifier`.
    Classes(usize),
    /// Of the means x1 and x2 over two sequences, `[x1, x2, x1 x2, x1 - x2]` mapped to so many classes by a hidden layer of
    /// the feed-forward width with relu, `classifier.fc1` and `classifier.fc2`: two towers that share their weights. A
    /// network that trains has it; an [`Encoder`] leaves it out.
    Pairs(usize),
    /// Every row is held against the table of tokens, `X embed_tokens^T`; nothing more is learned.
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
    pub(super) fn check(self, vocab: Option<usize>) -> Result<()> {
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

impl Encoder {
    /// The logits (b, c) of sequences of token ids (b, n) under a head of c classes; `real` as for
    /// [`forward`](Self::forward).
    ///
    /// Refuses another head, a sequence without a real token, and what [`forward`](Self::forward) refuses.
    pub fn logits(&self, ids: ArrayView2<'_, u32>, real: Option<&[usize]>) -> Result<Array2<f32>> {
        self.needs("classes")?;
        self.classify(&self.forward(ids, real)?, real)
    }

    /// The logits (b, c) of what [`forward`](Self::forward) or [`forward_vectors`](Self::forward_vectors) gave, with
    /// the same `real`.
    pub fn classify(&self, stream: &Stream, real: Option<&[usize]>) -> Result<Array2<f32>> {
        let Some(classifier) = &self.classifier else { return Err(self.other("classes")) };
        let (b, n, d) = stream.x.dim();
        let batch = Batch::check(b, n, real)?;
        let mut means = Array2::zeros((b, d));
        for (sequence, mut mean) in means.rows_mut().into_iter().enumerate() {
            let rows = stream.x.slice(s![sequence, ..batch.real(sequence), ..]);
            let rows = rows.mean_axis(Axis(0)).ok_or_else(|| {
                let what = format!("real tokens of sequence {}", sequence + 1);
                Error::value(what, 0, "1 or more, for a mean")
            })?;
            mean.assign(&rows);
        }
        Ok(classifier.apply(&means))
    }

    /// The logits (b, n, vocab) of the token behind each of the token ids (b, n), under a head of tokens.
    ///
    /// Refuses another head, and what [`forward`](Self::forward) refuses.
    pub fn token_logits(&self, ids: ArrayView2<'_, u32>) -> Result<Array3<f32>> {
        self.needs("tokens")?;
        let x = self.forward(ids, None)?.x;
        let (b, n, d) = x.dim();
        let rows = x.to_shape((b * n, d)).map_err(|error| Error::malformed("x", error, "(b n, d)"))?;
        let logits = self.over_tokens(rows.view())?;
        let shape = (b, n, logits.ncols());
        logits
            .into_shape_with_order(shape)
            .map_err(|error| Error::malformed("logits", error, "(b, n, vocab)"))
    }

    /// Logits (n, vocab) of rows (n, d).
    pub(in crate::model) fn over_tokens(&self, rows: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        let Some(tokens) = &self.tokens else { return Err(self.other("tokens")) };
        Ok(product(rows, tokens.t(), Threads::All))
    }

    /// Refuses a head that has another name.
    pub(super) fn needs(&self, head: &str) -> Result<()> {
        if self.config.head.name() == head { Ok(()) } else { Err(self.other(head)) }
    }

    fn other(&self, head: &str) -> Error {
        Error::value("head of this encoder", self.config.head.name(), head)
    }
}
