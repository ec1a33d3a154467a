//! `luna evaluate`: how good a trained network is on a file that it was not trained on.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::{Context, Outcome};
use crate::error::{Error, Result};
use crate::model::encoder::{BYTES, BYTES_FROM_ONE, EncoderConfig};
use crate::report::{Column, Digits, Report, Table};
use crate::stats;
use crate::task::labelled::Labelled;
use crate::task::listops;
use crate::train::loss::Sums;
use crate::train::{Batch, Network, Rows, checkpoint};

/// Which network is judged, and on what.
#[derive(Args, Clone, Debug, Default)]
#[allow(missing_docs)] // the flags' help says what they are
pub struct Config {
    /// Folder of a training
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// File to judge it on: as the training's own (label TAB text, lists of LRA, or any text)
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Sequences that are worked on at once
    #[arg(long, value_name = "B", default_value_t = 16)]
    pub batch: usize,
}

/// The columns, in their order: name, unit, about, digits.
const COLUMNS: &[(&str, &str, &str, Digits)] = &[
    ("attention", "", "the mechanism with its parameters", Digits::Text),
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
    network: Network,
    numbers: Vec<f32>,
    tokens: String,
    classes: Vec<String>,
}

/// Opens the best network of a run, or the folder that holds one.
fn open(dir: &Path) -> Result<Trained> {
    let best = dir.join("best");
    let dir = if dir.join("config.json").exists() { dir } else { &best };
    let path = dir.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let network = Network::new(&EncoderConfig::parse(&path, &text)?)?;
    let numbers = checkpoint::weights(&dir.join("model.safetensors"), network.layout())?;
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let tokens = value["tokens"].as_str().unwrap_or_default().to_string();
    let names = value["class_names"].as_array().into_iter().flatten();
    let classes = names.filter_map(|name| name.as_str().map(String::from)).collect();
    Ok(Trained { network, numbers, tokens, classes })
}

/// Judges and reports.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    if config.batch == 0 {
        return Err(Error::value("--batch", 0, "1 or more"));
    }
    let trained = open(&config.run)?;
    let n = trained.network.config().positions.max(1);
    let mut examples = match trained.tokens.as_str() {
        BYTES_FROM_ONE => Labelled::read(&config.data, Some(&trained.classes))?
            .items
            .iter()
            .map(|item| (item.tokens().take(n).collect(), vec![item.class as u32]))
            .collect(),
        "listops" => listops::read(&config.data)?
            .iter()
            .map(|one| (one.expression.tokens().take(n).collect(), vec![u32::from(one.label)]))
            .collect(),
        BYTES => windows(&config.data, n)?,
        other => {
            let what = format!("tokens of the training in '{}'", config.run.display());
            return Err(Error::value(what, other, "those of the tasks text, listops and language"));
        }
    };
    let of_tokens = trained.tokens == BYTES;
    // Sequences of a length stand together, so that their heads are worked on at once.
    examples.sort_by_key(|(tokens, _): &(Vec<u32>, Vec<u32>)| tokens.len());
    context.watch.begin(examples.len().div_ceil(config.batch), "batches");
    let mut sums = Sums::default();
    for chunk in examples.chunks(config.batch) {
        context.watch.check()?;
        let batch = Batch {
            ids: chunk.iter().flat_map(|(tokens, _)| tokens.iter().copied()).collect(),
            rows: Rows::of(chunk.iter().map(|(tokens, _)| tokens.len())),
            targets: chunk.iter().flat_map(|(_, targets)| targets.iter().copied()).collect(),
        };
        sums += trained.network.evaluate(&trained.numbers, &batch)?;
        context.watch.step(1, "");
    }
    Ok(Outcome { report: report(config, &trained, &sums, of_tokens, n), complete: true })
}

/// The bytes of a file in windows of n, each followed by the next: every byte but the first is a target once.
fn windows(path: &Path, n: usize) -> Result<Vec<(Vec<u32>, Vec<u32>)>> {
    let bytes = std::fs::read(path).map_err(Error::file(path))?;
    if bytes.len() < 2 {
        return Err(Error::malformed(path, format!("{} bytes", bytes.len()), "2 bytes or more"));
    }
    let tokens: Vec<u32> = bytes.into_iter().map(u32::from).collect();
    let (inputs, targets) = (&tokens[..tokens.len() - 1], &tokens[1..]);
    Ok(inputs.chunks(n).zip(targets.chunks(n)).map(|(x, y)| (x.to_vec(), y.to_vec())).collect())
}

fn report(config: &Config, trained: &Trained, sums: &Sums, of_tokens: bool, n: usize) -> Report {
    let mut rows = Table::new("Evaluation", columns());
    let (count, share) = (sums.count as f64, sums.correct as f64 / sums.count as f64);
    let ends = (!of_tokens).then(|| stats::wilson(share, sums.count));
    let loss = sums.nats / count;
    let file = config.data.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    rows.push(vec![
        trained.network.config().mechanism.spec().into(),
        trained.network.layout().learned().into(),
        file.into(),
        sums.count.into(),
        loss.into(),
        share.into(),
        ends.map(|ends| ends.low).into(),
        ends.map(|ends| ends.high).into(),
        of_tokens.then(|| loss / std::f64::consts::LN_2).into(),
        of_tokens.then(|| loss.exp()).into(),
    ]);
    let mut report = Report { rows, ..Report::default() };
    report.stamp.push("study", "evaluate");
    report.stamp.push("run", config.run.display().to_string());
    report.notes.push(if of_tokens {
        format!(
            "windows of {n} bytes side by side: a byte early in its window is guessed with little before it"
        )
    } else {
        format!("sequences are cut to their first {n} tokens, as in training")
    });
    report
}
