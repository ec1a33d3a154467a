//! The tensors of a network and what they are before training.

use rand::RngExt;

use super::parameters::{Entry, Layout};
use crate::attention::performer_features;
use crate::model::encoder::EncoderConfig;
use crate::rng::{normal, stream};

/// Every tensor of a network, a Performer's features behind the learned ones.
pub(super) fn layout(config: &EncoderConfig) -> Layout {
    let mut layout = Layout::default();
    for (name, shape) in config.tensors() {
        layout.push(name, shape, true);
    }
    for (name, shape) in config.features() {
        layout.push(name, shape, false);
    }
    layout
}

/// The numbers that training begins with, every tensor from a stream of its own name.
///
/// As the Luna authors' code has them: projections, compression and feed-forward weights are uniform by Glorot and
/// Bengio 2010, those of attention (but for its output) with gain 1/sqrt 2; tables and P are normal with variance 1 / d;
/// biases of attention's projections are uniform below 1 / sqrt d, all others 0.
pub(super) fn values(layout: &Layout, d: usize, seed: u64) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(layout.len());
    for Entry { name, shape, learned, .. } in layout.entries() {
        let rng = &mut stream(seed, &format!("train {name}"));
        let mut uniform = |length: usize, bound: f64| {
            numbers.extend((0..length).map(|_| rng.random_range(-bound..bound) as f32));
        };
        match shape[..] {
            [rows, columns] if !learned => {
                numbers.extend(performer_features(rng, rows, columns));
            }
            [rows, columns] if name.contains("embed") => {
                let scale = 1.0 / (columns as f32).sqrt();
                numbers.extend(normal(rng, rows, columns).iter().map(|x| x * scale));
            }
            [rows, columns] => {
                let inside = name.contains("_attn.") && !name.contains("out_proj");
                let gain = if inside { 0.5_f64 } else { 1.0 };
                uniform(rows * columns, (gain * 6.0 / (rows + columns) as f64).sqrt());
            }
            [length] if name.contains("norm") => {
                let value = if name.ends_with("weight") { 1.0 } else { 0.0 };
                numbers.extend(std::iter::repeat_n(value, length));
            }
            [length] if name.contains("_attn.") && !name.contains("out_proj") => {
                uniform(length, 1.0 / (d as f64).sqrt());
            }
            _ => numbers.extend(std::iter::repeat_n(0.0, shape.iter().product())),
        }
    }
    numbers
}
