//! What is learned: batches to learn from, and what is held out.

use std::fmt::Write as _;
use std::path::Path;

use super::learner::Examples;
use super::open;
use super::recipe::Recipe;
use super::source::{self, Labelling, Part, Source};
use super::written::TOKENIZER;
use crate::error::Result;
use crate::file::save_text;
use crate::model::{BYTES, BYTES_FROM_ONE};
use crate::name::{self, Param, Params, Spec};
use crate::network::{EncoderConfig, Head, Mechanism};
use crate::study::fingerprint::Fingerprint;
use crate::task::batch::{Shuffled, sample};
use crate::task::language::{self, Windows};
use crate::task::recall;
use crate::train::{Batch, Rows};

/// One line of the list of tasks.
#[derive(Debug)]
pub struct TaskKind {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its parameters with defaults.
    pub takes: &'static [Param],
    /// Whether a share of a file may be held out.
    pub(super) splits: bool,
    /// Whether every row has a target, and not every sequence.
    pub(super) of_tokens: bool,
    open: fn(&Params<'_>, &Files<'_>, &Recipe, u64) -> Result<Source>,
}

/// Files that were named, and the task's own names for errors.
pub(super) struct Files<'a> {
    pub(super) data: Option<&'a Path>,
    pub(super) test: Option<&'a Path>,
}

/// Every task.
pub const ALL: &[TaskKind] = &[
    TaskKind {
        name: "text",
        about: "classes of texts, byte by byte: --data FILE of label TAB text (further columns between them are skipped)",
        takes: &[],
        splits: true,
        of_tokens: false,
        open: open::text,
    },
    TaskKind {
        name: "listops",
        about: "values of nested lists of digits (Nangia and Bowman 2018), generated, or --data FILE of Long Range Arena",
        takes: &[
            Param { name: "examples", default: Some("30000"), about: "how many to learn from" },
            Param {
                name: "held",
                default: Some("2000"),
                about: "how many to validate with, and to test with",
            },
            Param { name: "depth", default: Some("10"), about: "greatest depth" },
            Param { name: "args", default: Some("10"), about: "most arguments of an operator" },
            Param { name: "min", default: Some("100"), about: "least symbols" },
            Param { name: "max", default: Some("500"), about: "most symbols" },
        ],
        splits: true,
        of_tokens: false,
        open: open::listops,
    },
    TaskKind {
        name: "language",
        about: "the next byte or token of --data FILE, any text; the last --validation share of it is held out",
        takes: &[Param {
            name: "tokens",
            default: Some(BYTES),
            about: "bytes, or the path of a tokenizer.json",
        }],
        splits: true,
        of_tokens: true,
        open: open::language,
    },
    TaskKind {
        name: "recall",
        about: "pairs of keys and values, then keys to be answered (Arora et al. 2023), generated",
        takes: &[
            Param { name: "pairs", default: Some("4"), about: "pairs in a sequence" },
            Param { name: "vocab", default: Some("33"), about: "tokens: a blank, keys, as many values" },
            Param {
                name: "held",
                default: Some("512"),
                about: "sequences to validate with, and to test with",
            },
        ],
        splits: false,
        of_tokens: true,
        open: open::recall,
    },
    TaskKind {
        name: "translation",
        about: "one language into another: --data PATH and --test PATH stand for PATH.en and PATH.de, aligned line by line",
        takes: &[
            Param { name: "from", default: Some("en"), about: "ending of the files to translate from" },
            Param { name: "to", default: Some("de"), about: "ending of the files to translate into" },
            Param { name: "vocab", default: Some("8000"), about: "tokens of byte pairs, of both languages" },
        ],
        splits: true,
        of_tokens: false,
        open: open::translation,
    },
];

/// A task with its data.
pub(super) struct Data {
    /// As it was typed, with the files' names.
    pub(super) title: String,
    /// What decides its batches, and what is held out: files by their contents.
    pub(super) facts: Fingerprint,
    /// Whether no file was named.
    generated: bool,
    n: usize,
    batch: usize,
    seed: u64,
    most: usize,
    source: Source,
}

impl Data {
    pub(super) fn kind(spec: &Spec) -> Result<&'static TaskKind> {
        name::find("task", &spec.name, ALL, |kind| kind.name)
    }

    pub(super) fn open(spec: &Spec, files: &Files<'_>, recipe: &Recipe, seed: u64) -> Result<Self> {
        let kind = Self::kind(spec)?;
        let params = spec.params("task", kind.takes)?;
        let source = (kind.open)(&params, files, recipe, seed)?;
        let mut title = spec.to_string();
        for (what, path) in [("data", files.data), ("test", files.test)] {
            if let Some(name) = path.and_then(Path::file_name) {
                let _ = write!(title, " {what}={}", name.to_string_lossy()); // a String takes everything
            }
        }
        let facts = source::facts(spec, files, &source)?;
        let (generated, most) = (files.data.is_none(), recipe.eval_examples);
        Ok(Self { title, facts, generated, n: recipe.n, batch: recipe.batch, seed, most, source })
    }

    /// Vocabulary, mask and head of a network for this task; the rest is anything.
    pub(super) fn needs(&self) -> EncoderConfig {
        let (vocab, causal, head) = match &self.source {
            Source::Labelled { vocab, names, .. } => (*vocab, false, Head::Classes(names.len())),
            Source::Language(_, written) => (written.size(), true, Head::Tokens),
            Source::Recall { recall, .. } => (recall.settings().vocabulary, true, Head::Tokens),
            Source::Translation(pairs) => (pairs.vocabulary.size(), false, Head::None),
        };
        let base = EncoderConfig::new(Mechanism::Softmax, 1, 1, 1, 1);
        EncoderConfig { vocab: Some(vocab), causal, head, ..base }
    }

    /// What ids are, for those who open the network later.
    pub(super) fn tokens(&self) -> &'static str {
        match &self.source {
            Source::Labelled { bytes: true, .. } => BYTES_FROM_ONE,
            Source::Labelled { .. } => "listops",
            Source::Language(_, written) if written.tokenizer.is_none() => BYTES,
            Source::Recall { .. } => "recall",
            Source::Language(..) | Source::Translation(_) => TOKENIZER,
        }
    }

    /// Whether examples are pairs of texts.
    pub(super) fn pairs(&self) -> bool {
        matches!(self.source, Source::Translation(_))
    }

    /// Writes what makes tokens of texts, where they are not bytes, to belong beside the network.
    pub(super) fn save_tokenizer(&self, path: &Path) -> Result<()> {
        self.source.tokenizer()?.map_or(Ok(()), |json| save_text(path, &json))
    }

    /// Endings of the names of a translation's files: from and to.
    pub(super) fn languages(&self) -> Option<&[String; 2]> {
        match &self.source {
            Source::Translation(pairs) => Some(&pairs.languages),
            _ => None,
        }
    }

    /// Whether right answers are counted several to a sequence.
    pub(super) fn answers_share_sequences(&self) -> bool {
        matches!(self.source, Source::Recall { .. })
    }

    /// Whether what is learned is judged by the loss, and not by right answers.
    pub(super) fn by_loss(&self) -> bool {
        matches!(self.source, Source::Language(..) | Source::Translation(_))
    }

    /// Names of the classes; none where tokens are the answer.
    pub(super) fn classes(&self) -> &[String] {
        match &self.source {
            Source::Labelled { names, .. } => names,
            _ => &[],
        }
    }

    /// Bits a byte of text for a loss of 1 nat a token, where that can be said.
    pub(super) fn bits_a_nat(&self) -> Option<f64> {
        match &self.source {
            Source::Language(_, written) => written.bits_a_nat(),
            _ => None,
        }
    }

    /// Whether tokens are those of a tokenizer that loses some of the text.
    pub(super) fn loses_text(&self) -> bool {
        matches!(self.source, Source::Language(..)) && self.bits_a_nat().is_none()
    }

    /// The part of a step's batch that is worked on at once: decided by the seed, the step and `micro` alone.
    pub(super) fn batch(&self, step: usize, micro: usize, accumulate: usize) -> Result<Examples> {
        let at = step * accumulate + micro;
        let batch = match &self.source {
            Source::Translation(pairs) => return Ok(pairs.batch(at)),
            Source::Labelled { train, .. } => {
                let order = Shuffled::new(train.len(), self.batch, self.seed)?.batch(at);
                labelled(order.into_iter().map(|i| &train[i]), self.n)
            }
            Source::Language(text, _) => windows(text.batch(self.batch, self.seed, at)),
            Source::Recall { recall, .. } => {
                let first = at * self.batch;
                windows(recall.batch(recall::Part::Training, first..first + self.batch))
            }
        };
        Ok(Examples::One(batch))
    }

    /// Whether there is something that no choice has seen.
    pub(super) fn has_test(&self) -> bool {
        match &self.source {
            Source::Labelled { test, .. } => !test.is_empty(),
            Source::Language(..) => false,
            Source::Recall { .. } => true,
            Source::Translation(pairs) => pairs.has_test(),
        }
    }

    /// What is held out, in batches: of what is for choosing, at most as much as one look may take.
    pub(super) fn held_out(&self, part: Part, whole: bool) -> Result<Vec<Examples>> {
        let most = if whole || part == Part::Test { usize::MAX } else { self.most };
        let batches: Vec<Batch> = match &self.source {
            Source::Translation(pairs) => {
                return pairs.held_out(part == Part::Test, most, self.batch * self.n);
            }
            Source::Labelled { validation, test, .. } => {
                let of = if part == Part::Test { test } else { validation };
                // Sequences of a length stand together, so that their heads are worked on at once.
                let mut of: Vec<&Labelling> =
                    self.places(of.len(), most).into_iter().map(|i| &of[i]).collect();
                of.sort_by_key(|(tokens, _)| tokens.len().min(self.n));
                of.chunks(self.batch).map(|chunk| labelled(chunk.iter().copied(), self.n)).collect()
            }
            Source::Language(text, _) => {
                let judged: Vec<_> = text.judged(self.n)?.collect();
                let judged: Vec<_> = spread(judged.len(), most).map(|i| judged[i].clone()).collect();
                let batch = |chunk: &[language::Judged<'_>]| {
                    let (mut ids, mut targets) = (Vec::new(), Vec::new());
                    for window in chunk {
                        ids.extend_from_slice(window.inputs);
                        let counted = window.counted.clone();
                        let target = |(place, token): (usize, &u32)| {
                            if counted.contains(&place) { *token } else { crate::task::batch::IGNORED }
                        };
                        targets.extend(window.targets.iter().enumerate().map(target));
                    }
                    Batch { ids, rows: Rows::of(chunk.iter().map(|window| window.inputs.len())), targets }
                };
                judged.chunks(self.batch).map(batch).collect()
            }
            Source::Recall { recall, held } => {
                // The two held-out parts are two stretches of the same stream.
                let first = if part == Part::Test { *held } else { 0 };
                let count = (*held).min(most);
                let of = (first..first + count).step_by(self.batch).map(|at| {
                    let end = (at + self.batch).min(first + count);
                    windows(recall.batch(recall::Part::Test, at..end))
                });
                of.collect()
            }
        };
        Ok(batches.into_iter().map(Examples::One).collect())
    }

    /// Which of so many held-out sequences an evaluation of at most `most` takes: what was generated has no order, and its
    /// first ones are as good as any.
    fn places(&self, sequences: usize, most: usize) -> Vec<usize> {
        if self.generated { (0..sequences.min(most)).collect() } else { sample(sequences, most, self.seed) }
    }

    /// What a reader should know of the data.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!("data: {}", self.source.amount())];
        if let Source::Labelled { alike, .. } = &self.source {
            let note = |names: &String| format!("labels '{names}' look alike, and are classes of their own");
            notes.extend(alike.iter().map(note));
        }
        notes
    }

    /// The accuracy of the best constant answer on what is held out, where answers are classes or values.
    pub(super) fn constant(&self, part: Part) -> Option<f64> {
        match &self.source {
            Source::Labelled { validation, test, names, .. } => {
                let of = if part == Part::Test { test } else { validation };
                let count = |class: usize| of.iter().filter(|(_, of)| *of as usize == class).count();
                let most = (0..names.len()).map(count).max()?;
                (!of.is_empty()).then(|| most as f64 / of.len() as f64)
            }
            Source::Recall { recall, .. } => Some(1.0 / recall.answers() as f64),
            Source::Language(..) | Source::Translation(_) => None,
        }
    }
}

/// `most` of so many places, evenly spread over all of them; all of them where there are no more.
fn spread(places: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = places.min(most);
    (0..count).map(move |i| i * places / count)
}

fn labelled<'a>(items: impl Iterator<Item = &'a Labelling>, n: usize) -> Batch {
    let (mut ids, mut lengths, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for (tokens, class) in items {
        let kept = &tokens[..tokens.len().min(n)];
        ids.extend_from_slice(kept);
        lengths.push(kept.len());
        targets.push(*class);
    }
    Batch { ids, rows: Rows::of(lengths), targets }
}

fn windows(windows: Windows) -> Batch {
    let (b, n) = windows.inputs.dim();
    let flat = |x: ndarray::Array2<u32>| x.iter().copied().collect();
    Batch {
        ids: flat(windows.inputs),
        rows: Rows::of(std::iter::repeat_n(n, b)),
        targets: flat(windows.targets),
    }
}
