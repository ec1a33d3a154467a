//! `metrics.jsonl`: what a training logs, a line at a time, of which none stands there by half.

use std::fs::{File, read_to_string};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Bytes that may wait to be written.
const WAITING: usize = 8 << 10;

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
    /// An evaluation on what is held out.
    Look {
        /// After this step.
        step: usize,
        /// The mean of -ln p of the targets.
        validation_loss: f64,
        /// The share of right answers.
        validation_accuracy: f64,
    },
}

impl Line {
    pub(super) fn step(&self) -> usize {
        match self {
            Self::Step { step, .. } | Self::Look { step, .. } => *step,
        }
    }
}

/// The file, and lines that wait to be written to it.
pub(super) struct Metrics {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines that the file holds.
    whole: u64,
    waiting: String,
}

impl Metrics {
    /// Begins the file with these lines, in the place of what was there.
    pub(super) fn begin(path: &Path, lines: &[Line]) -> Result<Self> {
        let file = File::create(path).map_err(Error::file(path))?;
        let mut metrics = Self { path: path.to_path_buf(), file, whole: 0, waiting: String::new() };
        lines.iter().try_for_each(|line| metrics.add(line))?;
        metrics.flush()?;
        Ok(metrics)
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: &Line) -> Result<()> {
        self.waiting += &serde_json::to_string(line).unwrap_or_default();
        self.waiting.push('\n');
        if self.waiting.len() < WAITING { Ok(()) } else { self.flush() }
    }

    /// Writes what waits; a failure, such as a full disk, leaves the lines of before.
    pub(super) fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let written = self.file.write_all(waiting.as_bytes());
        match written {
            Ok(()) => self.whole += waiting.len() as u64,
            // Best effort: what stopped the writing is the error to report.
            Err(_) => drop(self.file.set_len(self.whole)),
        }
        written.map_err(Error::file(&self.path))
    }
}

impl Drop for Metrics {
    /// A training that ends with an error keeps the lines up to it.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// The lines of a file, none if it is not there.
pub(super) fn read(path: &Path) -> Result<Vec<Line>> {
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
