//! BLEU of translations, as sacreBLEU computes it (13a tokens, mixed case, words and groups of up to 4).
//!
//! Papineni et al. 2002, in the form of Post, "A Call for Clarity in Reporting BLEU Scores" (2018), whose signature is
//! `case:mixed|eff:no|tok:13a|smooth:exp`: with N-gram counts clipped by the references and the nearest reference
//! length, 100 BP exp(mean of ln `p_n`), n = 1 to 4, BP = exp(1 - r / c) where the hypotheses' length c is below r.

use std::collections::HashMap;
use std::iter::Sum;
use std::ops::AddAssign;

use super::tokens::tokenize;

use crate::Result;
use crate::task::translation::aligned::aligned;

/// The longest n-gram, in tokens.
pub const ORDER: usize = 4;

/// What BLEU is computed from: counts of one translation, or sums of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BleuCounts {
    /// How many n-grams of the hypotheses are in the references, by n - 1; each as often as one reference has it.
    pub matches: [u64; ORDER],
    /// How many n-grams the hypotheses have.
    pub totals: [u64; ORDER],
    /// The length of the hypotheses in tokens.
    pub hypothesis: u64,
    /// The length of the references in tokens; of several the nearest to the hypothesis, of two as near the shorter.
    pub reference: u64,
}

/// A score and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bleu {
    /// BLEU in percent.
    pub score: f64,
    /// The precision of each order in percent, by n - 1; smoothed where nothing matches.
    pub precisions: [f64; ORDER],
    /// The factor for hypotheses that are too short, at most 1.
    pub brevity_penalty: f64,
    /// The counts.
    pub counts: BleuCounts,
}

/// BLEU of a corpus: a hypothesis a line, and references that are aligned to them line by line.
///
/// An empty reference line counts as none; every line needs one that is not empty.
///
/// ```
/// let bleu = luna::task::translation::bleu::corpus(&["a b c d e"], &[&["a b c d f"]]).unwrap();
/// assert!((bleu.score - 100.0 * 0.2_f64.powf(0.25)).abs() < 1e-12); // 4/5, 3/4, 2/3, 1/2
/// ```
pub fn corpus<H: AsRef<str>, R: AsRef<str>>(hypotheses: &[H], references: &[&[R]]) -> Result<Bleu> {
    let lines = aligned(hypotheses, references)?;
    let sum: BleuCounts =
        lines.into_iter().map(|(hypothesis, references)| BleuCounts::of(hypothesis, &references)).sum();
    Ok(sum.bleu())
}

/// BLEU of one sentence, of the orders that it has room for: `eff:yes` in sacreBLEU's signature.
pub fn sentence(hypothesis: &str, references: &[&str]) -> Bleu {
    let counts = BleuCounts::of(hypothesis, references);
    let room = counts.totals.iter().filter(|total| **total > 0).count();
    counts.bleu_of_orders(room)
}

impl BleuCounts {
    /// The counts of one hypothesis; empty references are skipped.
    pub fn of(hypothesis: &str, references: &[&str]) -> Self {
        let words = tokenize(hypothesis);
        let found = grams(&words);
        let mut allowed: HashMap<&[String], u64> = HashMap::new();
        let references: Vec<Vec<String>> =
            references.iter().filter(|text| !text.is_empty()).map(|text| tokenize(text)).collect();
        for reference in &references {
            for (gram, count) in grams(reference) {
                let max = allowed.entry(gram).or_default();
                *max = count.max(*max);
            }
        }
        let lengths = references.iter().map(Vec::len);
        let nearest = lengths.min_by_key(|length| (length.abs_diff(words.len()), *length)).unwrap_or(0);
        let mut counts =
            Self { hypothesis: words.len() as u64, reference: nearest as u64, ..Self::default() };
        for (gram, count) in found {
            counts.totals[gram.len() - 1] += count;
            counts.matches[gram.len() - 1] += count.min(allowed.get(gram).copied().unwrap_or(0));
        }
        counts
    }

    /// The score of these counts as those of a corpus: all four orders, exponentially smoothed.
    pub fn bleu(&self) -> Bleu {
        self.bleu_of_orders(ORDER)
    }

    /// The score of the first `orders` orders.
    ///
    /// Where an order has no match, its precision is 1 / (2^k total), k counting such orders from 1 on.
    fn bleu_of_orders(&self, orders: usize) -> Bleu {
        let (c, r) = (self.hypothesis as f64, self.reference as f64);
        let brevity_penalty = match self.hypothesis {
            0 if self.reference > 0 => 0.0,
            _ if c < r => (1.0 - r / c).exp(),
            _ => 1.0,
        };
        let mut bleu = Bleu { score: 0.0, precisions: [0.0; ORDER], brevity_penalty, counts: *self };
        if self.matches.iter().all(|matches| *matches == 0) {
            return bleu;
        }
        let mut smooth = 1.0;
        let counted = self.matches.iter().zip(&self.totals).zip(&mut bleu.precisions);
        for ((matches, total), precision) in counted.take_while(|((_, total), _)| **total > 0) {
            *precision = if *matches == 0 {
                smooth *= 2.0;
                100.0 / (smooth * *total as f64)
            } else {
                100.0 * *matches as f64 / *total as f64
            };
        }
        let logs = bleu.precisions[..orders].iter().map(|precision| precision.ln()).sum::<f64>();
        bleu.score = brevity_penalty * (logs / orders as f64).exp();
        bleu
    }
}

impl AddAssign for BleuCounts {
    fn add_assign(&mut self, other: Self) {
        for n in 0..ORDER {
            self.matches[n] += other.matches[n];
            self.totals[n] += other.totals[n];
        }
        self.hypothesis += other.hypothesis;
        self.reference += other.reference;
    }
}

impl Sum for BleuCounts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

/// How often each n-gram occurs, n = 1 to 4.
fn grams(words: &[String]) -> HashMap<&[String], u64> {
    let mut counts = HashMap::new();
    for gram in (1..=ORDER).flat_map(|n| words.windows(n)) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}
