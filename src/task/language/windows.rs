//! A text to model in windows of n tokens: its beginning is the training set, its end the validation set.
//!
//! The validation set is contiguous, as is usual for texts: windows drawn from the whole text would adjoin or overlap
//! the training set. In a file of several different texts the end differs from the beginning, and the validation loss
//! shows that.

use std::ops::Range;
use std::path::Path;

use ndarray::Array2;

use crate::rng::{below, stream};
use crate::task::examples::{Examples, Sequences};
use crate::{Error, Result, file};

/// How many token numbers a model of bytes has: a byte is its own token, and nothing needs padding.
pub const BYTES: usize = 256;

/// The tokens of a text, split by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language {
    tokens: Vec<u32>,
    split: usize,
    n: usize,
}

/// Windows of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// What the model reads, shape (b, n).
    pub inputs: Array2<u32>,
    /// The target at each position, shape (b, n): the next token.
    pub targets: Array2<u32>,
}

impl Windows {
    /// The same as examples of a batch.
    pub fn examples(&self) -> Examples {
        let (b, n) = self.inputs.dim();
        let flat = |x: &Array2<u32>| x.iter().copied().collect();
        let inputs = Sequences { tokens: flat(&self.inputs), lengths: vec![n; b] };
        Examples::Sequences { inputs, targets: flat(&self.targets) }
    }
}

/// A window of the validation set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationWindow<'a> {
    /// What the model reads, n tokens.
    pub inputs: &'a [u32],
    /// The next token at each position, n tokens.
    pub targets: &'a [u32],
    /// The positions that count: the last ones. Those before are context, and count in another window.
    pub counted: Range<usize>,
}

impl Language {
    /// The bytes of a file, in windows of `n`; the last `validation` of it (a share, rounded to a byte) is the validation
    /// set.
    ///
    /// Either set must be longer than a window.
    pub fn read(path: &Path, n: usize, validation: f64) -> Result<Self> {
        let bytes = file::bytes(path)?;
        Self::new(&format!("'{}'", path.display()), bytes.into_iter().map(u32::from).collect(), n, validation)
    }

    /// The same of tokens; `what` names them in errors.
    pub fn new(what: &str, tokens: Vec<u32>, n: usize, validation: f64) -> Result<Self> {
        let split = split(what, tokens.len(), n, validation)?;
        Ok(Self { tokens, split, n })
    }

    /// The same with a split that [`split`] has checked.
    pub(super) fn at(tokens: Vec<u32>, split: usize, n: usize) -> Self {
        Self { tokens, split, n }
    }

    /// The training set.
    pub fn training(&self) -> &[u32] {
        &self.tokens[..self.split]
    }

    /// The validation set: the tokens after it.
    pub fn validation(&self) -> &[u32] {
        &self.tokens[self.split..]
    }

    /// `size` windows of the training set, every position equally likely: decided by the seed and the step alone.
    pub fn batch(&self, size: usize, seed: u64, step: usize) -> Windows {
        let mut rng = stream(seed, &format!("windows of step {step}"));
        let starts: Vec<usize> = (0..size).map(|_| below(&mut rng, self.split - self.n)).collect();
        let shifted = |by: usize| {
            Array2::from_shape_fn((size, self.n), |(row, place)| self.tokens[starts[row] + place + by])
        };
        Windows { inputs: shifted(0), targets: shifted(1) }
    }

    /// Windows in which every token of the validation set counts exactly once, `stride` of them in a window.
    ///
    /// With a stride of n windows do not overlap; with a shorter one every token that counts has at least n - stride
    /// tokens before it in its window. The first windows begin with tokens of the training set, as context.
    pub fn evaluation_windows(
        &self,
        stride: usize,
    ) -> Result<impl ExactSizeIterator<Item = EvaluationWindow<'_>>> {
        if stride == 0 || stride > self.n {
            let accepted = format!("1 to {}, the window length", self.n);
            return Err(Error::value("stride between windows", stride, accepted));
        }
        let windows = self.validation().len().div_ceil(stride);
        Ok((0..windows).map(move |window| {
            let first = self.split + window * stride;
            let end = (first + stride).min(self.tokens.len());
            EvaluationWindow {
                inputs: &self.tokens[end - self.n - 1..end - 1],
                targets: &self.tokens[end - self.n..end],
                counted: self.n - (end - first)..self.n,
            }
        }))
    }
}

/// How many of the tokens of a text, which `what` names in errors, are the training set.
pub(super) fn split(what: &str, tokens: usize, n: usize, validation: f64) -> Result<usize> {
    if n == 0 {
        return Err(Error::value("window length", 0, "1 or more"));
    }
    if !(validation > 0.0 && validation < 1.0) {
        return Err(Error::value("share of text for validation", validation, "above 0 and below 1"));
    }
    let held_out = (tokens as f64 * validation).round() as usize;
    let split = tokens - held_out.min(tokens);
    for (set, length) in [("training", split), ("validation", tokens - split)] {
        if length <= n {
            let what = format!("the {set} set of {what}");
            let accepted = format!("more than {n}, the length of a window");
            return Err(Error::Tokens { what, found: length, accepted });
        }
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn language(length: u32, n: usize, validation: f64) -> Language {
        Language::new("a test", (0..length).collect(), n, validation).unwrap()
    }

    #[test]
    fn a_file_is_split_by_position() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, b"abcdefg\xff\x00z").unwrap();
        let language = Language::read(&path, 2, 0.3).unwrap();
        assert_eq!(language.training(), b"abcdefg".map(u32::from));
        assert_eq!(language.validation(), [255, 0, 122]);
    }

    #[test]
    fn windows_are_of_the_training_set_and_shifted_by_one() {
        let language = language(100, 7, 0.2);
        let mut starts = [false; 73];
        for step in 0..200 {
            let Windows { inputs, targets } = language.batch(4, 0, step);
            assert_eq!((inputs.dim(), &targets), ((4, 7), &inputs.mapv(|token| token + 1)));
            for row in inputs.rows() {
                assert!(row.iter().zip(row[0]..).all(|(token, expected)| *token == expected));
                starts[row[0] as usize] = true;
            }
        }
        assert_eq!(starts.iter().filter(|seen| **seen).count(), 73, "every position occurs: 0 to 72");
    }

    #[test]
    fn the_seed_and_the_step_decide() {
        let language = language(1000, 3, 0.5);
        assert_eq!(language.batch(5, 1, 9), language.batch(5, 1, 9));
        assert_ne!(language.batch(5, 1, 9), language.batch(5, 1, 8));
        assert_ne!(language.batch(5, 1, 9), language.batch(5, 2, 9));
        assert_eq!(
            language.batch(4, 0, 0).inputs.column(0).to_vec(),
            [378, 423, 392, 438],
            "the draws changed"
        );
    }

    #[test]
    fn evaluation_windows_by_hand() {
        let language = language(10, 3, 0.5); // 0 1 2 3 4 | 5 6 7 8 9
        let of = |stride| language.evaluation_windows(stride).unwrap().collect::<Vec<_>>();
        let whole = of(3);
        assert_eq!(whole[0], EvaluationWindow { inputs: &[4, 5, 6], targets: &[5, 6, 7], counted: 0..3 });
        assert_eq!(whole[1], EvaluationWindow { inputs: &[6, 7, 8], targets: &[7, 8, 9], counted: 1..3 });
        assert_eq!(whole.len(), 2);
        let single = of(1);
        assert_eq!(single[0], EvaluationWindow { inputs: &[2, 3, 4], targets: &[3, 4, 5], counted: 2..3 });
        assert_eq!(single.len(), 5);
        assert!(
            language
                .evaluation_windows(4)
                .err()
                .unwrap()
                .to_string()
                .contains("'4' is not accepted; accepted: 1 to 3")
        );
        assert!(language.evaluation_windows(0).is_err());
    }

    #[test]
    fn texts_that_do_not_fit() {
        let message = |length, n, validation| {
            Language::new("'f'", vec![0; length], n, validation).unwrap_err().to_string()
        };
        assert!(message(9, 0, 0.5).contains("window length: '0'"));
        for share in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(message(9, 1, share).contains("above 0 and below 1"));
        }
        assert_eq!(
            message(10, 5, 0.5),
            "the training set of 'f': 5 tokens; more than 5, the length of a window"
        );
        assert!(message(100, 20, 0.1).contains("the validation set of 'f': 10 tokens; more than 20"));
        assert!(message(0, 1, 0.5).contains("0 tokens"));
    }

    proptest! {
        #[test]
        fn every_token_counts_once(
            (length, share) in (30_usize..300, 0.35..0.6),
            (n, stride) in (1_usize..9, 1_usize..9),
        ) {
            let stride = stride.min(n);
            let tokens: Vec<u32> = (0..length as u32).map(|i| i * i % 5).collect();
            let language = Language::new("a test", tokens, n, share).unwrap();
            let mut counted = Vec::new();
            for window in language.evaluation_windows(stride).unwrap() {
                prop_assert_eq!((window.inputs.len(), window.targets.len()), (n, n));
                prop_assert_eq!(&window.inputs[1..], &window.targets[..n - 1]);
                counted.extend_from_slice(&window.targets[window.counted]);
            }
            prop_assert_eq!(&counted[..], language.validation());
        }
    }
}
