//! Adam (Kingma and Ba 2015), on a few arrays at once.

use ndarray::{Array2, Zip};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-12;

/// The running means of gradients and of their squares.
pub(super) struct Adam {
    first: Vec<Array2<f32>>,
    second: Vec<Array2<f32>>,
    steps: i32,
}

impl Adam {
    pub(super) fn new(pieces: &[Array2<f32>]) -> Self {
        let zeros: Vec<_> = pieces.iter().map(|piece| Array2::zeros(piece.dim())).collect();
        Self { first: zeros.clone(), second: zeros, steps: 0 }
    }

    /// Moves each piece against its gradient: entries by about its `rate`.
    pub(super) fn step(&mut self, pieces: &mut [Array2<f32>], gradients: &[Array2<f32>], rates: &[f64]) {
        self.steps += 1;
        let unbias = |beta: f32| 1.0 / (1.0 - f64::from(beta).powi(self.steps));
        let (first_unbias, second_unbias) = (unbias(BETA_1), unbias(BETA_2) as f32);
        for (i, piece) in pieces.iter_mut().enumerate() {
            let rate = (rates[i] * first_unbias) as f32;
            Zip::from(piece).and(&mut self.first[i]).and(&mut self.second[i]).and(&gradients[i]).for_each(
                |x, first, second, g| {
                    *first = BETA_1 * *first + (1.0 - BETA_1) * g;
                    *second = BETA_2 * *second + (1.0 - BETA_2) * g * g;
                    *x -= rate * *first / ((*second * second_unbias).sqrt() + EPSILON);
                },
            );
        }
    }
}
