//! Sampling of a token from logits.

use rand::RngExt;

use crate::rng::Rng;
use crate::{Error, Result};

/// How a token is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it: 1 samples the model's distribution, less favours probable tokens, 0 is greedy.
    pub temperature: f64,
    /// Only the k most probable tokens are sampled from (top-k); `None` for all.
    pub top: Option<usize>,
}

impl Sampling {
    /// Refuses a temperature that is not finite or below 0, and a top-k of 0.
    pub fn new(temperature: f64, top: Option<usize>) -> Result<Self> {
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(Error::value("--temperature", temperature, "0 or more"));
        }
        if top == Some(0) {
            return Err(Error::value("--top", 0, "1 or more"));
        }
        Ok(Self { temperature, top })
    }

    /// The next token; of equal logits the first counts as the largest.
    pub fn draw(&self, logits: &[f32], rng: &mut Rng) -> u32 {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
        order.truncate(self.top.unwrap_or(usize::MAX).max(1));
        let Some(&best) = order.first() else { return 0 };
        if self.temperature == 0.0 {
            return best as u32;
        }
        let top = f64::from(logits[best]);
        let weight = |token: &usize| ((f64::from(logits[*token]) - top) / self.temperature).exp();
        let mut rest = rng.random_range(0.0..1.0) * order.iter().map(weight).sum::<f64>();
        for token in &order {
            rest -= weight(token);
            if rest < 0.0 {
                return *token as u32;
            }
        }
        best as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn draws_follow_the_model_its_temperature_and_its_top() {
        let logits = [0.0, 2.0, 1.0, -3.0];
        let rng = &mut stream(1, "sample");
        let share = |sampling: Sampling, rng: &mut Rng, token: u32| {
            let draws = (0..20_000).filter(|_| sampling.draw(&logits, rng) == token).count();
            draws as f64 / 20_000.0
        };
        let total: f64 = logits.iter().map(|x: &f32| f64::from(*x).exp()).sum();
        let found = share(Sampling::new(1.0, None).unwrap(), rng, 1);
        assert!((found - 2f64.exp() / total).abs() < 0.015, "{found}");
        let cold: f64 = logits.iter().map(|x: &f32| (f64::from(*x) * 2.0).exp()).sum();
        let found = share(Sampling::new(0.5, None).unwrap(), rng, 2);
        assert!((found - 2f64.exp() / cold).abs() < 0.015, "{found}");
        assert_eq!(share(Sampling::new(0.0, None).unwrap(), rng, 1), 1.0);
        let two = Sampling::new(1.0, Some(2)).unwrap();
        assert_eq!(share(two, rng, 0) + share(two, rng, 3), 0.0);
        assert!(Sampling::new(-1.0, None).is_err() && Sampling::new(1.0, Some(0)).is_err());
    }
}
