//! The folder of one run: what it logs, where it stands, and the best network so far.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, create_dir_all, read_to_string};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::data::Data;
use super::written::TOKENIZER;
use crate::error::{Error, Result};
use crate::file::save_text;
use crate::model::save;
use crate::train::{Adam, Layout, checkpoint};

const METRICS: &str = "metrics.jsonl";
const LAST: &str = "last.safetensors";
const BEST: &str = "best";

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    /// A step of the optimiser.
    Step {
        /// Counted from 1.
        step: usize,
        /// The mean of what was minimised.
        loss: f64,
        /// The rate of learning.
        rate: f64,
        /// The norm of the gradients before clipping.
        gradient_norm: f64,
        /// Seconds of the step.
        seconds: f64,
    },
    /// A look at what is held out.
    Look {
        /// Behind this step.
        step: usize,
        /// The mean of -ln p of the targets.
        validation_loss: f64,
        /// The share of right answers.
        validation_accuracy: f64,
    },
}

impl Line {
    fn step(&self) -> usize {
        match self {
            Self::Step { step, .. } | Self::Look { step, .. } => *step,
        }
    }
}

/// What a checkpoint holds beside weights and means.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// The best look so far: behind which step, and how good (higher is better).
    pub(super) best: Option<(usize, f64)>,
    /// Bytes that the first step held at most, beyond what was there.
    pub(super) peak: Option<u64>,
}

/// Weights and facts of a checkpoint, if there was one.
type Stood = Option<(Vec<f32>, Facts)>;

/// A run folder, or lines in memory where there is none.
pub(super) struct Folder {
    path: Option<PathBuf>,
    metrics: Option<BufWriter<File>>,
    pub(super) lines: Vec<Line>,
}

impl Folder {
    /// Begins anew, or goes on with what stands in the folder if `resume`: then with weights and means as well.
    pub(super) fn open(
        path: Option<&Path>,
        hash: &str,
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
            let (numbers, facts) = checkpoint::read(&last, layout, adam)?;
            if facts.get("run").map(String::as_str) != Some(hash) {
                let accepted = "the same task, recipe, attention and seed; or another folder";
                return Err(Error::malformed(&last, "a training that was told otherwise", accepted));
            }
            let steps = adam.steps();
            lines = read_lines(&path.join(METRICS))?;
            lines.retain(|line| line.step() <= steps);
            stood = Some((numbers, facts_of(&facts)));
        }
        let metrics = path.join(METRICS);
        let open = || {
            let mut out =
                BufWriter::new(OpenOptions::new().create(true).write(true).truncate(true).open(&metrics)?);
            for line in &lines {
                writeln!(out, "{}", serde_json::to_string(line)?)?;
            }
            out.flush()?;
            Ok(out)
        };
        let out = open().map_err(Error::file(&metrics))?;
        Ok((Self { path: Some(path.to_path_buf()), metrics: Some(out), lines }, stood))
    }

    /// Adds a line.
    pub(super) fn log(&mut self, line: Line) -> Result<()> {
        if let (Some(path), Some(out)) = (&self.path, &mut self.metrics) {
            let text = serde_json::to_string(&line).unwrap_or_default();
            writeln!(out, "{text}").map_err(Error::file(&path.join(METRICS)))?;
        }
        self.lines.push(line);
        Ok(())
    }

    /// Keeps where the run stands.
    pub(super) fn keep(
        &mut self,
        layout: &Layout,
        numbers: &[f32],
        adam: &Adam,
        hash: &str,
        facts: Facts,
    ) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(out) = &mut self.metrics {
            out.flush().map_err(Error::file(&path.join(METRICS)))?;
        }
        let mut text = BTreeMap::from([("run".to_string(), hash.to_string())]);
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

    /// The best network so far, if one is kept.
    pub(super) fn best(&self, layout: &Layout) -> Result<Option<Vec<f32>>> {
        let Some(path) = &self.path else { return Ok(None) };
        let path = path.join(BEST).join("model.safetensors");
        if !path.exists() {
            return Ok(None);
        }
        checkpoint::weights(&path, layout).map(Some)
    }
}

fn read_lines(path: &Path) -> Result<Vec<Line>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read_to_string(path).map_err(Error::file(path))?;
    // A line without its end is one that an interruption cut off.
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Error::malformed(path, error, "lines that luna train wrote"))
        })
        .collect()
}

fn facts_of(text: &BTreeMap<String, String>) -> Facts {
    let number = |name: &str| text.get(name).and_then(|value| value.parse::<f64>().ok());
    Facts {
        best: number("best_step").zip(number("best_score")).map(|(step, score)| (step as usize, score)),
        peak: number("peak").map(|peak| peak as u64),
    }
}
