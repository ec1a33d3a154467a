//! Initial weights, every tensor from a random stream of its own name.

use rand::RngExt;

use super::weights::{Entry, Init, Layout};
use crate::attention::performer_features;
use crate::rng::{normal, stream};

impl Layout {
    /// Initial elements of all tensors: they follow from the seed, tensor by tensor, whatever other tensors there are.
    ///
    /// As in the Luna authors' code: projections, Linformer's E and feed-forward weights are uniform by Glorot and Bengio
    /// 2010, those of attention (but for its output) with gain 1/sqrt 2; tables and P are normal with variance 1 / d; biases
    /// of attention's projections are uniform within 1 / sqrt d, all others 0.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        let mut elements = Vec::with_capacity(self.len());
        for Entry { name, shape, init, at, .. } in self.entries() {
            let rng = &mut stream(seed, &format!("train {name}"));
            let (rows, columns) = (shape[0], shape.get(1).copied().unwrap_or(1));
            match *init {
                Init::Features => elements.extend(performer_features(rng, rows, columns)),
                Init::Normal => {
                    let scale = 1.0 / (columns as f32).sqrt();
                    elements.extend(normal(rng, rows, columns).iter().map(|x| x * scale));
                }
                Init::Uniform(bound) => {
                    elements.extend((0..at.len()).map(|_| rng.random_range(-bound..bound) as f32));
                }
                Init::Decays => {
                    let ratio = 6.0 / (at.len().max(2) - 1) as f64;
                    let memory = |head: usize| (2.0 + ratio * head as f64).exp2();
                    // a = 1 - 1/memory has the logit ln(memory - 1).
                    elements.extend((0..at.len()).map(|head| (memory(head) - 1.0).ln() as f32));
                }
                Init::Constant(value) => elements.extend(std::iter::repeat_n(value, at.len())),
            }
        }
        elements
    }
}
