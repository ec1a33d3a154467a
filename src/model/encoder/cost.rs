//! What a pass costs, in closed form.

use super::{Encoder, EncoderConfig, Layer, Mechanism};
use crate::attention::{fused, materialised};
use crate::cost::{Cost, Shape};
use crate::model::kernel;

impl EncoderConfig {
    /// What one layer costs on b sequences of n real tokens: projections, attention, feed-forward network.
    ///
    /// Exponentials and divisions are those of attention. Norms, residuals, biases and the activation between the
    /// products of the feed-forward network are not counted. Under the causal mask attention is counted as far as the
    /// mask leaves it open.
    pub fn layer_cost(&self, b: usize, n: usize) -> Cost {
        self.maps_cost(b, n)
            + self.core_cost(n, &|name, l, shape| kernel::cost(name, l, shape)) * (b * self.heads)
    }

    /// What a forward and a backward pass of one layer cost: every linear map three products for its one, attention
    /// what its backward pass says. `None` where attention has no backward pass of that mask.
    ///
    /// Counted and left out as in [`layer_cost`](Self::layer_cost).
    pub fn layer_train_cost(&self, b: usize, n: usize) -> Option<Cost> {
        if self.mechanism == Mechanism::Materialised {
            let heads = materialised::train_cost(&self.shape(n)) * (b * self.heads);
            return Some(self.maps_cost(b, n) * 3 + heads);
        }
        let luna = matches!(self.mechanism, Mechanism::Luna { .. });
        let name = if luna { "softmax" } else { self.mechanism.core() };
        let form = fused(name, self.mechanism.core_l()).ok().filter(|form| form.has_backward(self.mask()))?;
        let both = |_: &str, _: usize, shape: &Shape| {
            let [forward, backward] = form.train_cost(shape);
            forward + backward
        };
        Some(self.maps_cost(b, n) * 3 + self.core_cost(n, &both) * (b * self.heads))
    }

    /// Linear maps of one layer: projections and the feed-forward network.
    fn maps_cost(&self, b: usize, n: usize) -> Cost {
        let d = self.d;
        let projections = match self.mechanism {
            Mechanism::Luna { l, tied } => {
                // With tied weights n rows are projected 3 times and l rows twice, untied 4 times and 3 times.
                let (of_x, of_p) = if tied { (3, 2) } else { (4, 3) };
                Cost::product(of_x * n + of_p * l.min(n), d, d) * b
            }
            Mechanism::LunaCausal { l, tied, .. } => {
                // P is the same for every sequence: projected once.
                let of_x = if tied { 4 } else { 5 };
                Cost::product(l, d, d) + Cost::product(of_x * n, d, d) * b
            }
            _ => Cost::product(n, d, 4 * d) * b,
        };
        projections + Cost::product(n, d, self.ffn) * (2 * b)
    }

    /// Attention of one head and one sequence, by the costs of the mechanisms that it is made of.
    fn core_cost(&self, n: usize, cost: &dyn Fn(&str, usize, &Shape) -> Cost) -> Cost {
        match self.mechanism {
            Mechanism::Luna { l, .. } => {
                let step = |n: usize, m: usize| {
                    cost("softmax", 0, &Shape { m, ..Shape::square(n, self.head_width()) })
                };
                let l = l.min(n);
                step(l, n) + step(n, l)
            }
            // Its products are whole under either mask.
            Mechanism::Materialised => materialised::cost(&self.shape(n)),
            mechanism => cost(mechanism.core(), mechanism.l().unwrap_or(0), &self.shape(n)),
        }
    }

    /// One head of one sequence.
    pub(super) fn shape(&self, n: usize) -> Shape {
        Shape { causal: self.causal, ..Shape::square(n, self.head_width()) }
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
