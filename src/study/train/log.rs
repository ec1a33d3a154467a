//! `metrics.jsonl`: what a training logs, one JSON object a line, and never an incomplete line.

use std::fs::{File, read_to_string};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Bytes that are buffered.
const BUFFER: usize = 8 << 10;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum LogLine {
    /// An optimiser step.
    Step {
        /// Counted from 1.
        step: usize,
        /// The mean of what was minimised.
        loss: f64,
        /// The learning rate.
        rate: f64,
        /// The norm of the gradients before clipping.
        gradient_norm: f64,
        /// Seconds of the step.
        seconds: f64,
    },
    /// An evaluation on the validation set.
    Evaluation {
        /// After this step.
        step: usize,
        /// The mean of -ln p of the targets.
        validation_loss: f64,
        /// The share of right answers.
        validation_accuracy: f64,
    },
}

impl LogLine {
    pub(super) fn step(&self) -> usize {
        match self {
            Self::Step { step, .. } | Self::Evaluation { step, .. } => *step,
        }
    }
}

/// The file, and lines that are not written yet.
pub(super) struct MetricsLog {
    path: PathBuf,
    file: File,
    /// Bytes of complete lines in the file.
    complete: u64,
    waiting: String,
}

impl MetricsLog {
    /// Creates the file with these lines, replacing what was there.
    pub(super) fn begin(path: &Path, lines: &[LogLine]) -> Result<Self> {
        let file = File::create(path).map_err(Error::file(path))?;
        let mut metrics = Self { path: path.to_path_buf(), file, complete: 0, waiting: String::new() };
        lines.iter().try_for_each(|line| metrics.add(line))?;
        metrics.flush()?;
        Ok(metrics)
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: &LogLine) -> Result<()> {
        self.waiting += &serde_json::to_string(line).unwrap_or_default();
        self.waiting.push('\n');
        if self.waiting.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    /// Writes the buffered lines; a failure, such as a full disk, keeps the lines before them.
    pub(super) fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let written = self.file.write_all(waiting.as_bytes());
        match written {
            Ok(()) => self.complete += waiting.len() as u64,
            // Best effort: what stopped the writing is the error to report.
            Err(_) => drop(self.file.set_len(self.complete)),
        }
        written.map_err(Error::file(&self.path))
    }
}

impl Drop for MetricsLog {
    /// A training that ends with an error keeps its lines.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// The lines of a file, none if it is not there.
pub(super) fn read(path: &Path) -> Result<Vec<LogLine>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read_to_string(path).map_err(Error::file(path))?;
    // A line without its end was cut off by an interruption.
    let complete = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    complete
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Error::malformed(path, error, "lines that luna train wrote"))
        })
        .collect()
}
