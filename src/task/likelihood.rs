//! How well a language model predicts: nats, tokens and bytes, added up, and the figures that papers print.

use std::iter::Sum;
use std::ops::AddAssign;

/// The surprise of a model at a stretch of text.
///
/// Sums, not means: stretches of any length add up to the figures of the whole, whatever the windows were.
///
/// ```
/// use luna::task::likelihood::Likelihood;
/// let coins = Likelihood { nats: 8.0 * 2.0_f64.ln(), tokens: 8, bytes: 8 };
/// assert!((coins.bits_per_byte().unwrap() - 1.0).abs() < 1e-15);
/// assert!((coins.perplexity().unwrap() - 2.0).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likelihood {
    /// The sum of -ln p over the tokens that were predicted.
    pub nats: f64,
    /// How many tokens were predicted.
    pub tokens: u64,
    /// How many bytes of text those tokens are; of a model of bytes, as many.
    pub bytes: u64,
}

impl Likelihood {
    /// The mean surprise at a token, in nats: the loss that training prints. None without tokens.
    pub fn loss(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.nats / self.tokens as f64)
    }

    /// exp of the mean surprise at a token; it depends on what a token is. None without tokens.
    pub fn perplexity(&self) -> Option<f64> {
        self.loss().map(f64::exp)
    }

    /// Bits a byte of text: comparable between models of different tokens. None without bytes.
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nats / std::f64::consts::LN_2 / self.bytes as f64)
    }
}

impl AddAssign for Likelihood {
    fn add_assign(&mut self, other: Self) {
        self.nats += other.nats;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
    }
}

impl Sum for Likelihood {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_several_bytes() {
        // Two tokens of 3 and 5 bytes, each as likely as one of 16: 4 bits a token, 1 bit a byte.
        let part = |bytes| Likelihood { nats: 16.0_f64.ln(), tokens: 1, bytes };
        let whole: Likelihood = [part(3), part(5)].into_iter().sum();
        assert_eq!((whole.tokens, whole.bytes), (2, 8));
        assert!((whole.bits_per_byte().unwrap() - 1.0).abs() < 1e-15);
        assert!((whole.perplexity().unwrap() - 16.0).abs() < 1e-13);
        assert!((whole.loss().unwrap() - 16.0_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn of_nothing_there_is_no_figure() {
        let none = Likelihood::default();
        assert_eq!((none.loss(), none.perplexity(), none.bits_per_byte()), (None, None, None));
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        let mut sum = Likelihood { nats: 1.0, tokens: 1, bytes: 1 };
        sum += Likelihood { nats: f64::NAN, tokens: 1, bytes: 1 };
        assert!(sum.bits_per_byte().unwrap().is_nan());
    }
}
