//! Encoders of any mechanism: against `PyTorch`'s own layer, by what they promise, and what they cost.

mod causal;
mod cost;
mod decode;
pub(crate) mod file;
mod heads;
mod laws;
mod torch;

use std::collections::BTreeMap;
use std::path::Path;

use luna::layer::Entry;
use luna::model::Named;
use luna::network::{EncoderConfig, Mechanism};
use luna::rng::{normal, stream};
use ndarray::{Array3, ArrayD, IxDyn};

/// Every mechanism, with sizes that differ wherever they may.
const MECHANISMS: [Mechanism; 8] = [
    Mechanism::Softmax,
    Mechanism::Materialised,
    Mechanism::Luna { l: 5, tied: true },
    Mechanism::Luna { l: 6, tied: false },
    Mechanism::Linformer { l: 7, max: 80 },
    Mechanism::Linear,
    Mechanism::Performer { l: 11 },
    Mechanism::Local { l: 8 },
];

pub(crate) fn small(mechanism: Mechanism, pre_norm: bool) -> EncoderConfig {
    EncoderConfig { pre_norm, ..EncoderConfig::new(mechanism, 24, 3, 40, 2) }
}

/// Random elements for every tensor, biases and norms too.
fn weights(config: &EncoderConfig, seed: u64) -> Named {
    let tensor = |entry: &Entry| {
        let (name, shape) = (entry.name.clone(), &entry.shape);
        let columns = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().product::<usize>() / columns;
        let scale = if entry.learned { 0.3 } else { 1.0 };
        let elements = normal(&mut stream(seed, &name), rows, columns) * scale;
        (name, elements.into_shape_with_order(IxDyn(shape)).unwrap())
    };
    let all: BTreeMap<String, ArrayD<f32>> = config.layout().entries().iter().map(tensor).collect();
    Named::new(Path::new("memory"), all)
}

fn batch(label: &str, b: usize, n: usize, d: usize) -> Array3<f32> {
    normal(&mut stream(6, label), b * n, d).into_shape_with_order((b, n, d)).unwrap()
}

fn furthest(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).fold(0.0, |far, (a, b)| if (a - b).is_nan() { f32::NAN } else { far.max((a - b).abs()) })
}
