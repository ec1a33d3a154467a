//! What a forward pass allocates at its worst moment, in closed form.
//!
//! The live arrays are followed from product to product; X and P are changed in place. Beside a counting allocator
//! the forms are right to 0.4 % at d 256 and n from 64 to 4000. What they leave out:
//! - faer's products keep two buffers of the size of the last-level cache for each thread that ever multiplied, whatever
//!   it multiplied: [`warm_up`](crate::linalg::gemm::warm_up) takes them before anything is measured;
//! - a product on several threads takes a byte for each of its register tiles (24 x 4 numbers with AVX2, 96 x 4 with
//!   AVX-512), at most 0.3 % of what it makes;
//! - rows that are cut out because there is padding.
//!
//! Causal Luna's heads hold what they are at, so its form is a bound: of few rows one head may be done before the next
//! begins.

use super::{Encoder, EncoderConfig, Layer, Mechanism};
use crate::attention::fused;
use crate::cost::Shape;
use crate::model::luna::CHUNK;

const F32: usize = size_of::<f32>();

impl EncoderConfig {
    /// Bytes that a layer takes beyond X and P at its worst moment, on b sequences of n real tokens and that many
    /// threads.
    pub fn extra_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        match self.mechanism {
            Mechanism::Luna { l, tied } => self.luna_bytes(l.min(n), n, tied, threads),
            Mechanism::LunaCausal { l, tied, .. } => self.luna_causal_bytes(b, l, n, tied, threads),
            _ => self.transformer_bytes(b, n, threads),
        }
    }

    fn transformer_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        let rows = F32 * b * n * self.d;
        let normed = if self.pre_norm { rows } else { 0 };
        let heads = self.heads * b;
        let core = if self.mechanism == Mechanism::Materialised {
            F32 * heads * n * n
        } else {
            self.core_bytes(&self.shape(n), heads, threads)
        };
        // queries, keys, values and what is read by them
        let attention = normed + 4 * rows + core;
        attention.max(normed + F32 * b * n * self.ffn)
    }

    /// Sequences of a batch are worked on one after the other.
    fn luna_bytes(&self, l: usize, n: usize, tied: bool, threads: usize) -> usize {
        let (x, p) = (F32 * n * self.d, F32 * l * self.d);
        // a P of the layer's own is read as it is
        let normed_x = if self.pre_norm { x } else { 0 };
        let normed_p = if self.pre_norm && self.p_chain { p } else { 0 };
        let pairs = if tied { 1 } else { 2 };
        let normed = normed_x + normed_p;
        let step = |n: usize, m: usize| {
            self.core_bytes(&Shape { m, ..Shape::square(n, self.head_width()) }, self.heads, threads)
        };
        // queries of P, keys and values of X, what is packed and the step's work space; then that side by side
        let pack = normed + p + pairs * x + p + step(l, n).max(p);
        let packed = p + pairs * p;
        let unpack = normed + packed + 2 * x + step(n, l);
        pack.max(unpack).max(normed_x + F32 * n * self.ffn)
    }

    /// Heads are worked on side by side, the sequences of each one after the other.
    fn luna_causal_bytes(&self, b: usize, l: usize, n: usize, tied: bool, threads: usize) -> usize {
        let (rows, d_h) = (F32 * b * n * self.d, self.head_width());
        let normed = if self.pre_norm { rows } else { 0 };
        // what is read, queries, keys that pack, keys and values
        let projected = if tied { 4 } else { 5 } * rows;
        // of a head: weights, outputs, both sums, and a block's shares and meetings of its rows
        let chunk = CHUNK.min(n);
        let head = F32 * (n * (l + d_h) + 2 * l * d_h + chunk * (l + chunk));
        let attention = normed + F32 * l * self.d + projected + head * self.heads.min(threads);
        attention.max(normed + F32 * b * n * self.ffn)
    }

    fn core_bytes(&self, shape: &Shape, heads: usize, threads: usize) -> usize {
        let fused = fused(self.mechanism.core(), self.mechanism.core_l());
        fused.map_or(0, |fused| fused.extra_bytes(shape, heads, threads))
    }
}

impl Layer {
    /// As [`EncoderConfig::extra_bytes`].
    pub fn extra_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        self.config.extra_bytes(b, n, threads)
    }
}

impl Encoder {
    /// Bytes that a pass takes beyond its input and its output X and P: those of its layer, since layers give back
    /// what they took.
    pub fn extra_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        self.config.extra_bytes(b, n, threads)
    }
}
