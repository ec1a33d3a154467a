//! Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019), over all parameters of a network.

use rayon::prelude::*;

use crate::layer::{Entry, Init, Layout};

const CHUNK: usize = 1 << 14;

/// The hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decay of each matrix per step, times the learning rate; vectors (biases, norms) and tables of vectors have none.
    pub weight_decay: f64,
}

/// The moments: running means of gradients and of their squares.
#[derive(Clone, Debug)]
pub struct Adam {
    config: AdamConfig,
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
    pub(super) steps: usize,
    learned: Vec<Learned>,
}

/// The elements of one learned tensor.
#[derive(Clone, Debug)]
struct Learned {
    at: std::ops::Range<usize>,
    decays: bool,
    /// What its learning rate is of that of all.
    rate: f64,
}

impl Adam {
    /// Before the first step; `rate` is what the learning rate of a tensor is of that of all.
    pub fn new(config: AdamConfig, layout: &Layout, rate: impl Fn(&Entry) -> f64) -> Self {
        let zeros = vec![0.0; layout.len()];
        let learned = layout
            .entries()
            .iter()
            .filter(|entry| entry.learned)
            .map(|entry| {
                let decays = entry.shape.len() == 2 && entry.init != Init::Normal;
                Learned { at: entry.at.clone(), decays, rate: rate(entry) }
            })
            .collect();
        Self { config, first: zeros.clone(), second: zeros, steps: 0, learned }
    }

    /// The number of steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Updates the weights at this learning rate; gradients are multiplied by `scale` first.
    pub fn step(&mut self, weights: &mut [f32], gradients: &[f32], scale: f32, rate: f64) {
        self.steps += 1;
        let AdamConfig { beta_1, beta_2, eps, weight_decay } = self.config;
        let unbias = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let of_second = (1.0 / unbias(beta_2)) as f32;
        let (beta_1, beta_2, eps) = (beta_1 as f32, beta_2 as f32, eps as f32);
        for Learned { at, decays, rate: own } in &self.learned {
            let rate = rate * own;
            let move_by = (rate / unbias(self.config.beta_1)) as f32;
            let keep = if *decays { (1.0 - rate * weight_decay) as f32 } else { 1.0 };
            let weights = weights[at.clone()].par_chunks_mut(CHUNK);
            let means = self.first[at.clone()].par_chunks_mut(CHUNK);
            let squares = self.second[at.clone()].par_chunks_mut(CHUNK);
            let gradients = gradients[at.clone()].par_chunks(CHUNK);
            weights.zip(means).zip(squares).zip(gradients).for_each(|(((x, first), second), g)| {
                for (((x, first), second), g) in x.iter_mut().zip(first).zip(second).zip(g) {
                    let g = g * scale;
                    *first = beta_1 * *first + (1.0 - beta_1) * g;
                    *second = beta_2 * *second + (1.0 - beta_2) * g * g;
                    *x = *x * keep - move_by * *first / ((*second * of_second).sqrt() + eps);
                }
            });
        }
    }
}

/// The Euclidean norm of the gradients, in f64.
pub fn norm(gradients: &[f32]) -> f64 {
    let parts: Vec<f64> = gradients
        .par_chunks(CHUNK)
        .map(|chunk| chunk.iter().map(|x| f64::from(*x) * f64::from(*x)).sum())
        .collect();
    parts.iter().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_moves_at_its_own_rate() {
        let mut layout = Layout::default();
        layout.table("a".into(), 1, 2);
        layout.table("b".into(), 1, 2);
        let config = AdamConfig { beta_1: 0.9, beta_2: 0.999, eps: 1e-8, weight_decay: 0.0 };
        let mut adam = Adam::new(config, &layout, |entry| if entry.name == "a" { 0.25 } else { 1.0 });
        let mut weights = [0.0; 4];
        adam.step(&mut weights, &[1.0, -2.0, 3.0, -4.0], 1.0, 0.1);
        // The first step of Adam goes as far as the rate.
        for (x, expected) in weights.iter().zip([-0.025, 0.025, -0.1, 0.1]) {
            assert!((x - expected).abs() < 1e-6, "{weights:?}");
        }
    }
}
