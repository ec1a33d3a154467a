//! The task translation: pairs of lines, cut into tokens of a vocabulary learnt from them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::learner::Examples;
use crate::error::{Error, Result};
use crate::rng::{below, stream};
use crate::study::fingerprint::Contents;
use crate::task::batch::sample;
use crate::task::bpe::{BEGIN, END, Vocabulary};
use crate::task::translation::{Buckets, Pair, Parallel};
use crate::train::{Pairs, Rows};

/// Pairs to learn from, to choose by and to test, and what their tokens are.
pub(super) struct Translation {
    pub(super) vocabulary: Vocabulary,
    train: Vec<Pair>,
    buckets: Buckets,
    /// The epoch of the last batch, and its batches: an order of millions of pairs is not made for every step.
    epoch: RefCell<(usize, Vec<Vec<usize>>)>,
    validation: Vec<Pair>,
    test: Vec<Pair>,
    /// Endings of the files' names.
    pub(super) languages: [String; 2],
    /// Pairs that were left out: longer than the network's positions.
    left_out: usize,
}

/// What the task is told.
pub(super) struct Settings<'a> {
    /// Endings of the files' names: of the language to translate from, and of that to translate into.
    pub(super) languages: [&'a str; 2],
    pub(super) vocabulary: usize,
    /// The share of the pairs that is held out for choosing.
    pub(super) validation: f64,
    /// Places of the longest side.
    pub(super) n: usize,
    /// Places that a batch may have on its wider side.
    pub(super) tokens: usize,
    pub(super) seed: u64,
}

/// Whatever the seed of a training: seeds differ in weights and order, and learn the same pairs in the same tokens.
const HELD_OUT: u64 = 0;

impl Translation {
    /// Reads PATH.FROM and PATH.TO of both paths; the vocabulary is learnt from what is learned from.
    pub(super) fn read(path: &Path, test: Option<&Path>, settings: &Settings<'_>) -> Result<Self> {
        let all = parallel(path, settings.languages)?;
        let test = test.map(|path| parallel(path, settings.languages)).transpose()?.unwrap_or_default();
        let (train, validation) = hold_out(all, settings)?;
        let vocabulary = Vocabulary::train(train.texts(), settings.vocabulary)?;
        let mut left_out = 0;
        let mut encode = |part: &Parallel| -> Result<Vec<Pair>> {
            let mut pairs = part.encode(&vocabulary)?;
            let before = pairs.len();
            pairs.retain(|pair| pair.width() <= settings.n);
            left_out += before - pairs.len();
            Ok(pairs)
        };
        let (train, validation, test) = (encode(&train)?, encode(&validation)?, encode(&test)?);
        if train.is_empty() || validation.is_empty() {
            let accepted = format!("pairs of at most {} tokens a side, --seq-len", settings.n);
            return Err(Error::malformed(path, "no pair that is short enough", accepted));
        }
        let buckets = Buckets::new(&train, settings.tokens, settings.seed)?;
        let epoch = RefCell::new((0, buckets.epoch(0)));
        let languages = settings.languages.map(String::from);
        Ok(Self { vocabulary, train, buckets, epoch, validation, test, languages, left_out })
    }

    pub(super) fn has_test(&self) -> bool {
        !self.test.is_empty()
    }

    /// The batch of a step.
    pub(super) fn batch(&self, at: usize) -> Examples {
        let (number, place) = (at / self.buckets.per_epoch(), at % self.buckets.per_epoch());
        let mut epoch = self.epoch.borrow_mut();
        if epoch.0 != number {
            *epoch = (number, self.buckets.epoch(number));
        }
        Examples::Two(side_by_side(epoch.1[place].iter().map(|pair| &self.train[*pair])))
    }

    /// What is held out, short pairs first, at most so many, drawn from all over the files.
    pub(super) fn held_out(&self, test: bool, most: usize, tokens: usize) -> Result<Vec<Examples>> {
        let of = if test { &self.test } else { &self.validation };
        let of: Vec<Pair> =
            sample(of.len(), most, HELD_OUT).into_iter().map(|pair| of[pair].clone()).collect();
        let batches = Buckets::new(&of, tokens, 0)?.sorted();
        let pairs = batches.into_iter().map(|batch| side_by_side(batch.into_iter().map(|pair| &of[pair])));
        Ok(pairs.map(Examples::Two).collect())
    }

    /// Adds the pairs that are learned from and validated with, or those of the test part.
    pub(super) fn contents(&self, test: bool, contents: &mut Contents) {
        let parts: &[&Vec<Pair>] = if test { &[&self.test] } else { &[&self.train, &self.validation] };
        for pair in parts.iter().copied().flatten() {
            contents.add_tokens(&pair.source);
            contents.add_tokens(&pair.target);
        }
    }

    /// How much there is, in words.
    pub(super) fn amount(&self) -> String {
        let Self { train, validation, test, left_out, vocabulary, .. } = self;
        format!(
            "{} pairs to learn from in {} batches, {} to choose by, {} to test, {left_out} left out (longer than --seq-len); {} tokens of byte pairs",
            train.len(),
            self.buckets.per_epoch(),
            validation.len(),
            test.len(),
            vocabulary.size()
        )
    }
}

/// The files PATH.FROM and PATH.TO.
fn parallel(path: &Path, languages: [&str; 2]) -> Result<Parallel> {
    let [from, to] = languages.map(|language| {
        let mut name = path.as_os_str().to_os_string();
        name.push(format!(".{language}"));
        PathBuf::from(name)
    });
    Parallel::read(&from, &to)
}

/// What is learned from, and the share that is not: drawn pair by pair, and kept in the order of the files.
fn hold_out(all: Parallel, settings: &Settings<'_>) -> Result<(Parallel, Parallel)> {
    let count = all.sources.len();
    let held = (count as f64 * settings.validation).ceil() as usize;
    if held >= count {
        let accepted = format!("less: there are {count} pairs");
        return Err(Error::value("--validation", settings.validation, accepted));
    }
    let rng = &mut stream(HELD_OUT, "translation held out");
    let mut chosen = vec![false; count];
    let mut left = held;
    while left > 0 {
        let pair = below(rng, count);
        left -= usize::from(!std::mem::replace(&mut chosen[pair], true));
    }
    let (mut train, mut validation) = (Parallel::default(), Parallel::default());
    for ((source, target), held) in all.sources.into_iter().zip(all.targets).zip(chosen) {
        let part = if held { &mut validation } else { &mut train };
        part.sources.push(source);
        part.targets.push(target);
    }
    Ok((train, validation))
}

/// The pairs of files PATH.FROM and PATH.TO in batches of up to `tokens` places, and how many were left out: longer than
/// `n` places.
pub(in crate::study) fn judged(
    path: &Path,
    languages: [&str; 2],
    vocabulary: &Vocabulary,
    n: usize,
    tokens: usize,
) -> Result<(Vec<Pairs>, usize)> {
    let mut pairs = parallel(path, languages)?.encode(vocabulary)?;
    let before = pairs.len();
    pairs.retain(|pair| pair.width() <= n);
    if pairs.is_empty() {
        let accepted = format!("pairs of at most {n} tokens a side, the positions of the network");
        return Err(Error::malformed(path, "no pair that is short enough", accepted));
    }
    let left_out = before - pairs.len();
    let batches = Buckets::new(&pairs, tokens, 0)?.sorted();
    let batches = batches.into_iter().map(|batch| side_by_side(batch.into_iter().map(|pair| &pairs[pair])));
    Ok((batches.collect(), left_out))
}

fn side_by_side<'a>(pairs: impl Iterator<Item = &'a Pair> + Clone) -> Pairs {
    let mut of = Pairs {
        sources: Vec::new(),
        source_rows: Rows::of(pairs.clone().map(|pair| pair.source.len())),
        inputs: Vec::new(),
        rows: Rows::of(pairs.clone().map(|pair| pair.target.len() + 1)),
        targets: Vec::new(),
    };
    for pair in pairs {
        of.sources.extend(&pair.source);
        of.inputs.push(BEGIN);
        of.inputs.extend(&pair.target);
        of.targets.extend(&pair.target);
        of.targets.push(END);
    }
    of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_pairs_are_held_out_is_pinned() {
        let lines: Vec<String> = (0..40).map(|line| line.to_string()).collect();
        let all = Parallel { sources: lines.clone(), targets: lines };
        let languages = ["en", "de"];
        let settings = Settings { languages, vocabulary: 0, validation: 0.2, n: 8, tokens: 8, seed: 5 };
        let (train, validation) = hold_out(all, &settings).unwrap();
        assert_eq!((train.sources.len(), validation.sources.len()), (32, 8));
        assert_eq!(validation.sources, PINNED, "the split changed: every published run would change");
        assert_eq!(validation.sources, validation.targets);
    }

    const PINNED: [&str; 8] = ["3", "5", "17", "19", "22", "28", "31", "33"];
}
