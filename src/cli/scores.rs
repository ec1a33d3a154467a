//! BLEU and chrF of translations, with the intervals that as many sentences allow.

use std::fmt::Write;
use std::iter::Sum;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::report::printable;
use crate::rng::stream;
use crate::stats::{FEWEST, Interval, Verdict, bootstrap};
use crate::task::translation::{bleu, chrf};

const BLEU: &str = "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp";
const CHRF: &str = "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no";

/// A file of lines, one for every line that was translated.
pub(super) struct Judging {
    path: PathBuf,
    lines: Vec<String>,
}

impl Judging {
    /// Reads it.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = crate::file::text(path)?;
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

/// What each sentence adds to the scores of a corpus.
#[derive(Default)]
struct Parts {
    bleu: Vec<bleu::Counts>,
    chrf: Vec<chrf::Counts>,
}

impl Parts {
    fn add(&mut self, line: &str, reference: &str) {
        self.bleu.push(bleu::Counts::of(line, &[reference]));
        self.chrf.push(chrf::Counts::of(line, &[reference]));
    }

    fn bleu(&self, places: &[usize]) -> f64 {
        drawn(&self.bleu, places).bleu().score
    }

    fn chrf(&self, places: &[usize]) -> f64 {
        drawn(&self.chrf, places).score()
    }
}

fn drawn<T: Copy + Sum>(parts: &[T], places: &[usize]) -> T {
    places.iter().map(|at| parts[*at]).sum()
}

/// BLEU and chrF of the lines that say something, each behind its signature, with 95 % intervals by the bootstrap over
/// sentences (Koehn 2004); and how far they are above those of another's lines, the same sentences drawn for both, with
/// what that decides.
pub(super) fn judge(
    done: &[(String, String)],
    references: &Judging,
    against: Option<&Judging>,
    seed: u64,
) -> Result<String> {
    references.check(done.len())?;
    against.map_or(Ok(()), |against| against.check(done.len()))?;
    let (mut own, mut other) = (Parts::default(), Parts::default());
    for (at, ((source, line), reference)) in done.iter().zip(&references.lines).enumerate() {
        match (source.trim().is_empty(), reference.trim().is_empty()) {
            (true, true) => continue,
            (false, true) => {
                let what = format!("line {}: no text", at + 1);
                return Err(Error::malformed(&references.path, what, "a translation of every line"));
            }
            _ => {}
        }
        own.add(line, reference);
        if let Some(against) = against {
            other.add(&against.lines[at], reference);
        }
    }
    if own.bleu.is_empty() {
        return Err(Error::value("translations to score", "0 lines", "1 or more"));
    }
    Ok(told(&own, against.map(|against| (against, &other)), seed))
}

fn told(own: &Parts, other: Option<(&Judging, &Parts)>, seed: u64) -> String {
    let count = own.bleu.len();
    let interval = |statistic: &dyn Fn(&[usize]) -> f64| {
        bootstrap(count, &mut stream(seed, "bootstrap of sentences"), statistic)
    };
    let bleu = own.bleu.iter().copied().sum::<bleu::Counts>().bleu();
    let [one, two, three, four] = bleu.precisions;
    let bleu::Counts { hypothesis, reference, .. } = bleu.counts;
    let chrf = own.chrf.iter().copied().sum::<chrf::Counts>().score();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "luna: {BLEU} = {:.2} {one:.1}/{two:.1}/{three:.1}/{four:.1} \
         (BP = {:.3} ratio = {:.3} hyp_len = {hypothesis} ref_len = {reference})\n\
         luna: {CHRF} = {chrf:.2}",
        bleu.score,
        bleu.brevity_penalty,
        hypothesis as f64 / reference as f64,
    );
    let found = [interval(&|places| own.bleu(places)), interval(&|places| own.chrf(places))];
    if let [Some(bleu), Some(chrf)] = found {
        let _ = writeln!(
            text,
            "luna: 95 % by the bootstrap over {count} sentences: BLEU {:.2} to {:.2}, chrF {:.2} to {:.2}",
            bleu.low, bleu.high, chrf.low, chrf.high
        );
    } else {
        let _ = writeln!(text, "luna: {count} sentences leave no interval; {FEWEST} or more do");
    }
    let Some((against, other)) = other else { return text };
    let found = [
        interval(&|places| own.bleu(places) - other.bleu(places)),
        interval(&|places| own.chrf(places) - other.chrf(places)),
    ];
    if let [Some(bleu), Some(chrf)] = found {
        let name = printable(&against.path.display().to_string());
        let ends = |x: Interval| {
            let verdict = Verdict::of(Some(x)).name();
            format!("{:+.2} ({:+.2} to {:+.2}, {verdict})", x.mid, x.low, x.high)
        };
        let _ = writeln!(
            text,
            "luna: above '{name}', sentence beside sentence: BLEU {}, chrF {}; one training of each: other seeds \
             may differ by more",
            ends(bleu),
            ends(chrf)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::below;

    fn judging(lines: &[&str]) -> Judging {
        Judging { path: "lines".into(), lines: lines.iter().map(|line| (*line).to_string()).collect() }
    }

    #[test]
    fn a_difference_is_of_the_same_sentences() {
        let words = ["a b c d e f", "g h i j k", "l m n o p q r", "s t u v w x"].repeat(2);
        let done: Vec<(String, String)> =
            words.iter().map(|line| ("x".to_string(), (*line).to_string())).collect();
        let references = judging(&["a b c d e f", "g h i j k", "l m n o p q r", "s t u v w y"].repeat(2));
        let same = judge(&done, &references, Some(&judging(&words)), 1).unwrap();
        assert!(
            same.contains("BLEU +0.00 (+0.00 to +0.00, undecided), chrF +0.00 (+0.00 to +0.00, undecided)"),
            "{same}"
        );
        let worse = judging(&["a b c d e x", "g h i j x", "l m n o p q x", "s t u v w y"].repeat(2));
        let told = judge(&done, &references, Some(&worse), 1).unwrap();
        let end = told.split("BLEU +").nth(1).expect("a difference above zero");
        assert!(end.contains(" to +"), "{told}");
        assert!(told.contains("bootstrap over 8 sentences"), "{told}");
        let refused = judge(&done, &references, Some(&judging(&["a"])), 1).unwrap_err().to_string();
        assert!(refused.contains("1 lines") && refused.contains('8'), "{refused}");
        let few = judge(&done[..4], &judging(&words[..4]), Some(&judging(&words[4..])), 1).unwrap();
        assert!(few.contains("4 sentences leave no interval; 8 or more do"), "{few}");
        assert!(!few.contains("above"), "{few}");
    }

    /// Translations that are right but for words lost at random, and their scores' parts.
    fn translated(lines: &[Vec<String>], loses: usize, rng: &mut crate::rng::Rng) -> Parts {
        let mut parts = Parts::default();
        for words in lines {
            let kept: Vec<&str> = words
                .iter()
                .map(|word| if below(rng, 100) < loses { "lost" } else { word.as_str() })
                .collect();
            parts.add(&kept.join(" "), &words.join(" "));
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
                verdict(&|places| one.bleu(places) - other.bleu(places)),
                verdict(&|places| one.chrf(places) - other.chrf(places)),
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
