//! Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019), over all numbers of a network.

use rayon::prelude::*;

use super::parameters::Layout;

const CHUNK: usize = 1 << 14;

/// What an optimiser is, beside its means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the mean of gradients.
    pub beta_1: f64,
    /// Decay of the mean of their squares.
    pub beta_2: f64,
    /// Added to the root of the latter.
    pub eps: f64,
    /// What a step takes off each matrix, times the rate; vectors (biases, norms) and tables of vectors are left alone.
    pub weight_decay: f64,
}

/// The running means of gradients and of their squares.
#[derive(Clone, Debug)]
pub struct Adam {
    config: AdamConfig,
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
    pub(super) steps: usize,
    /// Of every number: whether it moves, and whether it decays.
    kinds: Vec<Kind>,
}

/// Numbers of one kind, one behind the other.
#[derive(Clone, Debug)]
struct Kind {
    at: std::ops::Range<usize>,
    decays: bool,
}

impl Adam {
    /// Means of nothing.
    pub fn new(config: AdamConfig, layout: &Layout) -> Self {
        let zeros = vec![0.0; layout.len()];
        let kinds = layout
            .entries()
            .iter()
            .filter(|entry| entry.learned)
            .map(|entry| {
                let decays = entry.shape.len() == 2 && !entry.name.contains("embed");
                Kind { at: entry.at.clone(), decays }
            })
            .collect();
        Self { config, first: zeros.clone(), second: zeros, steps: 0, kinds }
    }

    /// How many steps it has taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Moves the numbers against their gradients at this rate; gradients are multiplied by `scale` first.
    pub fn step(&mut self, numbers: &mut [f32], gradients: &[f32], scale: f32, rate: f64) {
        self.steps += 1;
        let AdamConfig { beta_1, beta_2, eps, weight_decay } = self.config;
        let unbias = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let move_by = (rate / unbias(beta_1)) as f32;
        let of_second = (1.0 / unbias(beta_2)) as f32;
        let (beta_1, beta_2, eps) = (beta_1 as f32, beta_2 as f32, eps as f32);
        for Kind { at, decays } in &self.kinds {
            let keep = if *decays { (1.0 - rate * weight_decay) as f32 } else { 1.0 };
            let numbers = numbers[at.clone()].par_chunks_mut(CHUNK);
            let means = self.first[at.clone()].par_chunks_mut(CHUNK);
            let squares = self.second[at.clone()].par_chunks_mut(CHUNK);
            let gradients = gradients[at.clone()].par_chunks(CHUNK);
            numbers.zip(means).zip(squares).zip(gradients).for_each(|(((x, first), second), g)| {
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
