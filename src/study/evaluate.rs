//! `luna evaluate`: how good a trained network is on a file that it was not trained on.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::train::learner::{Examples, Learner};
use super::train::translation::judged;
use super::train::written::{self, TOKENIZER};
use super::{Context, Outcome};
use crate::error::{Error, Result};
use crate::model::{BYTES, BYTES_FROM_ONE, TRANSLATOR, embedded, settled};
use crate::name::Spec;
use crate::network::EncoderConfig;
use crate::network::translator::TranslatorConfig;
use crate::report::{Column, Digits, Report, Table};
use crate::stats;
use crate::task;
use crate::task::bpe::Vocabulary;
use crate::task::labelled::Labelled;
use crate::task::listops;
use crate::task::tokenizer::TextTokenizer;
use crate::train::loss::Sums;
use crate::train::{Batch, Network, Rows, Translator, checkpoint};

/// Which network is judged, and on what.
#[derive(Args, Clone, Debug, Default)]
#[allow(missing_docs)] // the flags' help says what they are
pub struct Config {
    /// Folder of a training, or byte-transformer or byte-luna
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// File to judge it on: as the training's own (label TAB text, lists of LRA, any text, or PATH of PATH.en and
    /// PATH.de)
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Sequences that are worked on at once
    #[arg(long, value_name = "B", default_value_t = 16)]
    pub batch: usize,
}

/// Places of a pair, where the network has no most.
const PLACES: usize = 256;

/// The columns, in their order: name, unit, about, digits.
const COLUMNS: &[(&str, &str, &str, Digits)] = &[
    (
        "attention",
        "",
        "the mechanism with its parameters; of an encoder-decoder, its encoder's",
        Digits::Text,
    ),
    ("decoder", "", "how the decoder of an encoder-decoder attends", Digits::Text),
    ("parameters", "", "numbers that were learned", Digits::Integer),
    ("data", "", "the file", Digits::Text),
    ("answers", "", "targets: sequences, or tokens", Digits::Integer),
    ("loss", "nats", "mean -ln p of a target", Digits::Fixed(4)),
    ("accuracy", "", "share of right answers", Digits::Fixed(4)),
    (
        "low",
        "",
        "lower end of Wilson's 95 % interval over the answers (none for tokens, which are not independent)",
        Digits::Fixed(4),
    ),
    ("high", "", "upper end of it", Digits::Fixed(4)),
    ("bits_per_byte", "bits", "loss in bits a byte of text", Digits::Fixed(4)),
    ("perplexity", "", "exp of the loss", Digits::Significant(4)),
];

/// The columns of the result.
pub fn columns() -> Vec<Column> {
    COLUMNS.iter().map(|(name, unit, about, digits)| Column::new(*name, *unit, *about, *digits)).collect()
}

/// A network as a training left it.
struct Trained {
    learner: Learner,
    numbers: Vec<f32>,
    /// Where it lies, and what was told beside it.
    dir: PathBuf,
    facts: Value,
}

impl Trained {
    /// Opens the best network of a run, or the folder that holds one.
    fn open(dir: &Path) -> Result<Self> {
        let dir = settled(&embedded::or_disk(dir)?);
        let path = dir.join("config.json");
        let text = embedded::text(&path)?;
        let facts: Value = serde_json::from_str(&text).unwrap_or_default();
        let learner = if facts["model_type"] == TRANSLATOR {
            Learner::Two(Translator::new(&TranslatorConfig::parse(&path, &text)?)?)
        } else {
            Learner::One(Network::new(&EncoderConfig::parse(&path, &text)?)?)
        };
        let numbers = checkpoint::weights(&dir.join("model.safetensors"), learner.layout())?;
        Ok(Self { learner, numbers, dir, facts })
    }

    fn config(&self) -> &EncoderConfig {
        match &self.learner {
            Learner::One(network) => network.config(),
            Learner::Two(translator) => &translator.config().encoder,
        }
    }

    /// What its ids are.
    fn tokens(&self) -> &str {
        self.facts["tokens"].as_str().unwrap_or_default()
    }

    /// Endings of the names of a translation's files.
    fn languages(&self) -> Result<[String; 2]> {
        if let Ok(languages) = <[String; 2]>::try_from(self.words("languages")) {
            return Ok(languages);
        }
        // Older trainings say it in their task alone: "translation:from=en,to=de data=...".
        let task = self.facts["task"].as_str().unwrap_or_default();
        let spec: Spec = task.split(' ').next().unwrap_or_default().parse().map_err(|_| {
            let accepted = "the languages, as [\"en\", \"de\"]";
            Error::malformed(self.dir.join("config.json"), "neither 'languages' nor 'task'", accepted)
        })?;
        let of = |key: &str, default: &str| {
            let found = spec.params.iter().find(|(name, _)| name == key);
            found.map_or(default, |(_, value)| value).to_string()
        };
        Ok([of("from", "en"), of("to", "de")])
    }

    /// Words that were written beside the network, as names of classes.
    fn words(&self, key: &str) -> Vec<String> {
        let words = self.facts[key].as_array().into_iter().flatten();
        words.filter_map(|word| word.as_str().map(String::from)).collect()
    }
}

/// What a network is judged on.
struct Judged {
    batches: Vec<Examples>,
    /// Whether targets are tokens of texts, whose answers are not independent.
    of_tokens: bool,
    /// Bits a byte of text for a loss of 1 nat a token, where that can be said.
    bits_a_nat: Option<f64>,
    note: String,
}

/// Judges and reports.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    if config.batch == 0 {
        return Err(Error::value("--batch", 0, "1 or more"));
    }
    let trained = Trained::open(&config.run)?;
    let judged = match (&trained.learner, trained.tokens()) {
        (Learner::Two(_), _) => translations(config, &trained)?,
        (_, BYTES | TOKENIZER) => text(config, &trained)?,
        _ => sequences(config, &trained)?,
    };
    context.watch.begin(judged.batches.len(), "batches");
    let mut sums = Sums::default();
    for batch in &judged.batches {
        context.watch.check()?;
        sums += trained.learner.evaluate(&trained.numbers, std::slice::from_ref(batch))?;
        context.watch.step(1, "");
    }
    Ok(Outcome { report: report(config, &trained, &sums, judged), complete: true })
}

/// Pairs of lines, in the tokens of the training.
fn translations(config: &Config, trained: &Trained) -> Result<Judged> {
    let languages = trained.languages()?;
    let vocabulary = Vocabulary::open(&trained.dir.join(TOKENIZER))?;
    let positions = trained.config().positions;
    let n = if positions == 0 { usize::MAX } else { positions };
    // As many places as the help says of a training's batch; without positions, of the longest pair that is usual.
    let places = config.batch.saturating_mul(if positions == 0 { PLACES } else { positions });
    let languages = [&*languages[0], &*languages[1]];
    let (pairs, left_out) = judged(&config.data, languages, &vocabulary, n, places)?;
    Ok(Judged {
        batches: pairs.into_iter().map(Examples::Two).collect(),
        of_tokens: true,
        bits_a_nat: None,
        note: format!(
            "tokens are this training's own byte pairs, and each is guessed behind the right ones: losses of other vocabularies do not compare; {left_out} pairs were left out (longer than its positions); luna translate RUN --reference FILE gives BLEU"
        ),
    })
}

/// Sequences with a class each.
fn sequences(config: &Config, trained: &Trained) -> Result<Judged> {
    let n = trained.config().positions.max(1);
    let mut examples: Vec<(Vec<u32>, Vec<u32>)> = match trained.tokens() {
        BYTES_FROM_ONE => Labelled::read(&config.data, Some(&trained.words("class_names")))?
            .items
            .iter()
            .map(|item| (item.tokens().take(n).collect(), vec![item.class as u32]))
            .collect(),
        "listops" => listops::read(&config.data)?
            .iter()
            .map(|one| (one.expression.tokens().take(n).collect(), vec![u32::from(one.label)]))
            .collect(),
        other => {
            let what = format!("tokens of the training in '{}'", config.run.display());
            return Err(Error::value(
                what,
                other,
                "those of the tasks text, listops, language and translation",
            ));
        }
    };
    // Sequences of a length stand together, so that their heads are worked on at once.
    examples.sort_by_key(|(tokens, _)| tokens.len());
    Ok(Judged {
        batches: examples.chunks(config.batch).map(one_by_one).collect(),
        of_tokens: false,
        bits_a_nat: None,
        note: format!("sequences are cut to their first {n} tokens, as in training"),
    })
}

/// Sequences side by side, with their targets.
fn one_by_one(chunk: &[(Vec<u32>, Vec<u32>)]) -> Examples {
    Examples::One(Batch {
        ids: chunk.iter().flat_map(|(tokens, _)| tokens.iter().copied()).collect(),
        rows: Rows::of(chunk.iter().map(|(tokens, _)| tokens.len())),
        targets: chunk.iter().flat_map(|(_, targets)| targets.iter().copied()).collect(),
    })
}

/// A text in windows of n tokens, each followed by the next: every token but the first is a target once.
fn text(config: &Config, trained: &Trained) -> Result<Judged> {
    let n = trained.config().positions.max(1);
    let bits = |bytes: f64| 1.0 / (bytes * std::f64::consts::LN_2);
    let (tokens, bits_a_nat, unit) = if trained.tokens() == BYTES {
        let bytes = crate::file::bytes(&config.data)?;
        (bytes.into_iter().map(u32::from).collect(), Some(bits(1.0)), "byte")
    } else {
        let tokenizer = TextTokenizer::open(&trained.dir.join(TOKENIZER))?;
        let text = task::text(&config.data)?;
        let encoded = tokenizer.encode(&text)?;
        let bytes = written::bytes_a_token(&tokenizer, &text, &encoded, 1)?;
        (encoded.ids, bytes.map(bits), "token")
    };
    if tokens.len() < 2 {
        return Err(Error::malformed(
            &config.data,
            format!("{} {unit}s", tokens.len()),
            format!("2 {unit}s or more"),
        ));
    }
    let (inputs, targets) = (&tokens[..tokens.len() - 1], &tokens[1..]);
    let windows: Vec<_> =
        inputs.chunks(n).zip(targets.chunks(n)).map(|(x, y)| (x.to_vec(), y.to_vec())).collect();
    let mut note = format!(
        "windows of {n} {unit}s side by side: a {unit} early in its window is guessed with little before it"
    );
    if bits_a_nat.is_none() {
        note += "; no bits a byte: tokens of this tokenizer do not say the text back letter by letter";
    }
    Ok(Judged {
        batches: windows.chunks(config.batch).map(one_by_one).collect(),
        of_tokens: true,
        bits_a_nat,
        note,
    })
}

fn report(config: &Config, trained: &Trained, sums: &Sums, judged: Judged) -> Report {
    let mut rows = Table::new("Evaluation", columns());
    let (count, share) = (sums.count as f64, sums.correct as f64 / sums.count as f64);
    let ends = (!judged.of_tokens).then(|| stats::wilson(share, sums.count));
    let loss = sums.nats / count;
    let file = config.data.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    rows.push(vec![
        trained.config().mechanism.spec().into(),
        trained.learner.decoder().into(),
        trained.learner.layout().learned().into(),
        file.into(),
        sums.count.into(),
        loss.into(),
        share.into(),
        ends.map(|ends| ends.low).into(),
        ends.map(|ends| ends.high).into(),
        judged.bits_a_nat.map(|bits| bits * loss).into(),
        judged.of_tokens.then(|| loss.exp()).into(),
    ]);
    let mut report = Report { rows, ..Report::default() };
    report.stamp.push("study", "evaluate");
    report.stamp.push("run", config.run.display().to_string());
    report.notes.push(judged.note);
    report
}
