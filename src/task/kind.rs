//! What a task declares, and what it is once its data are open.

use std::path::Path;

use serde_json::Value;

use super::examples::Examples;
use super::judge::Judge;
use super::recipe::{Recipe, RecipePreset};
use crate::name::{Param, Params};
use crate::{Error, Result};

/// What `tokens` of a trained network's `config.json` holds where ids are bytes.
pub const BYTES: &str = "bytes";
/// Where ids are bytes plus 1, and 0 is padding.
pub const BYTES_FROM_ONE: &str = "bytes+1";
/// Where ids are those of the file of this name beside the network.
pub const TOKENIZER: &str = "tokenizer.json";

/// One line of the list of tasks.
#[derive(Debug)]
pub struct TaskKind {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its parameters with defaults.
    pub takes: &'static [Param],
    /// Its presets; the first is its default.
    pub presets: &'static [RecipePreset],
    /// What its networks are.
    pub network: NetworkKind,
    /// Whether a share of its data becomes the validation set.
    pub splits: bool,
    /// Opens its data.
    pub open: fn(&Setup<'_>) -> Result<Box<dyn Task>>,
    /// Opens a file to evaluate a trained network on; none where the task makes its own data.
    pub evaluate: Option<fn(&Path, &TrainedNetwork<'_>) -> Result<EvaluationSet>>,
}

/// What kind of network a task trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// An encoder without a mask, with a classifier.
    Encoder,
    /// A causal network that predicts tokens.
    Decoder,
    /// An encoder-decoder.
    EncoderDecoder,
}

/// What a task is opened with.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The task's name, for errors.
    pub task: &'static str,
    /// Its parameters.
    pub params: Params<'a>,
    /// `--data`.
    pub data: Option<&'a Path>,
    /// `--test`.
    pub test: Option<&'a Path>,
    /// Sizes and settings of the training.
    pub recipe: &'a Recipe,
    /// Decides the split and the batches.
    pub seed: u64,
}

impl<'a> Setup<'a> {
    /// The file of a task that needs one.
    pub fn data(&self) -> Result<&'a Path> {
        let needs =
            || Error::value(format!("--data of task '{}'", self.task), "none", "a file (--data FILE)");
        self.data.ok_or_else(needs)
    }

    /// Refuses `--data` for a task that generates its examples.
    pub fn refuse_data(&self) -> Result<()> {
        self.refuse("--data", self.data, "no file: the examples are generated")
    }

    /// Refuses `--test` for a task that makes its own test set, or none.
    pub fn refuse_test(&self) -> Result<()> {
        self.refuse("--test", self.test, "no file: the task makes its own test set, or has none")
    }

    fn refuse(&self, flag: &str, path: Option<&Path>, accepted: &str) -> Result<()> {
        path.map_or(Ok(()), |path| {
            Err(Error::value(format!("{flag} of task '{}'", self.task), path.display(), accepted))
        })
    }
}

/// The part of a task's data that does not train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldOutSet {
    /// Selects the step and the learning rate.
    Validation,
    /// Evaluated once after training.
    Test,
}

/// What a network for a task reads and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// What is predicted.
    pub prediction: NetworkOutput,
}

/// What a network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkOutput {
    /// One of so many classes, for each sequence.
    Classes(usize),
    /// One of so many classes, for each pair of sequences that are encoded alone, by the same network.
    PairClasses(usize),
    /// The next token, for each token.
    NextToken,
    /// A text in the same vocabulary, for each sequence.
    Text,
}

/// A piece of the data, as it enters a fingerprint.
#[derive(Clone, Copy, Debug)]
pub enum DataPiece<'a> {
    /// Tokens.
    Tokens(&'a [u32]),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// What makes tokens of texts, where they are not bytes.
#[derive(Clone, Debug)]
pub struct TokenizerFile {
    /// The contents of its `tokenizer.json`.
    pub json: String,
    /// Whether it was learned from the data, which then identify it.
    pub learned: bool,
}

/// A task with its data: what a network learns from and is judged on.
///
/// Everything is decided by the [`Setup`] that it was opened with.
pub trait Task {
    /// What a network must read and answer.
    fn interface(&self) -> Interface;

    /// What token ids mean: [`BYTES`], [`TOKENIZER`] or a name of the task's own.
    fn ids(&self) -> &'static str;

    /// What networks are compared by.
    fn judge(&self) -> Judge;

    /// The batch of this number, from 0.
    fn batch(&self, at: usize) -> Result<Examples>;

    /// Whether there is a test set.
    fn has_test(&self) -> bool;

    /// The validation or test set in batches, at most `max` examples of it.
    fn held_out(&self, part: HeldOutSet, max: usize) -> Result<Vec<Examples>>;

    /// Hands over what the training and validation sets are made of, or the test set.
    fn contents(&self, part: HeldOutSet, add: &mut dyn FnMut(DataPiece<'_>));

    /// How many examples there are, in words.
    fn amount(&self) -> String;

    /// What else a reader of the results should know of the data.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The accuracy of the best constant answer, where answers are classes or values.
    fn constant_accuracy(&self, _part: HeldOutSet) -> Option<f64> {
        None
    }

    /// What makes tokens of texts, where they are not bytes.
    fn tokenizer(&self) -> Result<Option<TokenizerFile>> {
        Ok(None)
    }

    /// Lists of words that are written into `config.json` beside the network, as `class_names`.
    fn facts(&self) -> Vec<(&'static str, Vec<String>)> {
        Vec::new()
    }
}

/// A trained network, as far as a task must know it to evaluate it.
#[derive(Clone, Copy, Debug)]
pub struct TrainedNetwork<'a> {
    /// The folder of its `config.json` and, where it has one, `tokenizer.json`.
    pub dir: &'a Path,
    /// The contents of its `config.json`.
    pub facts: &'a Value,
    /// Its positions; 0 for no limit.
    pub positions: usize,
    /// Sequences of a batch.
    pub batch: usize,
}

impl TrainedNetwork<'_> {
    /// A list of words of `config.json`, as [`Task::facts`] gave them; empty if it is not there.
    pub fn words(&self, key: &str) -> Vec<String> {
        let words = self.facts[key].as_array().into_iter().flatten();
        words.filter_map(|word| word.as_str().map(String::from)).collect()
    }

    /// The longest sequence that it reads, at least 1.
    pub fn max_tokens(&self) -> usize {
        self.positions.max(1)
    }

    /// What its token ids mean.
    pub fn ids(&self) -> &str {
        self.facts["tokens"].as_str().unwrap_or_default()
    }
}

/// What a trained network is evaluated on.
#[derive(Clone, Debug)]
pub struct EvaluationSet {
    /// Batches that cover all of it.
    pub batches: Vec<Examples>,
    /// What the answers are judged by.
    pub judge: Judge,
    /// What a reader of the figures should know.
    pub note: String,
}
