//! Examples of every task, in their parts.

use std::path::Path;

use super::data::Files;
use super::translation::Translation;
use super::written::Written;
use crate::error::Result;
use crate::name::Spec;
use crate::study::fingerprint::{Contents, Fingerprint};
use crate::task::language::Language;
use crate::task::recall::{self, Recall};
use crate::task::tokenizer::TextTokenizer;

/// Held out for choosing, or for the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Validation,
    Test,
}

/// Examples of a kind, in their parts.
pub(super) enum Source {
    Labelled {
        train: Vec<Labelling>,
        validation: Vec<Labelling>,
        test: Vec<Labelling>,
        vocab: usize,
        names: Vec<String>,
        bytes: bool,
        /// Names of classes that look alike.
        alike: Vec<String>,
    },
    Language(Language, Box<Written>),
    Recall {
        recall: Recall,
        held: usize,
    },
    Translation(Box<Translation>),
}

/// Tokens and their class.
pub(super) type Labelling = (Vec<u32>, u32);

/// Generated sequences by which the generator is told from another.
const SAMPLE: usize = 16;

impl Source {
    /// What makes tokens of texts, as the file `tokenizer.json` has it, where they are not bytes.
    pub(super) fn tokenizer(&self) -> Result<Option<String>> {
        match self {
            Self::Translation(pairs) => pairs.vocabulary.json().map(Some),
            Self::Language(_, written) => written.tokenizer.as_ref().map(TextTokenizer::json).transpose(),
            _ => Ok(None),
        }
    }

    /// The contents of what is learned from and validated with, or of the test part.
    fn contents(&self, part: Part) -> String {
        let mut contents = Contents::default();
        let is_test = part == Part::Test;
        match self {
            Self::Labelled { train, validation, test, names, .. } => {
                for name in names {
                    contents.add(name.as_bytes());
                }
                let parts: &[&Vec<Labelling>] = if is_test { &[test] } else { &[train, validation] };
                for (tokens, class) in parts.iter().copied().flatten() {
                    contents.add_tokens(tokens);
                    contents.add_tokens(&[*class]);
                }
            }
            Self::Language(text, _) => {
                contents.add_tokens(text.training());
                contents.add_tokens(text.validation());
            }
            Self::Recall { recall, .. } => {
                let part = if is_test { recall::Part::Test } else { recall::Part::Training };
                let windows = recall.batch(part, 0..SAMPLE);
                contents.add_tokens(&windows.inputs.into_iter().collect::<Vec<_>>());
                contents.add_tokens(&windows.targets.into_iter().collect::<Vec<_>>());
            }
            Self::Translation(pairs) => pairs.contents(is_test, &mut contents),
        }
        contents.word()
    }

    /// How much there is to learn from, in words.
    pub(super) fn amount(&self) -> String {
        match self {
            Source::Labelled { train, validation, test, .. } => {
                format!(
                    "{} sequences to learn from, {} to choose by, {} to test",
                    train.len(),
                    validation.len(),
                    test.len()
                )
            }
            Source::Language(text, written) => {
                let unit = if written.tokenizer.is_none() { "bytes" } else { "tokens" };
                let (learned, held) = (text.training().len(), text.validation().len());
                format!("{learned} {unit} to learn from, {held} held out")
            }
            Source::Recall { held, .. } => {
                format!("fresh sequences to learn from, {held} to choose by, {held} to test")
            }
            Source::Translation(pairs) => pairs.amount(),
        }
    }
}

/// What decides the examples: of files their contents, as far as anything is learned from them or judged on them.
pub(super) fn facts(spec: &Spec, files: &Files<'_>, source: &Source) -> Result<Fingerprint> {
    let mut facts = Fingerprint::default();
    facts.push("task", spec.to_string());
    // Before the text, whose tokens it makes. The vocabulary of a translation is learnt from the files, and says no more.
    if let (Source::Language(..), Some(tokenizer)) = (source, source.tokenizer()?) {
        let mut contents = Contents::default();
        contents.add(tokenizer.as_bytes());
        facts.push("contents of the tokenizer", contents.word());
    }
    if files.data.is_none() {
        facts.push("contents of what was generated", source.contents(Part::Validation));
    }
    for (flag, path, part) in [("--data", files.data, Part::Validation), ("--test", files.test, Part::Test)] {
        let Some(name) = path.and_then(Path::file_name) else { continue };
        let contents = source.contents(part);
        facts.push(format!("contents of {flag}"), format!("{}, sha256 {contents}", name.to_string_lossy()));
    }
    Ok(facts)
}
