//! Recall by association: pairs of a key and a value, then keys alone, each to be answered with its value.
//!
//! The multi-query associative recall of Arora et al., "Zoology: Measuring and Improving Recall in Efficient Language
//! Models" (2023). Exact attention learns it; mechanisms with a small state of the past do not, once there are more pairs
//! than the state has room for:
//!
//! ```text
//! inputs   k1 v1 k2 v2 k3 v3  .  k3  .  .  k1 k2  .
//! targets   -  -  -  -  -  -  -  v3  -  -  v1 v2  -
//! ```
//! A sequence begins with its pairs: different keys in any order, values that may be equal. Every key is asked for once
//! after them. Two things differ from the paper's generator: questions are at any position with equal probability (there
//! near ones are more probable), and the positions between them hold [`BLANK`] (there any token, keys too). A hash assigns
//! each sequence to one of the two [`RecallPart`]s, so that none is in both.

use std::ops::Range;

use ndarray::Array2;
use sha2::{Digest, Sha256};

use crate::rng::{Rng, below, stream};
use crate::task::batch::IGNORED;
use crate::task::language::Windows;
use crate::{Error, Result};

/// The token of a position that holds neither key nor value.
pub const BLANK: u32 = 0;

/// Minimum number of different sequences, of which each part then has its share.
const MIN_SEQUENCES: f64 = 1024.0;

/// How long and how hard a sequence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecallSettings {
    /// Pairs of a key and a value in a sequence, each asked for once.
    pub pairs: usize,
    /// Tokens of a sequence: at least 3 for each pair.
    pub n: usize,
    /// Tokens of the vocabulary: [`BLANK`], the keys, and about as many values.
    pub vocabulary: usize,
}

/// 4 pairs in 16 tokens of 33: 16 keys, 16 values.
///
/// Small enough that two layers of exact attention (d 64, 2 heads, `AdamW` at 3e-3, batches of 64) answer 99 % after 800 steps,
/// 29 s of one thread in a trial in torch, where causal Luna (l = 16) and linear attention stayed at a third for as long
/// as they were tried (2.5 minutes, 4,400 and 2,600 steps; one seed each).
impl Default for RecallSettings {
    fn default() -> Self {
        Self { pairs: 4, n: 16, vocabulary: 33 }
    }
}

/// The set that a sequence belongs to: no sequence is in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecallPart {
    /// The training set.
    Training,
    /// The sequences that are held out.
    Test,
}

/// The task of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    settings: RecallSettings,
    seed: u64,
}

impl Recall {
    /// The task of these settings; refuses those that leave too few sequences.
    pub fn new(settings: RecallSettings, seed: u64) -> Result<Self> {
        let RecallSettings { pairs, n, vocabulary } = settings;
        if pairs == 0 {
            return Err(Error::value("pairs of the recall task", 0, "1 or more"));
        }
        let needed = pairs.checked_mul(3).filter(|needed| u32::try_from(*needed).is_ok());
        let needed = needed.ok_or_else(|| Error::value("pairs of the recall task", pairs, "fewer"))?;
        if n < needed {
            let accepted =
                format!("{needed} or more: a key, a value and a question for each of {pairs} pairs");
            return Err(Error::value("length n of the recall task", n, accepted));
        }
        if settings.keys() < pairs || u32::try_from(vocabulary).is_err() {
            let accepted =
                format!("{} to {}: a blank, {pairs} keys and as many values", 2 * pairs + 1, u32::MAX);
            return Err(Error::value("vocabulary of the recall task", vocabulary, accepted));
        }
        if settings.sequences() < MIN_SEQUENCES {
            let given = format!("{pairs} pairs, n {n}, vocabulary {vocabulary}");
            let accepted = format!("more of any: there are fewer than {MIN_SEQUENCES} different sequences");
            return Err(Error::value("settings of the recall task", given, accepted));
        }
        Ok(Self { settings, seed })
    }

    /// The settings.
    pub fn settings(&self) -> &RecallSettings {
        &self.settings
    }

    /// The number of possible answers: the values. A guess among all of them is right with probability 1 over it.
    pub fn answers(&self) -> usize {
        self.settings.values().len()
    }

    /// The sequences of these indices, a row each, shape (b, n): targets are [`IGNORED`] where nothing is asked.
    ///
    /// A sequence depends on the seed, the part and its index alone. The same sequence may be drawn again within its part.
    pub fn batch(&self, part: RecallPart, indices: Range<usize>) -> Windows {
        let shape = (indices.len(), self.settings.n);
        let mut windows =
            Windows { inputs: Array2::from_elem(shape, BLANK), targets: Array2::from_elem(shape, IGNORED) };
        let rows = windows.inputs.rows_mut().into_iter().zip(windows.targets.rows_mut());
        for ((mut inputs, mut targets), index) in rows.zip(indices) {
            let (input, target) = self.sequence(part, index);
            inputs.iter_mut().zip(input).for_each(|(place, token)| *place = token);
            targets.iter_mut().zip(target).for_each(|(place, token)| *place = token);
        }
        windows
    }

    /// Inputs and targets of one sequence: the first draw that belongs to this part (about every second one does).
    fn sequence(&self, part: RecallPart, index: usize) -> (Vec<u32>, Vec<u32>) {
        let RecallSettings { pairs, n, vocabulary } = self.settings;
        let mut rng = stream(self.seed, &format!("recall {part:?} {index} of {pairs} {n} {vocabulary}"));
        let values = self.settings.values();
        loop {
            let keys = some_of(self.settings.keys(), pairs, &mut rng);
            let places = some_of(n - 2 * pairs, pairs, &mut rng);
            let (mut inputs, mut targets) = (vec![BLANK; n], vec![IGNORED; n]);
            for (pair, (key, place)) in keys.into_iter().zip(places).enumerate() {
                let (key, place) = (key as u32 + 1, 2 * pairs + place);
                let value = (values.start + below(&mut rng, values.len())) as u32;
                inputs[2 * pair..2 * pair + 2].copy_from_slice(&[key, value]);
                (inputs[place], targets[place]) = (key, value);
            }
            if part_of(&inputs) == part {
                return (inputs, targets);
            }
        }
    }
}

impl RecallSettings {
    /// How many keys there are: the tokens from 1 on.
    fn keys(&self) -> usize {
        self.vocabulary.saturating_sub(1) / 2
    }

    /// The values: the tokens after the keys.
    fn values(&self) -> Range<usize> {
        1 + self.keys()..self.vocabulary
    }

    /// How many different sequences there are: keys in order, their values, and places of questions.
    fn sequences(&self) -> f64 {
        let falling = |from: usize| (0..self.pairs).map(|drawn| (from - drawn) as f64).product::<f64>();
        let values = (self.values().len() as f64).powf(self.pairs as f64);
        falling(self.keys()) * values * falling(self.n - 2 * self.pairs)
    }
}

/// `count` different numbers below `from`, in any order, every choice equally likely.
fn some_of(from: usize, count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..from).collect();
    for i in 0..count {
        all.swap(i, i + below(rng, from - i));
    }
    all.truncate(count);
    all
}

/// The part that a sequence belongs to: a bit of its hash.
fn part_of(inputs: &[u32]) -> RecallPart {
    let mut hash = Sha256::new();
    for token in inputs {
        hash.update(token.to_le_bytes());
    }
    if hash.finalize()[0] & 1 == 0 { RecallPart::Training } else { RecallPart::Test }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    fn rows(windows: &Windows) -> Vec<(Vec<u32>, Vec<u32>)> {
        let rows = windows.inputs.rows().into_iter().zip(windows.targets.rows());
        rows.map(|(inputs, targets)| (inputs.to_vec(), targets.to_vec())).collect()
    }

    /// Reads a sequence from left to right and answers each key that was seen before; nothing is known of the layout.
    fn answered(inputs: &[u32], keys: u32) -> Vec<u32> {
        let mut known = HashMap::new();
        let mut last = None;
        let mut answers = Vec::new();
        for token in inputs {
            let is_key = (1..=keys).contains(token);
            answers.push(if is_key { known.get(token).copied().unwrap_or(IGNORED) } else { IGNORED });
            if let (Some(key), true) = (last, *token > keys) {
                known.insert(key, *token);
            }
            last = is_key.then_some(*token);
        }
        answers
    }

    #[test]
    fn sequences_are_pinned() {
        let task = Recall::new(RecallSettings { pairs: 2, n: 9, vocabulary: 21 }, 0).unwrap();
        let [first, second] = rows(&task.batch(RecallPart::Training, 0..2)).try_into().unwrap();
        assert_eq!(first.0, PINNED, "the draws changed: every published run would change");
        assert_eq!(first.1, answered(&first.0, 10));
        assert_ne!(first, second);
        assert_eq!(rows(&task.batch(RecallPart::Training, 1..2))[0], second);
        assert_ne!(rows(&task.batch(RecallPart::Test, 0..1))[0], first);
        let other = Recall::new(*task.settings(), 1).unwrap();
        assert_ne!(rows(&other.batch(RecallPart::Training, 0..1))[0], first);
        assert_eq!((task.answers(), task.batch(RecallPart::Test, 3..3).inputs.dim()), (10, (0, 9)));
    }

    const PINNED: [u32; 9] = [4, 11, 5, 16, 0, 0, 4, 0, 5];

    #[test]
    fn no_sequence_is_in_both_parts() {
        // So few sequences that 3,000 draws of each part would meet by chance: 3 keys, 3 values, 2 pairs, 6 places.
        let settings = RecallSettings { pairs: 2, n: 10, vocabulary: 7 };
        assert_eq!(settings.sequences(), 6.0 * 9.0 * 30.0);
        let task = Recall::new(settings, 5).unwrap();
        let of = |part| rows(&task.batch(part, 0..3000)).into_iter().map(|row| row.0).collect::<HashSet<_>>();
        let (training, test) = (of(RecallPart::Training), of(RecallPart::Test));
        assert!(training.len() > 500 && test.len() > 500, "{} {}", training.len(), test.len());
        assert!(training.is_disjoint(&test));
    }

    #[test]
    fn every_place_and_value_is_equally_likely() {
        let task = Recall::new(RecallSettings { pairs: 2, n: 8, vocabulary: 9 }, 0).unwrap();
        let (mut places, mut values) = ([0_u32; 8], HashMap::new());
        for (_, targets) in rows(&task.batch(RecallPart::Training, 0..4000)) {
            for (place, value) in targets.into_iter().enumerate().filter(|(_, value)| *value != IGNORED) {
                places[place] += 1;
                *values.entry(value).or_insert(0_u32) += 1;
            }
        }
        assert_eq!(places[..4], [0; 4]);
        assert!(places[4..].iter().all(|count| count.abs_diff(2000) < 180), "4 standard errors: {places:?}");
        assert_eq!(values.len(), 4);
        assert!(values.values().all(|count| count.abs_diff(2000) < 180), "4 standard errors: {values:?}");
    }

    #[test]
    fn settings_that_cannot_be_met() {
        let message = |pairs, n, vocabulary| {
            Recall::new(RecallSettings { pairs, n, vocabulary }, 0).unwrap_err().to_string()
        };
        assert_eq!(message(0, 9, 9), "pairs of the recall task: '0' is not accepted; accepted: 1 or more");
        assert!(message(usize::MAX, 9, 9).contains("accepted: fewer"));
        assert_eq!(
            message(8, 23, 99),
            "length n of the recall task: '23' is not accepted; accepted: 24 or more: a key, a value and a question \
             for each of 8 pairs"
        );
        assert!(message(8, 64, 16).contains("vocabulary of the recall task: '16'"));
        assert!(
            message(8, 64, 16).contains("accepted: 17 to 4294967295: a blank, 8 keys and as many values")
        );
        assert!(message(8, 64, 0).contains("'0'"));
        let few = "'1 pairs, n 3, vocabulary 3' is not accepted; accepted: more of any";
        assert!(message(1, 3, 3).contains(few));
        assert!(Recall::new(RecallSettings { pairs: 8, n: 24, vocabulary: 17 }, 0).is_ok());
    }

    proptest! {
        #[test]
        fn every_question_has_its_answer(
            (pairs, more, wider) in (1_usize..9, 0_usize..40, 0_usize..50),
            seed in 0_u64..99,
            index in 0_usize..1000,
        ) {
            let settings = RecallSettings { pairs, n: 3 * pairs + more, vocabulary: 2 * pairs + 9 + wider };
            let Ok(task) = Recall::new(settings, seed) else { return Ok(()) };
            let keys = (settings.vocabulary - task.answers() - 1) as u32;
            for part in [RecallPart::Training, RecallPart::Test] {
                let (inputs, targets) = rows(&task.batch(part, index..index + 1)).remove(0);
                prop_assert_eq!(&targets, &answered(&inputs, keys));
                let mut asked: Vec<u32> =
                    (0..settings.n).filter(|i| targets[*i] != IGNORED).map(|i| inputs[i]).collect();
                asked.sort_unstable();
                asked.dedup();
                prop_assert_eq!(asked.len(), pairs, "every key once");
                prop_assert!(inputs.iter().all(|token| (*token as usize) < settings.vocabulary));
                prop_assert_eq!(inputs.iter().filter(|token| **token == BLANK).count(), more);
            }
        }
    }
}
