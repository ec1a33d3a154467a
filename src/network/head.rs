//! The output heads: logits of classes, or of the next token.

use ndarray::{Array2, Array3, ArrayView2, s};

use super::classifier::Classifier;
use super::encoder::{Batch, Encoder, Stream};
use crate::layer::{Linear, Matrix, Pass, Rows};
use crate::linalg::gemm::{Threads, product};
use crate::linalg::rows::add_column_sums;
use crate::{Error, Result};

/// The mean over each sequence's rows, (sequences, d).
pub(crate) fn means(x: ArrayView2<'_, f32>, rows: &Rows) -> Array2<f32> {
    let mut means = Array2::zeros((rows.sequences(), x.ncols()));
    for (of, mut mean) in rows.each().zip(means.rows_mut()) {
        let share = 1.0 / of.len().max(1) as f32;
        add_column_sums(mean.view_mut(), x.slice(s![of, ..]));
        mean.mapv_inplace(|x| x * share);
    }
    means
}

/// Logits (n, vocab) of the next token after each of the rows (n, d).
pub(super) fn over_tokens(pass: Pass<'_>, tokens: Matrix, x: ArrayView2<'_, f32>) -> Array2<f32> {
    product(x, tokens.of(pass).reversed_axes(), Threads::All)
}

impl Encoder {
    /// The logits (b, c) of sequences of token ids (b, n) under a head of c classes; `real` as for
    /// [`forward`](Self::forward).
    ///
    /// Refuses another head, a sequence without a real token, and what [`forward`](Self::forward) refuses.
    pub fn logits(&self, ids: ArrayView2<'_, u32>, real: Option<&[usize]>) -> Result<Array2<f32>> {
        self.classifier()?;
        self.classify(&self.forward(ids, real)?, real)
    }

    /// The logits (b, c) of what [`forward`](Self::forward) or [`forward_vectors`](Self::forward_vectors) gave, with
    /// the same `real`.
    pub fn classify(&self, stream: &Stream, real: Option<&[usize]>) -> Result<Array2<f32>> {
        let classifier = self.classifier()?;
        let (b, n, d) = stream.x.dim();
        let batch = Batch::check(b, n, real)?;
        if let Some(empty) = batch.rows.each().position(|rows| rows.is_empty()) {
            let what = format!("real tokens of sequence {}", empty + 1);
            return Err(Error::value(what, 0, "1 or more, for a mean"));
        }
        let mut all = Array2::zeros((b, d));
        for ((x, of), mut mean) in stream.x.outer_iter().zip(batch.rows.each()).zip(all.rows_mut()) {
            let rows = Rows::of([of.len()]);
            mean.assign(&means(x.slice(s![..of.len(), ..]), &rows).row(0));
        }
        Ok(classifier.forward(self.pass(), all.view()))
    }

    /// The logits (b, n, vocab) of the next token after each of the token ids (b, n), under a head of tokens.
    ///
    /// Refuses another head, and what [`forward`](Self::forward) refuses.
    pub fn token_logits(&self, ids: ArrayView2<'_, u32>) -> Result<Array3<f32>> {
        let tokens = self.token_head()?;
        let x = self.forward(ids, None)?.x;
        let (b, n, d) = x.dim();
        let rows = x.to_shape((b * n, d)).map_err(|error| Error::malformed("x", error, "(b n, d)"))?;
        let logits = over_tokens(self.pass(), tokens, rows.view());
        let shape = (b, n, logits.ncols());
        logits
            .into_shape_with_order(shape)
            .map_err(|error| Error::malformed("logits", error, "(b, n, vocab)"))
    }

    fn classifier(&self) -> Result<&Linear> {
        match &self.graph.classifier {
            Classifier::Classes(linear) => Ok(linear),
            Classifier::None | Classifier::Pairs(_) => Err(self.other_head("classes")),
        }
    }

    /// The table of tokens, under a head of tokens.
    pub(super) fn token_head(&self) -> Result<Matrix> {
        let head = self.config().head.name() == "tokens";
        self.graph.trunk.tokens.filter(|_| head).ok_or_else(|| self.other_head("tokens"))
    }

    fn other_head(&self, head: &str) -> Error {
        Error::value("head of this encoder", self.config().head.name(), head)
    }
}
