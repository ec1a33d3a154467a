//! Weights drawn from a seed, every tensor from a stream of its own name.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};

use super::EncoderConfig;
use crate::attention::performer_features;
use crate::model::luna::{Named, Tensor};
use crate::rng::{normal, stream};

impl EncoderConfig {
    /// Every tensor under its name, drawn from a seed: [`tensors`](Self::tensors) and [`features`](Self::features).
    ///
    /// Weights of linear maps are normal with variance 1 / inputs, embeddings and P with variance 1 / d, E with
    /// variance 1 / l; norms do nothing yet and biases are 0. A tensor does not depend on how many layers there are.
    pub fn drawn(&self, seed: u64) -> BTreeMap<String, ArrayD<f32>> {
        let mut all: BTreeMap<String, ArrayD<f32>> =
            self.tensors().into_iter().map(|tensor| drawn(tensor, seed)).collect();
        for (name, shape) in self.features() {
            let rng = &mut stream(seed, &format!("encoder {name}"));
            all.insert(name, performer_features(rng, shape[0], shape[1]).into_dyn());
        }
        all
    }

    /// As [`drawn`](Self::drawn), ready to be loaded.
    pub(super) fn draw(&self, seed: u64) -> Named {
        Named::new(Path::new("drawn weights"), self.drawn(seed))
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
