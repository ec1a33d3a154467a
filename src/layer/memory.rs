//! What a pass through layers allocates at most, in closed form: a bound that stays within a tenth of a counting allocator's
//! figure (tests/it/train/memory.rs).
//!
//! A forward pass holds the heads of one layer at a time. A forward and a backward pass hold the saved activations of all
//! layers, and at their worst moment the gradients inside the feed-forward network or the attention of the top layer, with
//! its work space. Left out are faer's two buffers of the size of the last-level cache for each thread that ever multiplied
//! ([`warm_up`](crate::linalg::gemm::warm_up) allocates them before anything is measured), the bytes with which it plans
//! a product on several threads, and copies of sequences of different lengths. Where threads have work space of their own,
//! all of them count as being at work at once.

use super::config::EncoderConfig;
use super::heads::{forward_bytes, train_bytes};
use super::mechanism::Mechanism;
use crate::attention::luna_causal::WeightedHeads;
use crate::cost::Shape;
use crate::linalg::{affine, outer};

const F32: usize = size_of::<f32>();

impl EncoderConfig {
    /// Bytes that a forward pass through layers allocates at most beyond X and P, on b sequences of n tokens each and that
    /// many threads.
    pub fn extra_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        let Sizes { x, p, rows, keys } = self.sizes(b, n);
        let normed = if self.pre_norm { x } else { 0 };
        let work = |call: usize| {
            let (mechanism, shape) = self.calls(n)[call];
            forward_bytes(mechanism, &shape, b * self.heads, threads) / F32
        };
        // The last projection before a call has work space of its own.
        let (count, elements) = affine::heads_space(rows, self.d, threads);
        let projection = count * elements;
        let attention = match self.mechanism {
            Mechanism::Luna { .. } => {
                let normed_p = if self.pre_norm && self.p_chain { p } else { 0 };
                let pack = p + keys * x + projection.max(p + work(0));
                let unpack = (1 + keys) * p + x + projection.max(x + work(1));
                // heads, their rows side by side, and the output projection
                normed_p + pack.max(unpack).max(p + 3 * x)
            }
            Mechanism::LunaCausal { l, .. } => {
                let ([forward, _], saved) = self.weighted(b, n, threads);
                // weights, queries, keys and values, then the output
                self.heads * rows * l + (1 + keys) * x + projection.max(x + forward + saved)
            }
            // queries, keys and values, then the output
            _ => 3 * x + projection.max(x + work(0)),
        };
        F32 * (normed + attention.max(x + self.feed_forward_space(rows, threads)))
    }

    /// Bytes that a forward and a backward pass through layers allocate at most, on b sequences of n tokens each and that
    /// many threads: saved activations, gradients, work space and both results. The input x counts as given. P is handed
    /// from layer to layer, as [`Layers`](crate::train::Layers) wants it.
    pub fn train_extra_bytes(&self, b: usize, n: usize, threads: usize) -> usize {
        let StepElements { saved, transient } = self.step_elements(b, n, threads);
        // the result of the forward pass
        F32 * (saved + transient + self.sizes(b, n).x)
    }

    /// What layers allocate for a forward and a backward pass.
    pub(crate) fn step_elements(&self, b: usize, n: usize, threads: usize) -> StepElements {
        let Sizes { x, p, rows, .. } = self.sizes(b, n);
        let inner = rows * self.ffn;
        // Each residual saves its input and the standardised rows of its norm.
        let residual = 2 * x + rows;
        let (attention, at_attention) = self.attention_train(b, n, threads);
        // Gradients past a block and into it, and the input of the block; a norm after the block has freed its rows by then.
        let around = if self.pre_norm { 3 * x } else { x };
        let gradients = x.max(inner + outer_space(rows, self.ffn, self.d, threads));
        let at_feed_forward = 2 * residual + attention + inner + gradients;
        let top = at_feed_forward.max(residual + attention + at_attention);
        let of_layer = 2 * residual + attention + inner;
        // The input of the lowest layer is given.
        let saved = (self.layers * of_layer + p).saturating_sub(x);
        StepElements { saved, transient: (around + top).saturating_sub(of_layer) }
    }

    /// Elements that the attention block of a layer saves, and what it allocates on its way back.
    fn attention_train(&self, b: usize, n: usize, threads: usize) -> (usize, usize) {
        let Sizes { x, p, rows, keys } = self.sizes(b, n);
        let d = self.d;
        let maps = outer_space(rows, d, d, threads);
        let calls: Vec<([usize; 2], usize)> = self
            .calls(n)
            .iter()
            .map(|(mechanism, shape)| {
                let (work, saved) = train_bytes(*mechanism, shape, b * self.heads, threads);
                (work.map(|bytes| bytes / F32), saved / F32)
            })
            .collect();
        match self.mechanism {
            Mechanism::Luna { .. } => {
                let [([_, work_of_pack], of_pack), ([_, work], of_unpack)] = [calls[0], calls[1]];
                let unpack = 2 * x + keys * p + of_unpack;
                let pack = 2 * p + keys * x + of_pack;
                let residual = if self.p_chain { 2 * p + p / d.max(1) } else { p };
                // gradients of P past its block and into it, and the input of the block
                let around_p = if self.pre_norm && self.p_chain { 3 * p } else { p };
                let at_unpack = 2 * x + 2 * p + work;
                let at_pack = (3 * x + work_of_pack).max((2 + keys) * x + maps) + 4 * p;
                let at_query = 3 * x + 2 * p + maps;
                let transient = at_unpack.max(at_pack.max(at_query).saturating_sub(unpack));
                (unpack + pack + residual, around_p + transient)
            }
            Mechanism::LunaCausal { l, .. } => {
                let ([_, work], saved) = self.weighted(b, n, threads);
                let weights = self.heads * rows * l;
                // weights and their gradients; those of queries, keys, values, and of the output
                (2 * p + (3 + keys) * x + saved, 2 * weights + 4 * x + work)
            }
            mechanism => {
                let ([_, work], saved) = calls[0];
                let e = if let Mechanism::Linformer { l, max } = mechanism { l * max } else { 0 };
                let at_maps = (5 * x + maps).saturating_sub(4 * x + saved);
                (4 * x + saved, (4 * x + 2 * e + work).max(at_maps))
            }
        }
    }

    /// Elements of work space of causal Luna from its weights on, forward and backward, and of what it saves.
    fn weighted(&self, b: usize, n: usize, threads: usize) -> ([usize; 2], usize) {
        let shape = Shape { causal: true, ..Shape::square(n, self.head_width()) };
        let l = self.mechanism.l().unwrap_or(0);
        WeightedHeads::numbers(&shape, b * self.heads, l, threads)
    }

    /// Elements inside the feed-forward network that threads hold at once without a tape.
    fn feed_forward_space(&self, rows: usize, threads: usize) -> usize {
        let (count, elements) = affine::heads_space(rows, self.ffn, threads);
        count * elements
    }

    fn sizes(&self, b: usize, n: usize) -> Sizes {
        let (p_rows, tied) = match self.mechanism {
            Mechanism::Luna { l, tied } => (b * l.min(n), tied),
            Mechanism::LunaCausal { l, tied, .. } => (l, tied),
            _ => (0, false),
        };
        Sizes { x: b * n * self.d, p: p_rows * self.d, rows: b * n, keys: if tied { 1 } else { 2 } }
    }
}

/// Elements that layers allocate for a forward and a backward pass.
pub(crate) struct StepElements {
    /// Saved by all layers.
    pub(crate) saved: usize,
    /// Beyond that, at the worst moment of the backward pass through the top layer.
    pub(crate) transient: usize,
}

/// Elements of the arrays of one layer.
struct Sizes {
    x: usize,
    p: usize,
    /// Rows of X.
    rows: usize,
    /// Arrays of keys and values: one where they are tied.
    keys: usize,
}

fn outer_space(rows: usize, to: usize, from: usize, threads: usize) -> usize {
    let (count, elements) = outer::space(rows, to, from, threads);
    count * elements
}
