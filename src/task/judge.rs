//! What the answers of a network are judged by: accuracy, bits per byte, or the loss of a token.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// The answers of a network to a set of examples, as sums: sets of any size add up to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// The sum of -ln p of the targets.
    pub nats: f64,
    /// Targets that were the most probable answer.
    pub correct: usize,
    /// Targets that counted.
    pub count: usize,
}

impl Answers {
    /// The mean of -ln p of a target, in nats.
    pub fn loss(&self) -> f64 {
        self.nats / self.count as f64
    }

    /// The share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.count as f64
    }
}

impl AddAssign for Answers {
    fn add_assign(&mut self, other: Self) {
        self.nats += other.nats;
        self.correct += other.correct;
        self.count += other.count;
    }
}

/// The figure that networks of a task are compared by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judge {
    /// The share of right answers; higher is better.
    Accuracy {
        /// Whether a sequence has several answers, which are then not independent of each other.
        several_per_sequence: bool,
    },
    /// The loss in bits per byte of text, whatever the tokens are; lower is better.
    BitsPerByte {
        /// Bits per byte for a loss of one nat per token.
        bits_per_nat: f64,
    },
    /// The mean loss of a token, where only losses over the same vocabulary compare; lower is better.
    TokenLoss,
}

impl Judge {
    /// Bits per byte where a token is so many bytes of text in the mean; the loss of a token where that is not known.
    pub fn of_text(bytes_per_token: Option<f64>) -> Self {
        let bits = |bytes: f64| Self::BitsPerByte { bits_per_nat: 1.0 / (bytes * std::f64::consts::LN_2) };
        bytes_per_token.map_or(Self::TokenLoss, bits)
    }

    /// Whether lower is better; targets are then tokens of texts, which are not independent of each other.
    pub fn by_loss(self) -> bool {
        !matches!(self, Self::Accuracy { .. })
    }

    /// Bits per byte for a loss of one nat per token, where that is known.
    pub fn bits_per_nat(self) -> Option<f64> {
        match self {
            Self::BitsPerByte { bits_per_nat } => Some(bits_per_nat),
            _ => None,
        }
    }

    /// The name of the figure.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy { .. } => "accuracy",
            Self::BitsPerByte { .. } => "bits_per_byte",
            Self::TokenLoss => "loss",
        }
    }

    /// Its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Accuracy { .. } => "%",
            Self::BitsPerByte { .. } => "bits",
            Self::TokenLoss => "nats",
        }
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Self::Accuracy { .. } => "right answers",
            Self::BitsPerByte { .. } => "loss in bits per byte",
            Self::TokenLoss => "mean -ln p of a token",
        }
    }

    /// Decimals that it is shown with.
    pub fn decimals(self) -> usize {
        if self.by_loss() { 3 } else { 1 }
    }

    /// The figure of these answers, in its unit.
    pub fn value(self, answers: &Answers) -> f64 {
        match self {
            Self::Accuracy { .. } => 100.0 * answers.accuracy(),
            Self::BitsPerByte { bits_per_nat } => bits_per_nat * answers.loss(),
            Self::TokenLoss => answers.loss(),
        }
    }

    /// What checkpoints and learning rates are selected by: higher is better.
    pub fn rank(self, answers: &Answers) -> f64 {
        if self.by_loss() {
            -answers.nats / answers.count as f64
        } else {
            // Of equally many right answers, those with the lower loss.
            answers.correct as f64 / answers.count as f64 - 1e-6 * answers.nats / answers.count as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_per_byte_of_tokens_of_several_bytes() {
        // Two tokens of 3 and 5 bytes, each as probable as one of 16: 4 bits a token, 1 bit a byte.
        let mut answers = Answers { nats: 16.0_f64.ln(), correct: 0, count: 1 };
        answers += answers;
        let judge = Judge::of_text(Some(8.0 / 2.0));
        assert!((judge.value(&answers) - 1.0).abs() < 1e-15);
        assert!((answers.loss().exp() - 16.0).abs() < 1e-13);
        assert_eq!(Judge::of_text(None), Judge::TokenLoss);
        assert!(Answers::default().loss().is_nan(), "no figure of no answers");
    }

    #[test]
    fn of_equal_accuracies_the_lower_loss_ranks_higher() {
        let judge = Judge::Accuracy { several_per_sequence: false };
        let of = |correct, nats| judge.rank(&Answers { nats, correct, count: 10 });
        assert!(of(5, 2.0) > of(5, 3.0) && of(6, 9.0) > of(5, 1.0));
        let by_loss = |nats| Judge::TokenLoss.rank(&Answers { nats, correct: 0, count: 10 });
        assert!(by_loss(1.0) > by_loss(2.0));
    }
}
