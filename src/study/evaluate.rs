//! `luna evaluate`: how good a trained network is on a file that it was not trained on.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::columns::{Described, described};
use super::train::network::TaskNetwork;
use super::{Columns, Context, Outcome};
use crate::error::{Error, Result};
use crate::model::{TRANSLATOR, embedded, settled};
use crate::network::EncoderConfig;
use crate::network::translator::TranslatorConfig;
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Report, Table};
use crate::stats;
use crate::task::judge::{Answers, Judge};
use crate::task::{self, TrainedNetwork};
use crate::train::{Network, Translator, checkpoint};

/// Which network is evaluated, and on what.
#[derive(Args, Clone, Debug, Default)]
#[allow(missing_docs)] // the flags' help says what they are
pub struct EvaluateConfig {
    /// Folder of a training, or byte-transformer or byte-luna
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// File to evaluate on, as --data of the training (see luna list task)
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Sequences of a batch
    #[arg(long, value_name = "B", default_value_t = 16)]
    pub batch: usize,
}

/// The columns, in their order.
const COLUMNS: &[Described<'static>] = &[
    ("attention", "", "the mechanism with its parameters; of an encoder-decoder, its encoder's", Text),
    ("decoder", "", "attention of the decoder of an encoder-decoder", Text),
    ("parameters", "", "learned parameters", Integer),
    ("data", "", "the file", Text),
    ("answers", "", "targets: sequences, or tokens", Integer),
    ("loss", "nats", "mean -ln p of a target", Fixed(4)),
    ("accuracy", "", "share of right answers", Fixed(4)),
    (
        "low",
        "",
        "lower end of Wilson's 95 % interval over the answers (none for tokens, which are not independent)",
        Fixed(4),
    ),
    ("high", "", "upper end of it", Fixed(4)),
    ("bits_per_byte", "bits", "loss in bits per byte of text", Fixed(4)),
    ("perplexity", "", "exp of the loss", Significant(4)),
];

/// The columns of the result, and those that say what a row is of.
pub fn columns() -> Columns {
    Columns { known: Some(described(COLUMNS)), keys: &["attention", "decoder", "data"], short: &[] }
}

/// A network as a training wrote it.
struct Opened {
    network: TaskNetwork,
    parameters: Vec<f32>,
    /// Its folder, and what its configuration says beside its sizes.
    dir: PathBuf,
    facts: Value,
}

impl Opened {
    /// Opens the best network of a run, or the folder of a network.
    fn open(dir: &Path) -> Result<Self> {
        let dir = settled(&embedded::or_disk(dir)?);
        let path = dir.join("config.json");
        let text = embedded::text(&path)?;
        let facts: Value = serde_json::from_str(&text).unwrap_or_default();
        let network = if facts["model_type"] == TRANSLATOR {
            TaskNetwork::Translator(Box::new(Translator::new(&TranslatorConfig::parse(&path, &text)?)?))
        } else {
            TaskNetwork::Single(Box::new(Network::new(&EncoderConfig::parse(&path, &text)?)?))
        };
        let parameters = checkpoint::weights(&dir.join("model.safetensors"), network.layout())?;
        Ok(Self { network, parameters, dir, facts })
    }
}

/// Evaluates and reports.
pub fn run(config: &EvaluateConfig, context: Context<'_>) -> Result<Outcome> {
    if config.batch == 0 {
        return Err(Error::value("--batch", 0, "1 or more"));
    }
    let opened = Opened::open(&config.run)?;
    let kind = task::of_trained(&opened.facts, opened.network.kind())?;
    let evaluate = kind.evaluate.ok_or_else(|| {
        let can: Vec<_> =
            task::ALL.iter().filter(|kind| kind.evaluate.is_some()).map(|kind| kind.name).collect();
        let accepted = format!("networks of the tasks {}; {} has no files", can.join(", "), kind.name);
        Error::value(format!("task of the network in '{}'", config.run.display()), kind.name, accepted)
    })?;
    let set = evaluate(
        &config.data,
        &TrainedNetwork {
            dir: &opened.dir,
            facts: &opened.facts,
            positions: opened.network.encoder().positions,
            batch: config.batch,
        },
    )?;
    context.watch.begin(set.batches.len(), "batches");
    let mut answers = Answers::default();
    for batch in set.batches {
        context.watch.check()?;
        answers += opened.network.evaluate(&opened.parameters, batch)?;
        context.watch.step(1, "");
    }
    let mut report =
        Report { rows: table(config, &opened.network, &answers, set.judge), ..Report::default() };
    report.stamp.push("study", "evaluate");
    report.stamp.push("run", config.run.display().to_string());
    report.notes.push(set.note);
    Ok(Outcome { report, complete: true })
}

fn table(config: &EvaluateConfig, network: &TaskNetwork, answers: &Answers, judge: Judge) -> Table {
    let mut rows = Table::new("Evaluation", described(COLUMNS));
    let (loss, accuracy) = (answers.loss(), answers.accuracy());
    let ends = (!judge.by_loss()).then(|| stats::wilson(accuracy, answers.count));
    let file = config.data.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    rows.push(vec![
        network.encoder().mechanism.spec().into(),
        network.decoder().into(),
        network.layout().learned().into(),
        file.into(),
        answers.count.into(),
        loss.into(),
        accuracy.into(),
        ends.map(|ends| ends.low).into(),
        ends.map(|ends| ends.high).into(),
        judge.bits_per_nat().map(|bits| bits * loss).into(),
        judge.by_loss().then(|| loss.exp()).into(),
    ]);
    rows
}
