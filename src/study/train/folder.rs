//! The folder of one cell: its log, its last checkpoint, the best network so far, and its result.

use std::collections::BTreeMap;
use std::fs::{create_dir_all, read_to_string};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::cell::CellResult;
use super::log::{self, LogLine, MetricsLog};
use crate::error::{Error, Result};
use crate::file::save_text;
use crate::model::save;
use crate::profile::machine::Machine;
use crate::sweep::Fingerprint;
use crate::task::{TOKENIZER, TokenizerFile};
use crate::train::{Adam, Layout, checkpoint};

const METRICS: &str = "metrics.jsonl";
const LAST: &str = "last.safetensors";
const BEST: &str = "best";
const WEIGHTS: &str = "model.safetensors";
const RESULT: &str = "cell.json";
/// The key of a checkpoint that identifies its training.
const RUN: &str = "run";
/// The key of the machine that its times are of.
const MACHINE: &str = "machine";

/// What a checkpoint holds beside parameters and moments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CheckpointFacts {
    /// The step of the best evaluation so far, and its rank (higher is better).
    pub(super) best: Option<(usize, f64)>,
    /// Peak bytes of the first step, beyond what was allocated before.
    pub(super) peak: Option<u64>,
    /// The last step whose time does not count: steps up to it ran on another machine, or with other threads.
    pub(super) timed_after: usize,
}

/// Parameters and facts of a checkpoint, if there was one.
type Restored = Option<(Vec<f32>, CheckpointFacts)>;

/// The folder of a cell, or its log in memory where there is none.
pub(super) struct CellFolder {
    path: Option<PathBuf>,
    metrics: Option<MetricsLog>,
    pub(super) log: Vec<LogLine>,
}

impl CellFolder {
    /// Begins a training, or restores its last checkpoint if `resume`, the optimiser's moments included.
    pub(super) fn open(
        path: Option<&Path>,
        print: &Fingerprint,
        resume: bool,
        layout: &Layout,
        adam: &mut Adam,
    ) -> Result<(Self, Restored)> {
        let Some(path) = path else {
            return Ok((Self { path: None, metrics: None, log: Vec::new() }, None));
        };
        create_dir_all(path.join(BEST)).map_err(Error::file(path))?;
        let last = path.join(LAST);
        if !resume && last.exists() {
            let accepted = "--resume to continue it, or another folder";
            return Err(Error::malformed(path, "a training that was begun", accepted));
        }
        let mut restored = None;
        let mut lines = Vec::new();
        if resume && last.exists() {
            // Checked first: tensors of another network would not fit, and that would not say why.
            refuse_other(&last, &checkpoint::facts(&last)?, print)?;
            let (parameters, text) = checkpoint::read(&last, layout, adam)?;
            let steps = adam.steps();
            lines = log::read(&path.join(METRICS))?;
            lines.retain(|line| line.step() <= steps);
            let mut facts = parse(&text);
            if text.get(MACHINE) != Some(&machine()) {
                // The first step of a process warms up, and is not timed either.
                facts.timed_after = steps + 1;
            }
            restored = Some((parameters, facts));
        }
        let metrics = Some(MetricsLog::begin(&path.join(METRICS), &lines)?);
        Ok((Self { path: Some(path.to_path_buf()), metrics, log: lines }, restored))
    }

    /// Adds a line to the log.
    pub(super) fn add(&mut self, line: LogLine) -> Result<()> {
        let written = self.metrics.as_mut().map_or(Ok(()), |metrics| metrics.add(&line));
        self.log.push(line);
        written
    }

    /// Writes the last checkpoint.
    pub(super) fn save(
        &mut self,
        layout: &Layout,
        parameters: &[f32],
        adam: &Adam,
        print: &Fingerprint,
        facts: CheckpointFacts,
    ) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(metrics) = &mut self.metrics {
            metrics.flush()?;
        }
        let print = serde_json::to_string(print).unwrap_or_default();
        let mut text = BTreeMap::from([(RUN.to_string(), print)]);
        text.insert(MACHINE.into(), machine());
        text.insert("timed_after".into(), facts.timed_after.to_string());
        if let Some((step, rank)) = facts.best {
            text.insert("best_step".into(), step.to_string());
            text.insert("best_score".into(), format!("{rank:?}"));
        }
        if let Some(peak) = facts.peak {
            text.insert("peak".into(), peak.to_string());
        }
        checkpoint::write(&path.join(LAST), layout, parameters, adam, &text)
    }

    /// Writes the best network so far, as other commands open it.
    pub(super) fn save_best(
        &self,
        layout: &Layout,
        parameters: &[f32],
        config: Map<String, Value>,
        tokenizer: Option<TokenizerFile>,
    ) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let best = path.join(BEST);
        if let Some(TokenizerFile { json, .. }) = tokenizer {
            save_text(&best.join(TOKENIZER), &json)?;
        }
        save_text(&best.join("config.json"), &format!("{:#}\n", Value::Object(config)))?;
        save::save(&best.join(WEIGHTS), &layout.tensors(parameters), &BTreeMap::new())
    }

    /// The parameters of the best network so far, if there is a folder.
    pub(super) fn best(&self, layout: &Layout) -> Result<Option<Vec<f32>>> {
        let Some(path) = &self.path else { return Ok(None) };
        checkpoint::weights(&path.join(BEST).join(WEIGHTS), layout).map(Some)
    }

    /// Writes what the cell came to.
    pub(super) fn save_result(&self, result: &CellResult) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_string_pretty(result).unwrap_or_default();
        save_text(&path.join(RESULT), &(text + "\n"))
    }

    /// What the cell came to, if it was written and its network is still there; a damaged file is not believed.
    ///
    /// Only for a checkpoint that [`open`](Self::open) has restored: it is then of the same training.
    pub(super) fn result(&self) -> Option<CellResult> {
        let path = self.path.as_ref().filter(|path| path.join(BEST).join(WEIGHTS).is_file())?;
        let result: CellResult = serde_json::from_str(&read_to_string(path.join(RESULT)).ok()?).ok()?;
        Some(CellResult { log: self.log.clone(), ..result })
    }
}

/// Refuses to resume another training than that of the checkpoint, and says what differs.
fn refuse_other(last: &Path, facts: &BTreeMap<String, String>, print: &Fingerprint) -> Result<()> {
    let before: Option<Fingerprint> = facts.get(RUN).and_then(|text| serde_json::from_str(text).ok());
    let what = match before.map(|before| print.differs(&before)) {
        Some(None) => return Ok(()),
        Some(Some(what)) => format!("a training with other settings ({what})"),
        None => "a training of an earlier version, which does not identify its data".to_string(),
    };
    let accepted = "for --resume the same task, data, recipe, mechanism and seed; or another folder";
    Err(Error::malformed(last, what, accepted))
}

/// What times depend on, in one line.
fn machine() -> String {
    let cpu = Machine::read().cpu.unwrap_or_default();
    format!("{cpu}, {} threads", rayon::current_num_threads())
}

fn parse(text: &BTreeMap<String, String>) -> CheckpointFacts {
    let number = |name: &str| text.get(name).and_then(|value| value.parse::<f64>().ok());
    CheckpointFacts {
        best: number("best_step").zip(number("best_score")).map(|(step, rank)| (step as usize, rank)),
        peak: number("peak").map(|peak| peak as u64),
        timed_after: number("timed_after").map_or(0, |step| step as usize),
    }
}
