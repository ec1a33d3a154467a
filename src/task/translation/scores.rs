//! BLEU and chrF of translations, with the intervals that their number of sentences allows.

use std::iter::Sum;
use std::path::{Path, PathBuf};

use super::{bleu, chrf};
use crate::rng::stream;
use crate::stats::{Interval, bootstrap};
use crate::{Error, Result, file};

/// A file with a line for every line that was translated.
#[derive(Clone, Debug)]
pub struct AlignedLines {
    /// The file.
    pub path: PathBuf,
    lines: Vec<String>,
}

impl AlignedLines {
    /// Reads it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = file::text(path)?;
        Ok(Self { path: path.to_path_buf(), lines: text.lines().map(str::to_string).collect() })
    }

    fn check(&self, count: usize) -> Result<()> {
        if self.lines.len() == count {
            return Ok(());
        }
        let found = format!("{} lines", self.lines.len());
        Err(Error::malformed(&self.path, found, format!("{count}, as many as were translated")))
    }
}

/// A figure of BLEU and of chrF.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BleuAndChrf<T> {
    /// Of BLEU.
    pub bleu: T,
    /// Of chrF.
    pub chrf: T,
}

/// The scores of translations; intervals are at 95 %, by the bootstrap over sentences (Koehn 2004).
#[derive(Clone, Debug)]
pub struct Scores {
    /// Sentences that were scored: those with a text.
    pub sentences: usize,
    /// BLEU with what it is made of.
    pub bleu: bleu::Bleu,
    /// chrF in percent.
    pub chrf: f64,
    /// Intervals of both; none of too few sentences.
    pub intervals: Option<BleuAndChrf<Interval>>,
    /// By how much both are above those of other translations, the same sentences drawn for both; none of too few
    /// sentences, or where there are no others.
    pub differences: Option<BleuAndChrf<Interval>>,
}

/// The counts of each sentence, of which those of a corpus are sums.
#[derive(Default)]
struct SentenceCounts {
    bleu: Vec<bleu::BleuCounts>,
    chrf: Vec<chrf::ChrfCounts>,
}

impl SentenceCounts {
    fn push(&mut self, line: &str, reference: &str) {
        self.bleu.push(bleu::BleuCounts::of(line, &[reference]));
        self.chrf.push(chrf::ChrfCounts::of(line, &[reference]));
    }

    fn bleu(&self, sentences: &[usize]) -> f64 {
        sum_of(&self.bleu, sentences).bleu().score
    }

    fn chrf(&self, sentences: &[usize]) -> f64 {
        sum_of(&self.chrf, sentences).score()
    }

    fn scores(&self, other: Option<&Self>, seed: u64) -> Scores {
        let sentences = self.bleu.len();
        let interval = |statistic: &dyn Fn(&[usize]) -> f64| {
            bootstrap(sentences, &mut stream(seed, "bootstrap of sentences"), statistic)
        };
        let both =
            |bleu: Option<Interval>, chrf: Option<Interval>| Some(BleuAndChrf { bleu: bleu?, chrf: chrf? });
        let difference = |other: &Self| {
            let bleu = interval(&|drawn| self.bleu(drawn) - other.bleu(drawn));
            both(bleu, interval(&|drawn| self.chrf(drawn) - other.chrf(drawn)))
        };
        Scores {
            sentences,
            bleu: self.bleu.iter().copied().sum::<bleu::BleuCounts>().bleu(),
            chrf: self.chrf.iter().copied().sum::<chrf::ChrfCounts>().score(),
            intervals: both(interval(&|drawn| self.bleu(drawn)), interval(&|drawn| self.chrf(drawn))),
            differences: other.and_then(difference),
        }
    }
}

fn sum_of<T: Copy + Sum>(counts: &[T], sentences: &[usize]) -> T {
    sentences.iter().map(|at| counts[*at]).sum()
}

/// Scores pairs of a source and its translation by the references, beside `other` translations of the same sources if
/// there are any; pairs without a text on either side do not count.
pub fn score(
    translated: &[(String, String)],
    references: &AlignedLines,
    other: Option<&AlignedLines>,
    seed: u64,
) -> Result<Scores> {
    references.check(translated.len())?;
    other.map_or(Ok(()), |other| other.check(translated.len()))?;
    let (mut own_counts, mut other_counts) = (SentenceCounts::default(), SentenceCounts::default());
    for (at, ((source, line), reference)) in translated.iter().zip(&references.lines).enumerate() {
        match (source.trim().is_empty(), reference.trim().is_empty()) {
            (true, true) => continue,
            (false, true) => {
                let what = format!("line {}: no text", at + 1);
                return Err(Error::malformed(&references.path, what, "a translation of every line"));
            }
            _ => {}
        }
        own_counts.push(line, reference);
        if let Some(other) = other {
            other_counts.push(&other.lines[at], reference);
        }
    }
    if own_counts.bleu.is_empty() {
        return Err(Error::value("translations to score", "0 lines", "1 or more"));
    }
    Ok(own_counts.scores(other.map(|_| &other_counts), seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::below;
    use crate::stats::Verdict;

    fn lines_of(lines: &[&str]) -> AlignedLines {
        AlignedLines { path: "lines".into(), lines: lines.iter().map(|line| (*line).to_string()).collect() }
    }

    #[test]
    fn a_difference_is_of_the_same_sentences() {
        let words = ["a b c d e f", "g h i j k", "l m n o p q r", "s t u v w x"].repeat(2);
        let translated: Vec<(String, String)> =
            words.iter().map(|line| ("x".to_string(), (*line).to_string())).collect();
        let references = lines_of(&["a b c d e f", "g h i j k", "l m n o p q r", "s t u v w y"].repeat(2));
        let same = score(&translated, &references, Some(&lines_of(&words)), 1).unwrap().differences.unwrap();
        for difference in [same.bleu, same.chrf] {
            assert_eq!((difference.mid, difference.low, difference.high), (0.0, 0.0, 0.0));
        }
        let worse = lines_of(&["a b c d e x", "g h i j x", "l m n o p q x", "s t u v w y"].repeat(2));
        let scores = score(&translated, &references, Some(&worse), 1).unwrap();
        let above = scores.differences.unwrap();
        assert!(above.bleu.mid > 0.0 && above.bleu.high > 0.0 && above.chrf.mid > 0.0, "{above:?}");
        assert!(scores.sentences == 8 && scores.intervals.is_some());
        let refused = score(&translated, &references, Some(&lines_of(&["a"])), 1).unwrap_err().to_string();
        assert!(refused.contains("1 lines") && refused.contains('8'), "{refused}");
        let few = score(&translated[..4], &lines_of(&words[..4]), Some(&lines_of(&words[4..])), 1).unwrap();
        assert!(few.sentences == 4 && few.intervals.is_none() && few.differences.is_none());
    }

    /// Translations that are right but for words lost at random, and their counts.
    fn translated(lines: &[Vec<String>], loses: usize, rng: &mut crate::rng::Rng) -> SentenceCounts {
        let mut parts = SentenceCounts::default();
        for words in lines {
            let translation: Vec<&str> = words
                .iter()
                .map(|word| if below(rng, 100) < loses { "lost" } else { word.as_str() })
                .collect();
            parts.push(&translation.join(" "), &words.join(" "));
        }
        parts
    }

    /// How many of 200 tests of two systems that lose so many words in 100 were decided, by BLEU and by chrF.
    fn decided(sentences: usize, loses: [usize; 2]) -> [usize; 2] {
        let mut counts = [0; 2];
        for seed in 0..200 {
            let mut rng = stream(seed, "translations");
            let lines: Vec<Vec<String>> = (0..sentences)
                .map(|_| (0..6 + below(&mut rng, 10)).map(|_| format!("w{}", below(&mut rng, 900))).collect())
                .collect();
            let [one, other] = loses.map(|loses| translated(&lines, loses, &mut rng));
            let verdict = |statistic: &dyn Fn(&[usize]) -> f64| {
                Verdict::of(bootstrap(sentences, &mut stream(seed, "bootstrap of sentences"), statistic))
            };
            let found = [
                verdict(&|drawn| one.bleu(drawn) - other.bleu(drawn)),
                verdict(&|drawn| one.chrf(drawn) - other.chrf(drawn)),
            ];
            for (count, verdict) in counts.iter_mut().zip(found) {
                *count += usize::from(verdict != Verdict::Undecided);
            }
        }
        counts
    }

    #[test]
    fn equal_systems_are_told_apart_in_at_most_5_of_100_tests() {
        for sentences in [8, 40] {
            let counts = decided(sentences, [20, 20]);
            // 5 % and three standard deviations of 200 tests.
            assert!(counts.iter().all(|count| *count <= 19), "{counts:?} of 200 over {sentences} sentences");
        }
        let counts = decided(40, [20, 30]);
        assert!(counts.iter().all(|count| *count >= 150), "{counts:?} of 200 that do differ");
    }
}
