//! The folder of one run: what it logs, where it stands, and the best network so far.

use std::collections::BTreeMap;
use std::fs::create_dir_all;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::data::Data;
use super::metrics::{self, Line, Metrics};
use super::written::TOKENIZER;
use crate::error::{Error, Result};
use crate::file::save_text;
use crate::model::save;
use crate::profile::machine::Machine;
use crate::study::fingerprint::Fingerprint;
use crate::train::{Adam, Layout, checkpoint};

const METRICS: &str = "metrics.jsonl";
const LAST: &str = "last.safetensors";
const BEST: &str = "best";
/// Where a checkpoint has what decides its run.
const RUN: &str = "run";
/// And what its times are of.
const MACHINE: &str = "machine";

/// What a checkpoint holds beside weights and means.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// The best look so far: behind which step, and how good (higher is better).
    pub(super) best: Option<(usize, f64)>,
    /// Bytes that the first step held at most, beyond what was there.
    pub(super) peak: Option<u64>,
    /// Steps whose times do not count: up to this one they were of another machine, or of other threads.
    pub(super) timed_after: usize,
}

/// Weights and facts of a checkpoint, if there was one.
type Stood = Option<(Vec<f32>, Facts)>;

/// A run folder, or lines in memory where there is none.
pub(super) struct Folder {
    path: Option<PathBuf>,
    metrics: Option<Metrics>,
    pub(super) lines: Vec<Line>,
}

impl Folder {
    /// Begins anew, or goes on with what stands in the folder if `resume`: then with weights and means as well.
    pub(super) fn open(
        path: Option<&Path>,
        print: &Fingerprint,
        resume: bool,
        layout: &Layout,
        adam: &mut Adam,
    ) -> Result<(Self, Stood)> {
        let Some(path) = path else {
            return Ok((Self { path: None, metrics: None, lines: Vec::new() }, None));
        };
        create_dir_all(path.join(BEST)).map_err(Error::file(path))?;
        let last = path.join(LAST);
        if !resume && last.exists() {
            let accepted = "--resume to go on with it, or another folder";
            return Err(Error::malformed(path, "a training that was begun", accepted));
        }
        let mut stood = None;
        let mut lines = Vec::new();
        if resume && last.exists() {
            // First of all: of another network the tensors would not fit, and that would not say why.
            same(&last, &checkpoint::facts(&last)?, print)?;
            let (numbers, facts) = checkpoint::read(&last, layout, adam)?;
            let steps = adam.steps();
            lines = metrics::read(&path.join(METRICS))?;
            lines.retain(|line| line.step() <= steps);
            let mut stands = facts_of(&facts);
            if facts.get(MACHINE) != Some(&machine()) {
                // The first step of a process warms up, and is not timed either.
                stands.timed_after = steps + 1;
            }
            stood = Some((numbers, stands));
        }
        let metrics = Some(Metrics::begin(&path.join(METRICS), &lines)?);
        Ok((Self { path: Some(path.to_path_buf()), metrics, lines }, stood))
    }

    /// Adds a line.
    pub(super) fn log(&mut self, line: Line) -> Result<()> {
        let written = self.metrics.as_mut().map_or(Ok(()), |metrics| metrics.add(&line));
        self.lines.push(line);
        written
    }

    /// Keeps where the run stands.
    pub(super) fn keep(
        &mut self,
        layout: &Layout,
        numbers: &[f32],
        adam: &Adam,
        print: &Fingerprint,
        facts: Facts,
    ) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(metrics) = &mut self.metrics {
            metrics.flush()?;
        }
        let print = serde_json::to_string(print).unwrap_or_default();
        let mut text = BTreeMap::from([(RUN.to_string(), print)]);
        text.insert(MACHINE.into(), machine());
        text.insert("timed_after".into(), facts.timed_after.to_string());
        if let Some((step, score)) = facts.best {
            text.insert("best_step".into(), step.to_string());
            text.insert("best_score".into(), format!("{score:?}"));
        }
        if let Some(peak) = facts.peak {
            text.insert("peak".into(), peak.to_string());
        }
        checkpoint::write(&path.join(LAST), layout, numbers, adam, &text)
    }

    /// Keeps the best network so far, as other commands open it.
    pub(super) fn keep_best(
        &self,
        layout: &Layout,
        numbers: &[f32],
        told: Map<String, Value>,
        data: &Data,
    ) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let best = path.join(BEST);
        let text = format!("{:#}\n", Value::Object(told));
        data.save_tokenizer(&best.join(TOKENIZER))?;
        save_text(&best.join("config.json"), &text)?;
        save::save(&best.join("model.safetensors"), &layout.tensors(numbers), &BTreeMap::new())
    }

    /// The best network so far, which was kept if there is a folder.
    pub(super) fn best(&self, layout: &Layout) -> Result<Option<Vec<f32>>> {
        let Some(path) = &self.path else { return Ok(None) };
        let path = path.join(BEST).join("model.safetensors");
        checkpoint::weights(&path, layout).map(Some)
    }
}

/// Refuses to go on with another run than that of the checkpoint, and says in what it is another.
fn same(last: &Path, facts: &BTreeMap<String, String>, print: &Fingerprint) -> Result<()> {
    let before: Option<Fingerprint> = facts.get(RUN).and_then(|text| serde_json::from_str(text).ok());
    let what = match before.map(|before| print.differs(&before)) {
        Some(None) => return Ok(()),
        Some(Some(what)) => format!("a training that was told otherwise ({what})"),
        None => "a training of an earlier version, which does not say what it learned from".to_string(),
    };
    let accepted = "for --resume the same task, data, recipe, attention and seed; or another folder";
    Err(Error::malformed(last, what, accepted))
}

/// What times depend on, in one line.
fn machine() -> String {
    let cpu = Machine::read().cpu.unwrap_or_default();
    format!("{cpu}, {} threads", rayon::current_num_threads())
}

fn facts_of(text: &BTreeMap<String, String>) -> Facts {
    let number = |name: &str| text.get(name).and_then(|value| value.parse::<f64>().ok());
    Facts {
        best: number("best_step").zip(number("best_score")).map(|(step, score)| (step as usize, score)),
        peak: number("peak").map(|peak| peak as u64),
        timed_after: number("timed_after").map_or(0, |step| step as usize),
    }
}
