//! Operations of layers, in closed form.

use super::config::EncoderConfig;
use super::heads::{forward_cost, train_cost};
use super::mechanism::Mechanism;
use crate::cost::{Cost, Shape};

impl EncoderConfig {
    /// Operations of one layer on b sequences of n tokens: projections, attention, feed-forward network.
    ///
    /// Exponentials and divisions are those of attention. Norms, residuals, biases and the activation between the
    /// products of the feed-forward network are not counted. Under the causal mask attention is counted as far as the
    /// mask leaves it open.
    pub fn layer_cost(&self, b: usize, n: usize) -> Cost {
        let calls: Cost =
            self.calls(n).iter().map(|(mechanism, shape)| forward_cost(*mechanism, shape)).sum();
        self.maps_cost(b, n) + calls * (b * self.heads)
    }

    /// Operations of a forward and a backward pass of one layer: three products for each linear map, and both passes of
    /// attention. `None` where attention has no backward pass of that mask.
    ///
    /// Counted and left out as in [`layer_cost`](Self::layer_cost).
    pub fn layer_train_cost(&self, b: usize, n: usize) -> Option<Cost> {
        let calls = self.calls(n).into_iter().map(|(mechanism, shape)| train_cost(mechanism, &shape));
        let calls: Cost = calls.collect::<Option<Vec<_>>>()?.into_iter().sum();
        Some(self.maps_cost(b, n) * 3 + calls * (b * self.heads))
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

    /// The calls of attention of one head of one sequence of n tokens, each with its shape.
    pub(super) fn calls(&self, n: usize) -> Vec<(Mechanism, Shape)> {
        let shape = Shape { causal: self.causal, ..Shape::square(n, self.head_width()) };
        match self.mechanism {
            Mechanism::Luna { l, .. } => {
                let l = l.min(n);
                let pack = Shape { n: l, ..shape };
                vec![(Mechanism::Softmax, pack), (Mechanism::Softmax, Shape { m: l, ..shape })]
            }
            mechanism => vec![(mechanism, shape)],
        }
    }

    /// Operations of the layers of an encoder together, as [`layer_cost`](Self::layer_cost) counts; embeddings cost nothing,
    /// and a head is not counted.
    pub fn cost(&self, b: usize, n: usize) -> Cost {
        self.layer_cost(b, n) * self.layers
    }
}
