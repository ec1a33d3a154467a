//! What a training allocates at most, in closed form: a bound that stays within a tenth of a counting allocator's figure
//! (tests/it/train/memory.rs).

use crate::layer::{EncoderConfig, Head, StepElements};
use crate::linalg::outer;

const F32: usize = size_of::<f32>();

/// Rows of logits over a vocabulary that are held at once.
pub(crate) const LOGIT_ROWS: usize = 1024;

impl EncoderConfig {
    /// Bytes that one step of training such a network allocates at most beyond weights and gradients, on b sequences of n
    /// tokens each and that many threads.
    pub fn step_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        let (rows, x) = (b * n, b * n * self.d);
        let StepElements { saved, transient } = self.step_elements(b, n, threads);
        // the input of the lowest layer, and the standardised rows of the first and the last norm
        let norms = usize::from(self.embedding_norm) + usize::from(self.pre_norm);
        let ends = x + norms * (x + rows);
        let logits = match self.head {
            Head::Tokens => {
                let (rows, vocab) = (rows.min(LOGIT_ROWS), self.vocab.unwrap_or(0));
                let (count, elements) = outer::space(rows, vocab, self.d, threads);
                rows * vocab + 2 * x + count * elements
            }
            Head::Classes(_) | Head::Pairs(_) | Head::None => 2 * x,
        };
        F32 * (ends + saved + transient.max(logits))
    }
}
