//! The journal of a run folder, a line for each finished piece of work: an interrupted sweep loses no finished line, and a
//! resumed one continues after them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, read_to_string};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::record::{Probe, Records, State, Times};
use crate::error::{Error, Result};
use crate::sweep::Fingerprint;

/// The file in the run folder, and the name under which an earlier sweep's is kept.
const FILE: &str = "journal.jsonl";
const OLD: &str = "journal.old.jsonl";

const ACCEPTED: &str =
    "for --resume the same configuration on the same machine with as many threads; or another --out";

/// Names of the machine's own work in a round.
pub(super) const GEMM: &str = "sgemm";
pub(super) const GEMM_PER_THREAD: &str = "sgemm on each thread";
pub(super) const TRIAD: &str = "triad";

/// The name of a cell's second copy in a round.
pub(super) fn copy_of(key: &str) -> String {
    format!("second {key}")
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Sweep {
        /// What its figures depend on; empty in files of earlier versions.
        #[serde(default)]
        facts: Fingerprint,
    },
    Cell {
        key: String,
        probe: Probe,
    },
    Round {
        round: usize,
        seconds: BTreeMap<String, f64>,
    },
}

/// The lines of a journal; without a folder they are in memory only.
#[derive(Debug, Default)]
pub(in super::super) struct Journal {
    file: Option<(PathBuf, File)>,
    probes: BTreeMap<String, Probe>,
    rounds: BTreeMap<usize, BTreeMap<String, f64>>,
}

impl Journal {
    /// Begins a journal in a folder, or continues the one that is there if `resume`.
    pub(in super::super) fn open(folder: Option<&Path>, facts: &Fingerprint, resume: bool) -> Result<Self> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let path = folder.join(FILE);
        let mut journal = Self::default();
        if !resume && path.exists() {
            // An earlier sweep may have taken hours: its journal is renamed, not deleted.
            std::fs::rename(&path, folder.join(OLD)).map_err(Error::file(&path))?;
        }
        let whole = if resume && path.exists() { journal.read(&path, facts)? } else { 0 };
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            // The next line must not follow one that an interruption truncated.
            file.set_len(whole)?;
            Ok(file)
        };
        let file = open().map_err(Error::file(&path))?;
        journal.file = Some((path, file));
        if whole == 0 {
            journal.write(&Line::Sweep { facts: facts.clone() })?;
        }
        Ok(journal)
    }

    /// Reads the complete lines; returns their length in bytes.
    fn read(&mut self, path: &Path, facts: &Fingerprint) -> Result<u64> {
        let text = read_to_string(path).map_err(Error::file(path))?;
        // A line without an end was truncated by an interruption.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let line = serde_json::from_str(line)
                .map_err(|error| Error::malformed(path, error, "lines that scale-sweep wrote"))?;
            match line {
                Line::Sweep { facts: before } => {
                    if let Some(what) = facts.differs(&before) {
                        let what = format!("another sweep ({what})");
                        return Err(Error::malformed(path, what, ACCEPTED));
                    }
                }
                Line::Cell { key, probe } => {
                    self.probes.insert(key, probe);
                }
                Line::Round { round, seconds } => {
                    self.rounds.insert(round, seconds);
                }
            }
        }
        Ok(text.rfind('\n').map_or(0, |last| last as u64 + 1))
    }

    pub(super) fn probe(&self, key: &str) -> Option<Probe> {
        self.probes.get(key).cloned()
    }

    /// Seconds by round and name.
    pub(super) fn rounds(&self) -> &BTreeMap<usize, BTreeMap<String, f64>> {
        &self.rounds
    }

    /// Adds the times of all rounds to the records.
    pub(super) fn fill(&self, records: &mut Records) {
        if records.machine.threads == 0 {
            return; // no rounds in this run
        }
        for (round, seconds) in &self.rounds {
            let add = |name: &str, times: &mut Times| {
                seconds.get(name).is_some_and(|seconds| times.insert(*round, *seconds).is_none())
            };
            for (key, one) in &mut records.cells {
                if add(key, &mut one.times) {
                    one.state = State::Measured;
                }
            }
            for (key, times) in &mut records.copies {
                add(&copy_of(key), times);
            }
            let machine = &mut records.machine;
            add(GEMM, &mut machine.gemm);
            add(GEMM_PER_THREAD, &mut machine.gemm_per_thread);
            add(TRIAD, &mut machine.triad);
        }
    }

    pub(super) fn write_probe(&mut self, key: &str, probe: &Probe) -> Result<()> {
        self.probes.insert(key.into(), probe.clone());
        self.write(&Line::Cell { key: key.into(), probe: probe.clone() })
    }

    pub(super) fn write_round(&mut self, round: usize, seconds: BTreeMap<String, f64>) -> Result<()> {
        self.rounds.insert(round, seconds.clone());
        self.write(&Line::Round { round, seconds })
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let text = serde_json::to_string(line).map_err(|error| Error::malformed(&*path, error, "numbers"))?;
        // One write a line: an interruption leaves complete lines and at most one that is truncated.
        let mut write = || {
            let whole = file.metadata()?.len();
            let written = file.write_all(format!("{text}\n").as_bytes());
            if written.is_err() {
                // Best effort: the failed write is the error to report.
                let _ = file.set_len(whole);
            }
            written
        };
        write().map_err(Error::file(&*path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(heads: usize) -> Fingerprint {
        let mut facts = Fingerprint::default();
        facts.push("threads", 2);
        facts.push("heads", heads);
        facts
    }

    fn probe(first_s: f64) -> Probe {
        Probe { first_s, macs: 12, extra_bytes: Some(64), rss_growth: None }
    }

    #[test]
    fn complete_lines_are_read_and_a_truncated_one_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let open = |resume| Journal::open(Some(dir.path()), &facts(4), resume);
        let mut first = open(false).unwrap();
        first.write_probe("luna at n = 8", &probe(0.5)).unwrap();
        first.write_round(0, BTreeMap::from([("luna at n = 8".to_string(), 0.25)])).unwrap();
        drop(first);
        let path = dir.path().join(FILE);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text += "{\"round\":{\"round\":1,\"sec";
        std::fs::write(&path, text).unwrap();

        let mut second = open(true).unwrap();
        assert_eq!(second.probe("luna at n = 8"), Some(probe(0.5)));
        assert_eq!(second.rounds().keys().collect::<Vec<_>>(), [&0]);
        second.write_round(1, BTreeMap::new()).unwrap();
        drop(second);
        assert_eq!(open(true).unwrap().rounds().len(), 2);
        // Without --resume a folder's old journal is begun anew.
        assert!(open(false).unwrap().rounds().is_empty());
        assert!(open(true).unwrap().rounds().is_empty());
    }

    #[test]
    fn another_sweep_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Journal::open(Some(dir.path()), &facts(4), false).unwrap();
        let error = Journal::open(Some(dir.path()), &facts(3), true).unwrap_err().to_string();
        assert!(error.contains("journal.jsonl': another sweep (heads: '4' then, '3' now)"), "{error}");
        std::fs::write(dir.path().join(FILE), "{\"sweep\":{\"hash\":\"1a2b\"}}\n").unwrap();
        let error = Journal::open(Some(dir.path()), &facts(4), true).unwrap_err().to_string();
        assert!(error.contains("(threads: nothing then, '2' now)"), "{error}");
        std::fs::write(dir.path().join(FILE), "nonsense\n").unwrap();
        assert!(Journal::open(Some(dir.path()), &facts(4), true).is_err());
        assert!(Journal::open(None, &facts(4), true).unwrap().rounds().is_empty());
    }
}
