//! Weights drawn from a seed, every tensor from a stream of its own name.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};

use super::{EncoderConfig, Mechanism};
use crate::attention::performer_features;
use crate::model::luna::{Named, Tensor};
use crate::rng::{normal, stream};

impl EncoderConfig {
    /// Every tensor under its name, drawn; a layer's features of Performer with them.
    ///
    /// Weights of linear maps are normal with variance 1 / inputs, embeddings and P with variance 1 / d, E with
    /// variance 1 / l; norms do nothing yet and biases are 0. A tensor does not depend on how many layers there are.
    pub(super) fn draw(&self, seed: u64) -> Named {
        let mut all: BTreeMap<String, ArrayD<f32>> =
            self.tensors().into_iter().map(|tensor| drawn(tensor, seed)).collect();
        if let Mechanism::Performer { l } = self.mechanism {
            for layer in 0..self.layers {
                let name = format!("layers.{layer}.self_attn.features");
                let rng = &mut stream(seed, &format!("encoder {name}"));
                all.insert(name, performer_features(rng, l, self.head_width()).into_dyn());
            }
        }
        Named::new(Path::new("drawn weights"), all)
    }
}

fn drawn((name, shape): Tensor, seed: u64) -> (String, ArrayD<f32>) {
    let tensor = if let [rows, columns] = shape[..] {
        // E has variance 1 over its rows, and everything else over its columns.
        let of = if name.ends_with("compress.weight") { rows } else { columns };
        let rng = &mut stream(seed, &format!("encoder {name}"));
        (normal(rng, rows, columns) / (of.max(1) as f32).sqrt()).into_dyn()
    } else {
        let value = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        ArrayD::from_elem(IxDyn(&shape), value)
    };
    (name, tensor)
}
