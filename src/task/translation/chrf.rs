//! chrF of translations, as sacreBLEU computes it: an F-score of groups of 1 to 6 characters, spaces left out.
//!
//! Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015), with recall counting twice as much as
//! precision; sacreBLEU's signature is `case:mixed|eff:yes|nc:6|nw:0|space:no`. Precision and recall are means over the
//! orders that both texts have room for: 100 (1 + b^2) P R / (b^2 P + R), b = 2.

use std::collections::HashMap;
use std::iter::Sum;
use std::ops::AddAssign;

use super::aligned::aligned;
use crate::Result;

/// The longest group, in characters.
pub const ORDER: usize = 6;

/// How many times as much as precision recall counts, squared.
const BETA_SQUARED: f64 = 4.0;

/// What chrF is computed from: counts of one translation, or sums of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChrfCounts {
    /// How many groups of the hypotheses are in their references, by length - 1; each as often as the reference has it.
    pub matches: [u64; ORDER],
    /// How many groups the hypotheses have.
    pub hypothesis: [u64; ORDER],
    /// How many groups the references have.
    pub reference: [u64; ORDER],
}

/// chrF of a corpus in percent: a hypothesis a line, and references that are aligned to them line by line.
///
/// An empty reference line counts as none; every line needs one that is not empty. Of several references the one by
/// which a line scores highest counts.
///
/// ```
/// let score = luna::task::translation::chrf::corpus(&["a b"], &[&["ab c"]]).unwrap();
/// // 2 of 2 characters and 1 of 1 pair; of the reference 2 of 3 and 1 of 2: P = 1, R = 7/12
/// assert!((score - 100.0 * 5.0 * (7.0 / 12.0) / (4.0 + 7.0 / 12.0)).abs() < 1e-12);
/// ```
pub fn corpus<H: AsRef<str>, R: AsRef<str>>(hypotheses: &[H], references: &[&[R]]) -> Result<f64> {
    let lines = aligned(hypotheses, references)?;
    let sum: ChrfCounts =
        lines.into_iter().map(|(hypothesis, references)| ChrfCounts::of(hypothesis, &references)).sum();
    Ok(sum.score())
}

/// chrF of one sentence in percent.
pub fn sentence(hypothesis: &str, references: &[&str]) -> f64 {
    ChrfCounts::of(hypothesis, references).score()
}

impl ChrfCounts {
    /// The counts of one hypothesis by the reference that it scores highest by; empty references are skipped.
    pub fn of(hypothesis: &str, references: &[&str]) -> Self {
        let hypothesis = letters(hypothesis);
        let found = groups(&hypothesis);
        let mut best: Option<(f64, Self)> = None;
        for reference in references.iter().filter(|text| !text.is_empty()) {
            let counts = Self::against(&found, &letters(reference));
            let score = counts.score();
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, counts));
            }
        }
        best.map(|(_, counts)| counts).unwrap_or_default()
    }

    fn against(found: &HashMap<&[char], u64>, reference: &[char]) -> Self {
        let mut counts = Self::default();
        let allowed = groups(reference);
        for (group, count) in &allowed {
            counts.reference[group.len() - 1] += count;
        }
        for (group, count) in found {
            let order = group.len() - 1;
            counts.matches[order] += allowed.get(group).map_or(0, |allowed| *allowed.min(count));
            // An order that the reference has no room for does not count: sacreBLEU sums it so over a corpus.
            if counts.reference[order] > 0 {
                counts.hypothesis[order] += count;
            }
        }
        counts
    }

    /// The score of these counts in percent: 0 if nothing matches.
    pub fn score(&self) -> f64 {
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
        for ((matches, hypothesis), reference) in self.matches.iter().zip(self.hypothesis).zip(self.reference)
        {
            if hypothesis > 0 && reference > 0 {
                precision += *matches as f64 / hypothesis as f64;
                recall += *matches as f64 / reference as f64;
                orders += 1.0;
            }
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / orders, recall / orders);
        100.0 * (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    }
}

impl AddAssign for ChrfCounts {
    fn add_assign(&mut self, other: Self) {
        for n in 0..ORDER {
            self.matches[n] += other.matches[n];
            self.hypothesis[n] += other.hypothesis[n];
            self.reference[n] += other.reference[n];
        }
    }
}

impl Sum for ChrfCounts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum += part;
            sum
        })
    }
}

/// The characters that are not white space, in Python's sense: with the four separators of ASCII.
fn letters(text: &str) -> Vec<char> {
    let white = |c: &char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(c);
    text.chars().filter(|c| !white(c)).collect()
}

/// How often each group of 1 to 6 characters occurs.
fn groups(letters: &[char]) -> HashMap<&[char], u64> {
    let mut counts = HashMap::new();
    for group in (1..=ORDER).flat_map(|n| letters.windows(n)) {
        *counts.entry(group).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_and_texts_without_a_common_letter() {
        assert!((sentence("Zwei Männer.", &["Zwei Männer."]) - 100.0).abs() < 1e-12);
        assert!(
            (sentence("ZweiMän ner.", &["Zwei\u{a0}Männer."]) - 100.0).abs() < 1e-12,
            "spaces do not count"
        );
        assert_eq!(sentence("abc", &["xyz"]), 0.0);
        assert_eq!(sentence("", &["xyz"]), 0.0);
        assert_eq!(sentence("abc", &[" "]), 0.0);
        assert_eq!(sentence("abc", &[]), 0.0);
    }

    #[test]
    fn the_best_reference_counts_and_empty_ones_do_not() {
        let (near, far) = ("the cat sat", "a dog ran");
        let score = sentence("the cat sits", &[near]);
        assert!(score > sentence("the cat sits", &[far]));
        assert_eq!(sentence("the cat sits", &[far, "", near]), score);
        assert_eq!(corpus(&["the cat sits"], &[&[far], &[near]]).unwrap(), score);
    }

    #[test]
    fn a_corpus_is_the_sum_of_its_counts() {
        let (hypotheses, references) = (["ab", "xyz"], ["abc", "xy"]);
        let sum: ChrfCounts =
            hypotheses.iter().zip(references).map(|(one, other)| ChrfCounts::of(one, &[other])).sum();
        assert_eq!(corpus(&hypotheses, &[&references]).unwrap(), sum.score());
        assert_eq!((sum.matches, sum.reference), ([4, 2, 0, 0, 0, 0], [5, 3, 1, 0, 0, 0]));
        assert_eq!(sum.hypothesis, [5, 3, 0, 0, 0, 0], "no group of three where the reference has none");
    }

    #[test]
    fn lines_that_are_not_aligned() {
        let message = |hypotheses: &[&str], references: &[&[&str]]| {
            corpus(hypotheses, references).unwrap_err().to_string()
        };
        assert!(message(&[], &[&[]]).contains("translations to score: '0 lines'"));
        assert!(message(&["a"], &[]).contains("references to score by: 'none'"));
        assert!(message(&["a"], &[&["a", "b"]]).contains("lines of reference 1: '2'"));
        assert!(message(&["a", "b"], &[&["a", ""]]).contains("reference of line 2: ''"));
    }
}
