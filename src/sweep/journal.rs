//! The finished cells of a run, a line each; see the [module](super).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::lines::{ACCEPTED, Head, Recorded, recorded, sealed};
use super::merge::{self, Merged};
use super::{Cell, Fingerprint, RunFolder, Shard};
use crate::error::{Error, Result};
use crate::profile::clock::Stopwatch;

/// Every other line.
#[derive(Serialize)]
struct Record<'a, T> {
    cell: &'a str,
    rows: &'a T,
}

/// The rows of a record.
#[derive(Deserialize)]
struct Rows<T> {
    rows: T,
}

/// Seconds after which a line is synchronised with the disk.
const SYNC_S: f64 = 1.0;

/// The file, and the time since it was last synchronised with the disk.
#[derive(Debug)]
struct Log {
    file: File,
    synced: Stopwatch,
}

/// The records of earlier runs and of this one; without a folder nothing is written.
#[derive(Debug, Default)]
pub struct Journal {
    file: Option<(PathBuf, Mutex<Log>)>,
    /// Records of earlier runs as they stand, by the keys of their cells.
    earlier: Mutex<BTreeMap<String, String>>,
    /// Cells whose rows were read or written.
    finished: AtomicUsize,
    shard: Option<Shard>,
    merged: Option<Merged>,
    /// The cells that were planned with their costs, where they are listed and not run.
    listed: Option<Mutex<Vec<(String, f64)>>>,
}

impl Journal {
    /// Begins a journal in a run folder, or continues the one that is there.
    ///
    /// Refuses the journal of a run with other facts, a file that is no journal, and a folder with an earlier run that is
    /// not to be continued.
    pub fn open(folder: &RunFolder, facts: &Fingerprint) -> Result<Self> {
        let merged = folder.merged.as_ref().map(|merged| merge::read(merged, facts)).transpose()?;
        let is_merge = merged.is_some();
        if folder.listed {
            return Ok(Self { listed: Some(Mutex::default()), ..Self::default() });
        }
        let RunFolder { shard, merged: runs, .. } = folder.clone();
        let Some(path) = folder.journal()? else {
            let earlier = Mutex::new(merged.unwrap_or_default());
            return Ok(Self { earlier, shard, merged: runs, ..Self::default() });
        };
        if let (Some(runs), Some(cells), Some(into), false) = (&runs, &merged, &folder.path, folder.resume) {
            runs.refuse_used(into, cells)?;
        }
        let continues = folder.resume && path.exists();
        let (earlier, length) = match merged {
            Some(merged) => (merged, 0),
            None if continues => read(&path, facts)?,
            None => (BTreeMap::new(), 0),
        };
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            // What an interruption cut off must not stand before the next line.
            file.set_len(length)?;
            Ok(file)
        };
        let file = open().map_err(Error::file(&path))?;
        let log = Mutex::new(Log { file, synced: Stopwatch::start() });
        let journal = Self { file: Some((path, log)), shard, merged: runs, ..Self::default() };
        if length == 0 {
            journal.append(&Head { facts: facts.clone(), origin: folder.origin.clone() })?;
        }
        if is_merge {
            earlier.values().try_for_each(|record| journal.append_body(record))?;
        }
        Ok(Self { earlier: Mutex::new(earlier), ..journal })
    }

    /// Adds to the list of cells, where they are listed and not run.
    pub(super) fn list<T>(&self, plan: &[Cell<T>]) -> bool {
        let Some(listed) = &self.listed else { return false };
        let cells = plan.iter().map(|cell| (cell.key.clone(), cell.cost));
        listed.lock().unwrap_or_else(PoisonError::into_inner).extend(cells);
        true
    }

    /// Ends a study whose cells were listed, or run as a shard: neither has a view.
    pub fn end_without_view(&self) -> Result<()> {
        match (&self.listed, self.shard) {
            (Some(listed), _) => {
                Err(Error::Listed(listed.lock().unwrap_or_else(PoisonError::into_inner).clone()))
            }
            (None, Some(_)) => Err(Error::ShardDone),
            (None, None) => Ok(()),
        }
    }

    /// Whether the program may end at any moment: cells are recorded in a file, or none is finished.
    pub(super) fn loses_nothing(&self) -> bool {
        self.file.is_some() || self.finished.load(Ordering::Relaxed) == 0
    }

    /// Whether cells are run; see [`RunFolder::runs_cells`].
    pub fn runs_cells(&self) -> bool {
        self.merged.is_none() && self.listed.is_none()
    }

    /// The part of the cells that is run.
    pub fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// The runs that are shown, where no cell is run.
    pub fn merged(&self) -> Option<&Merged> {
        self.merged.as_ref()
    }

    /// The rows of a cell that an earlier run finished, once; none if they cannot be read any more.
    pub fn take<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let record = self.earlier.lock().unwrap_or_else(PoisonError::into_inner).remove(key)?;
        let rows = serde_json::from_str::<Rows<T>>(&record).ok()?.rows;
        self.finished.fetch_add(1, Ordering::Relaxed);
        Some(rows)
    }

    /// Appends the rows of a finished cell.
    pub fn write<T: Serialize>(&self, key: &str, rows: &T) -> Result<()> {
        self.append(&Record { cell: key, rows })?;
        self.finished.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn append(&self, line: &impl Serialize) -> Result<()> {
        let Some((path, _)) = &self.file else { return Ok(()) };
        let body =
            serde_json::to_string(line).map_err(|error| Error::malformed(path, error, "plain values"))?;
        self.append_body(&body)
    }

    fn append_body(&self, body: &str) -> Result<()> {
        let Some((path, log)) = &self.file else { return Ok(()) };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let Log { file, synced } = &mut *log;
        // One call a line: a kill leaves whole lines and at most one that is cut off.
        let mut write = || {
            let length = file.metadata()?.len();
            let written = file.write_all(sealed(body).as_bytes());
            if written.is_err() {
                // Best effort: the failure of the write is the error to report.
                let _ = file.set_len(length);
            } else if synced.seconds() > SYNC_S {
                file.sync_data()?;
                *synced = Stopwatch::start();
            }
            written
        };
        write().map_err(Error::file(path))
    }
}

/// The whole records of a file by their keys, and the bytes up to the end of its last whole line.
fn read(path: &Path, facts: &Fingerprint) -> Result<(BTreeMap<String, String>, u64)> {
    let Recorded { head, records, length } = recorded(path)?;
    // A file without a whole line is one whose run was ended before it began.
    let Some(Head { facts: before, .. }) = head else { return Ok((BTreeMap::new(), 0)) };
    if let Some(what) = facts.differs(&before) {
        return Err(Error::malformed(path, format!("the journal of another run ({what})"), ACCEPTED));
    }
    Ok((records, length))
}

#[cfg(test)]
mod tests {
    use super::super::lines::JOURNAL;
    use super::*;

    fn facts(heads: usize) -> Fingerprint {
        let mut facts = Fingerprint::of_study("test");
        facts.push("heads", heads);
        facts
    }

    fn open(dir: &Path, resume: bool) -> Result<Journal> {
        Journal::open(&RunFolder { path: Some(dir.into()), resume, ..RunFolder::default() }, &facts(4))
    }

    /// A journal of three cells, and its text.
    fn three(dir: &Path) -> String {
        let journal = open(dir, false).unwrap();
        for cell in 0..3 {
            journal.write(&format!("cell {cell}"), &vec![cell, 10 * cell]).unwrap();
        }
        std::fs::read_to_string(dir.join(JOURNAL)).unwrap()
    }

    fn taken(dir: &Path) -> Vec<usize> {
        let journal = open(dir, true).unwrap();
        (0..3)
            .filter(|cell| {
                journal.take::<Vec<usize>>(&format!("cell {cell}")) == Some(vec![*cell, 10 * cell])
            })
            .collect()
    }

    #[test]
    fn a_journal_that_is_cut_anywhere_loses_the_last_line_and_no_other() {
        let whole = tempfile::tempdir().unwrap();
        let text = three(whole.path());
        assert_eq!(text.lines().count(), 4);
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        for length in (0..=text.len()).step_by(5).chain([text.len()]) {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(JOURNAL), &text[..length]).unwrap();
            let lines = ends.iter().filter(|end| **end <= length).count();
            assert_eq!(taken(dir.path()), (0..lines.saturating_sub(1)).collect::<Vec<_>>(), "{length}");
            // What is appended stands on a line of its own, and the file is whole again.
            open(dir.path(), true).unwrap().write("cell 2", &vec![2, 20]).unwrap();
            assert!(taken(dir.path()).contains(&2), "{length}");
        }
    }

    #[test]
    fn a_damaged_line_is_dropped_and_no_other() {
        let whole = tempfile::tempdir().unwrap();
        let text = three(whole.path());
        let first = text.find('\n').unwrap() + 1;
        for at in (first..text.len()).step_by(3) {
            for byte in [b'7', b'}', 0xff] {
                let mut bytes = text.clone().into_bytes();
                if bytes[at] == byte || bytes[at] == b'\n' {
                    continue;
                }
                bytes[at] = byte;
                let dir = tempfile::tempdir().unwrap();
                std::fs::write(dir.path().join(JOURNAL), bytes).unwrap();
                let hit = text[..at].matches('\n').count() - 1;
                let expected: Vec<usize> = (0..3).filter(|cell| *cell != hit).collect();
                assert_eq!(taken(dir.path()), expected, "byte {at} as {byte}");
            }
        }
    }

    #[test]
    fn another_run_is_refused_by_what_differs() {
        let dir = tempfile::tempdir().unwrap();
        three(dir.path());
        let folder = RunFolder { path: Some(dir.path().into()), resume: true, ..RunFolder::default() };
        let refused = Journal::open(&folder, &facts(3)).unwrap_err().to_string();
        assert!(
            refused.contains("journal.jsonl': the journal of another run (heads: '4' then, '3' now)"),
            "{refused}"
        );
        let refused = open(dir.path(), false).unwrap_err().to_string();
        assert!(refused.contains("holds an earlier run"), "{refused}");
        std::fs::write(dir.path().join(JOURNAL), "{\"sweep\":{}}\n").unwrap();
        let refused = open(dir.path(), true).unwrap_err().to_string();
        assert!(refused.contains("not that of a journal"), "{refused}");
    }

    #[test]
    fn a_record_of_another_form_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        three(dir.path());
        assert_eq!(open(dir.path(), true).unwrap().take::<String>("cell 1"), None);
        // A run that ended before its first cell did is no run to continue.
        let begun = tempfile::tempdir().unwrap();
        open(begun.path(), false).unwrap();
        open(begun.path(), false).unwrap().write("cell", &1).unwrap();
        assert!(open(begun.path(), false).is_err());
        let nothing = Journal::open(&RunFolder::default(), &facts(4)).unwrap();
        nothing.write("cell", &1).unwrap();
        assert_eq!(nothing.take::<usize>("cell"), None);
    }
}
