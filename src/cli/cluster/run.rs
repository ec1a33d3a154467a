//! The folder of a run: what was planned and submitted, and what is done.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::file::save_text;
use crate::sweep::Shard;

const RECORD: &str = "cluster.json";
/// Beside the journal of a shard of which every cell is recorded.
const DONE: &str = "done";

/// What was planned and submitted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Run {
    /// The program that planned it; elements of another one are refused.
    pub(super) version: String,
    /// The program's file.
    pub(super) program: PathBuf,
    /// The folder in which it was submitted: relative paths of the study are relative to it.
    pub(super) started_in: PathBuf,
    /// The study's arguments, with those of its experiment file in its place.
    pub(super) arguments: Vec<String>,
    /// Shards, which are elements of array jobs.
    pub(super) shards: usize,
    /// Cells of the study.
    pub(super) cells: usize,
    /// How often an element that ran out of time is started again.
    pub(super) requeues: usize,
    /// Seconds before the time limit at which an element is asked to stop.
    pub(super) stop_before: usize,
    /// Lines `#SBATCH` of every element, without their beginning.
    pub(super) options: Vec<String>,
    /// What the cluster says of itself, and the rules that follow.
    pub(super) slurm: Facts,
    /// Array jobs that were submitted, in their order.
    pub(super) arrays: Vec<Array>,
    /// Jobs that merge.
    pub(super) merges: Vec<String>,
}

/// What `scontrol show config` says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) version: String,
    /// Indices of array jobs are below it.
    pub(super) max_array_size: usize,
}

/// An array job: its id, and the shard of its index 0, counted from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Array {
    pub(super) job: String,
    pub(super) offset: usize,
}

/// What an element says when it has finished.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) node: String,
    pub(super) seconds: f64,
    pub(super) restarts: usize,
}

impl Run {
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(RECORD);
        let text = crate::file::text(&path)?;
        let wrong = |error| Error::malformed(&path, error, "the record of luna cluster submit");
        serde_json::from_str(&text).map_err(wrong)
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(RECORD);
        let text = serde_json::to_string_pretty(self);
        save_text(&path, &text.map_err(|error| Error::malformed(&path, error, "plain values"))?)
    }

    /// Refuses a folder in which a run stands.
    pub(super) fn refuse_used(dir: &Path) -> Result<()> {
        if dir.join(RECORD).exists() {
            let accepted = "another folder, or luna cluster resubmit for what is missing";
            return Err(Error::malformed(dir, "holds an earlier run", accepted));
        }
        Ok(())
    }

    /// The shard of this number, counted from 0.
    pub(super) fn shard(&self, number: usize) -> Option<Shard> {
        Shard::all(self.shards).nth(number)
    }
}

/// The folder that holds the folders of the shards.
pub(super) fn parts(dir: &Path) -> PathBuf {
    dir.join("parts")
}

/// The folder of a shard, counted from 0.
pub(super) fn part(dir: &Path, number: usize) -> PathBuf {
    parts(dir).join((number + 1).to_string())
}

/// The folder of what the jobs say.
pub(super) fn logs(dir: &Path) -> PathBuf {
    dir.join("logs")
}

/// Whether every cell of a shard is recorded.
pub(super) fn is_done(dir: &Path, number: usize) -> bool {
    part(dir, number).join(DONE).exists()
}

pub(super) fn write_done(dir: &Path, number: usize, done: &Done) -> Result<()> {
    let path = part(dir, number).join(DONE);
    let text = serde_json::to_string(done).map_err(|error| Error::malformed(&path, error, "plain values"))?;
    save_text(&path, &text)
}

/// The cells that a shard recorded.
pub(super) fn recorded(dir: &Path, number: usize) -> usize {
    let journal = std::fs::read(part(dir, number).join("journal.jsonl")).unwrap_or_default();
    journal.split(|byte| *byte == b'\n').count().saturating_sub(2)
}
