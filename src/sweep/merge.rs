//! The journals of several runs as one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Fingerprint;
use super::lines::{JOURNAL, Origin, Recorded, recorded, used};
use crate::error::{Error, Result};

/// What is accepted beside a run that another one cannot be merged with.
const ACCEPTED: &str = "runs of one study: the same settings, inputs and version";

/// Runs that are shown as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Their folders, or their journals.
    pub runs: Vec<PathBuf>,
    /// Whether to show what is there if cells are missing.
    pub partial: bool,
    /// Whether times of unlike machines are accepted.
    pub mixed: bool,
}

impl Merged {
    /// What began the first of the runs: the study that they are parts of.
    pub fn origin(&self) -> Result<Origin> {
        let journals = self.journals()?;
        let first = journals.iter().map(|path| recorded(path)).find_map(|read| match read {
            Ok(Recorded { head, .. }) => head.map(Ok),
            Err(error) => Some(Err(error)),
        });
        match (first.transpose()?, self.runs.first()) {
            (Some(head), _) if !head.origin.arguments.is_empty() => Ok(head.origin),
            (_, run) => {
                let path = run.cloned().unwrap_or_default();
                Err(Error::malformed(path, "no journal there says which command began it", ACCEPTED))
            }
        }
    }

    /// Refuses a folder to merge into that is one of the runs, or has other cells than these. An earlier merge of the same runs
    /// that was partial or killed is made again.
    pub(super) fn refuse_used(&self, folder: &Path, cells: &BTreeMap<String, String>) -> Result<()> {
        let journal = folder.join(JOURNAL);
        let Ok(own) = journal.canonicalize() else { return Ok(()) };
        let is_run = self.journals()?.iter().any(|run| run.canonicalize().is_ok_and(|run| run == own));
        let is_known = |(cell, record): (&String, &String)| cells.get(cell) == Some(record);
        if is_run || !recorded(&journal)?.records.iter().all(is_known) {
            return Err(used(folder));
        }
        Ok(())
    }

    /// The journals of the runs: of a folder its own, or those of the folders in it.
    fn journals(&self) -> Result<Vec<PathBuf>> {
        let mut all: Vec<PathBuf> = Vec::new();
        for run in &self.runs {
            let found = journals_in(run)?;
            if found.is_empty() {
                let what = format!("no {JOURNAL} there, nor in a folder in it");
                return Err(Error::malformed(run, what, "the folder that a run was told by --out"));
            }
            for journal in found {
                if !all.contains(&journal) {
                    all.push(journal);
                }
            }
        }
        Ok(all)
    }
}

fn journals_in(run: &Path) -> Result<Vec<PathBuf>> {
    if std::fs::metadata(run).map_err(Error::file(run))?.is_file() {
        return Ok(vec![run.into()]);
    }
    let own = run.join(JOURNAL);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let mut within = Vec::new();
    for entry in std::fs::read_dir(run).map_err(Error::file(run))? {
        let journal = entry.map_err(Error::file(run))?.path().join(JOURNAL);
        if journal.is_file() {
            within.push(journal);
        }
    }
    within.sort();
    Ok(within)
}

/// The records of all runs, which are of these facts wherever they were made.
pub(super) fn read(merged: &Merged, facts: &Fingerprint) -> Result<BTreeMap<String, String>> {
    let mut all: BTreeMap<String, (String, PathBuf)> = BTreeMap::new();
    let mut first: Option<(Fingerprint, PathBuf)> = None;
    for path in merged.journals()? {
        let Recorded { head, records, .. } = recorded(&path)?;
        // A run that was ended before its first line has nothing to give.
        let Some(head) = head else { continue };
        if let Some(what) = facts.anywhere().differs_from(&head.facts.anywhere(), ["there", "in the first"]) {
            return Err(Error::malformed(path, format!("a journal of another study ({what})"), ACCEPTED));
        }
        if let Some((before, other)) = first.as_ref().filter(|_| !merged.mixed)
            && let Some(what) = head.facts.differs_from(before, ["there", "here"])
        {
            let what =
                format!("its times are of another machine than those in '{}' ({what})", other.display());
            return Err(Error::malformed(path, what, "runs of one kind of machine, or --mixed-machines"));
        }
        for (cell, record) in records {
            match all.get(&cell) {
                Some((other, at)) if *other != record => {
                    let what = format!("'{cell}' has other figures here than in '{}'", at.display());
                    return Err(Error::malformed(path, what, "each cell from one run, or the same figures"));
                }
                Some(_) => {}
                None => {
                    all.insert(cell, (record, path.clone()));
                }
            }
        }
        first.get_or_insert((head.facts, path));
    }
    Ok(all.into_iter().map(|(cell, (record, _))| (cell, record)).collect())
}
