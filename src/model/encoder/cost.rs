//! What a forward pass costs, in closed form.

use super::{Encoder, EncoderConfig, Layer, Mechanism};
use crate::cost::{Cost, Shape};
use crate::model::kernel;

impl EncoderConfig {
    /// What one layer costs on b sequences of n real tokens: projections, attention, feed-forward network.
    ///
    /// Exponentials and divisions are those of attention. Norms, residuals, biases and the activation between the
    /// products of the feed-forward network are not counted. Under the causal mask attention is counted as far as the
    /// mask leaves it open.
    pub fn layer_cost(&self, b: usize, n: usize) -> Cost {
        let d = self.d;
        let attention = match self.mechanism {
            Mechanism::Luna { l, tied } => self.luna_cost(l.min(n), n, tied),
            Mechanism::LunaCausal { l, tied, .. } => {
                // P is the same for every sequence: projected once.
                let of_x = if tied { 4 } else { 5 };
                let core = kernel::cost("luna-causal", l, &self.shape(n)) * self.heads;
                let sequence = Cost::product(of_x * n, d, d) + core + Cost::product(n, d, self.ffn) * 2;
                return Cost::product(l, d, d) + sequence * b;
            }
            mechanism => {
                let shape = self.shape(n);
                let core = kernel::cost(mechanism.core(), mechanism.l().unwrap_or(0), &shape);
                Cost::product(n, d, 4 * d) + core * self.heads
            }
        };
        (attention + Cost::product(n, d, self.ffn) * 2) * b
    }

    /// One head of one sequence.
    pub(super) fn shape(&self, n: usize) -> Shape {
        Shape { causal: self.causal, ..Shape::square(n, self.head_width()) }
    }

    /// Luna's attention of one sequence: with tied weights n rows are projected 3 times and l rows twice, untied 4
    /// times and 3 times.
    fn luna_cost(&self, l: usize, n: usize, tied: bool) -> Cost {
        let (of_x, of_p) = if tied { (3, 2) } else { (4, 3) };
        let step = |n: usize, m: usize| {
            let shape = Shape { m, ..Shape::square(n, self.head_width()) };
            kernel::cost("softmax", 0, &shape) * self.heads
        };
        Cost::product(of_x * n + of_p * l, self.d, self.d) + step(l, n) + step(n, l)
    }

    /// What the layers of an encoder cost together, as [`layer_cost`](Self::layer_cost) counts; embeddings are looked
    /// up and cost nothing, and a head is not counted.
    pub fn cost(&self, b: usize, n: usize) -> Cost {
        self.layer_cost(b, n) * self.layers
    }
}

impl Layer {
    /// As [`EncoderConfig::layer_cost`].
    pub fn cost(&self, b: usize, n: usize) -> Cost {
        self.config.layer_cost(b, n)
    }
}

impl Encoder {
    /// As [`EncoderConfig::cost`].
    pub fn cost(&self, b: usize, n: usize) -> Cost {
        self.config.cost(b, n)
    }
}
