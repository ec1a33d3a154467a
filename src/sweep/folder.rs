//! The folder that a run writes its result and its journal into.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Shard;
use super::lines::{JOURNAL, Origin, used};
use super::merge::Merged;
use crate::error::{Error, Result};

/// The list of the files of a result, which stands beside them.
const MANIFEST: &str = "manifest.json";

/// Where a run is recorded, and whether it continues one that is recorded there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFolder {
    /// The folder; none if nothing is recorded.
    pub path: Option<PathBuf>,
    /// Whether an interrupted run may be there, and is continued.
    pub resume: bool,
    /// The part of the cells that is run; all of them if none.
    pub shard: Option<Shard>,
    /// Runs whose cells are shown, in the place of running any.
    pub merged: Option<Merged>,
    /// Whether the cells are listed, in the place of running any.
    pub listed: bool,
    /// What the journal says of itself.
    pub origin: Origin,
}

impl RunFolder {
    /// Whether cells are run: what they need must then be there. A merge and a list need none of it.
    pub fn runs_cells(&self) -> bool {
        self.merged.is_none() && !self.listed
    }

    /// Refuses a folder with an earlier run, unless that is to be continued. What a merge may replace is known only when its
    /// cells are; see [`Merged`].
    pub fn refuse_used(&self) -> Result<()> {
        let is_new = !self.resume && self.merged.is_none();
        let Some(path) = self.path.as_ref().filter(|_| is_new) else { return Ok(()) };
        let is_used = path.join(MANIFEST).exists() || has_records(&path.join(JOURNAL));
        if is_used { Err(used(path)) } else { Ok(()) }
    }

    /// The journal's file. Refuses a result without a journal, which cannot be continued.
    pub(super) fn journal(&self) -> Result<Option<PathBuf>> {
        let Some(path) = &self.path else { return Ok(None) };
        self.refuse_used()?;
        let journal = path.join(JOURNAL);
        if path.join(MANIFEST).exists() && !journal.exists() {
            let what = "holds a result without a journal, which --resume cannot continue";
            return Err(Error::malformed(path, what, "another folder"));
        }
        fs::create_dir_all(path).map_err(Error::file(path))?;
        Ok(Some(journal))
    }

    /// Whether a folder holds the journal of a run.
    pub fn has_journal(path: &Path) -> bool {
        path.join(JOURNAL).is_file()
    }

    /// The files of the result that stands in a folder, by its manifest.
    pub fn files(path: &Path) -> Vec<String> {
        let manifest = fs::read_to_string(path.join(MANIFEST)).unwrap_or_default();
        let manifest: Value = serde_json::from_str(&manifest).unwrap_or_default();
        let names = manifest["files"].as_array().into_iter().flatten();
        names.filter_map(|file| file["name"].as_str()).map(String::from).collect()
    }

    /// Removes the files of an earlier result that are not among those that were just written.
    pub fn remove_stale(path: &Path, before: &[String], written: &[PathBuf]) -> Result<()> {
        for name in before {
            let file = path.join(name);
            let is_plain = Path::new(name).file_name().is_some_and(|plain| plain == name.as_str());
            if is_plain && !written.contains(&file) && file.is_file() {
                fs::remove_file(&file).map_err(Error::file(&file))?;
            }
        }
        Ok(())
    }
}

/// Whether a journal has more than its first line: without, a run ended before its first cell did.
fn has_records(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| BufReader::new(file).split(b'\n').nth(1).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_folder_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |resume| RunFolder { path: Some(dir.path().into()), resume, ..RunFolder::default() };
        folder(false).refuse_used().unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        assert!(folder(false).journal().unwrap().is_some(), "files of other programs are no run");
        fs::write(dir.path().join(MANIFEST), "{}").unwrap();
        let refused = folder(false).refuse_used().unwrap_err().to_string();
        assert!(refused.contains("holds an earlier run") && refused.contains("--resume"), "{refused}");
        folder(true).refuse_used().unwrap();
        let refused = folder(true).journal().unwrap_err().to_string();
        assert!(refused.contains("without a journal"), "{refused}");
        assert_eq!(RunFolder::default().journal().unwrap(), None);
    }

    #[test]
    fn stale_files_of_an_earlier_result_are_removed_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["growth.csv", "result.csv", "notes.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let listed = r#"{"files":[{"name":"growth.csv"},{"name":"result.csv"},{"name":"../notes.txt"}]}"#;
        fs::write(dir.path().join(MANIFEST), listed).unwrap();
        let before = RunFolder::files(dir.path());
        assert_eq!(before, ["growth.csv", "result.csv", "../notes.txt"]);
        RunFolder::remove_stale(dir.path(), &before, &[dir.path().join("result.csv")]).unwrap();
        let there = |name: &str| dir.path().join(name).exists();
        assert_eq!([there("growth.csv"), there("result.csv"), there("notes.txt")], [false, true, true]);
        assert!(RunFolder::files(&dir.path().join("none")).is_empty());
    }
}
