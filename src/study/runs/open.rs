//! Opening a run where a user names it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::names::names;
use crate::error::{Error, Result};
use crate::report::page::{data_of, is_page, is_whole};
use crate::report::{Report, printable};
use crate::study::Columns;
use crate::sweep::RunFolder;

const RESULT: &str = "result.json";
const MANIFEST: &str = "manifest.json";
const ACCEPTED: &str = "a result of luna: result.json of --out, or what --format json writes";

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// As the user named it.
    pub path: PathBuf,
    /// Its stamp, rows, tables and notes; figures and arrays stand [beside](Self::beside) it.
    pub report: Report,
    /// Its columns: all of them, those that identify a row, and their short names.
    pub columns: Columns,
}

impl Run {
    /// Opens the folder of a run (of its `--out`), a file in the format `json`, or the page of one run.
    pub fn open(path: &Path) -> Result<Self> {
        let mut all = Self::open_all(path)?;
        match all.len() {
            1 => Ok(all.remove(0)),
            several => {
                let what = format!("is a page of {several} runs");
                Err(Error::malformed(path, what, "one run; luna diff and luna report take such a page"))
            }
        }
    }

    /// Opens what holds one run or, as a page may, several.
    pub fn open_all(path: &Path) -> Result<Vec<Self>> {
        if path.is_dir() {
            return Ok(vec![Self::of_folder(path)?]);
        }
        let text = crate::file::text(path)?;
        if is_page(&text) { Self::of_page(path, &text) } else { Ok(vec![Self::parse(path, &text)?]) }
    }

    /// Reads the runs that a page holds.
    pub fn of_page(path: &Path, text: &str) -> Result<Vec<Self>> {
        let data = data_of(text);
        if data.is_empty() || !is_whole(text) {
            let accepted = "a page that luna report wrote, whole";
            return Err(Error::malformed(path, "holds no result of luna, or was cut", accepted));
        }
        let of = |(index, json): (usize, &&str)| {
            let mut run = Self::parse(path, json)?;
            if data.len() > 1 {
                run.path = format!("{} run {}", path.display(), index + 1).into();
            }
            Ok(run)
        };
        data.iter().enumerate().map(of).collect()
    }

    fn of_folder(path: &Path) -> Result<Self> {
        let file = path.join(RESULT);
        if !file.exists() {
            let (what, accepted) = if RunFolder::has_journal(path) {
                let merge = format!("a finished run; luna merge '{}' --partial shows it", path.display());
                ("holds the journal of a run that did not end", merge)
            } else {
                ("holds no result.json", "a folder that --out wrote, or the file of a result".into())
            };
            return Err(Error::malformed(path, what, accepted));
        }
        let run = Self::parse(&file, &crate::file::text(&file)?)?;
        if let Some(manifest) = manifest(path)? {
            sized(&file, &manifest)?;
            if manifest["stamp"] != run.report.stamp.to_json() {
                let accepted = "the stamp of the result.json beside it";
                return Err(Error::malformed(path.join(MANIFEST), "is of another run", accepted));
            }
        }
        Ok(Self { path: path.into(), ..run })
    }

    /// Reads the text of a result; `path` names it in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        // What would be accepted in its place is said at the end.
        let what = |text: &str| printable(text.split("; accepted").next().unwrap_or_default());
        let foreign = |text: String| Error::malformed(path, what(&text), ACCEPTED);
        let mut report = Report::from_json(text).map_err(|error| foreign(error.to_string()))?;
        let version = report.stamp.get("version").and_then(Value::as_str).unwrap_or_default();
        match numbers(version) {
            None => return Err(foreign(format!("its stamp names the version '{version}'"))),
            Some(found) if Some(found) > numbers(env!("CARGO_PKG_VERSION")) => {
                let what = format!("is of version {}, which is newer", printable(version));
                let accepted = format!("results of version {} or older", env!("CARGO_PKG_VERSION"));
                return Err(Error::malformed(path, what, accepted));
            }
            Some(_) => {}
        }
        report.make_printable();
        let columns = Columns { known: Some(report.rows.columns.clone()), ..names(&report.stamp) };
        Ok(Self { path: path.into(), report, columns })
    }

    /// The figures, tables and arrays that stand beside the result of a folder, as its manifest lists them; an error if one
    /// was cut, edited or removed since.
    pub fn beside(&self) -> Result<Vec<PathBuf>> {
        let Some(manifest) = manifest(&self.path)? else { return Ok(Vec::new()) };
        let mut files = RunFolder::files(&self.path);
        files.retain(|name| name != RESULT && Path::new(name).file_name() == Some(name.as_ref()));
        let files = files.iter().map(|name| self.path.join(name));
        files.map(|file| sized(&file, &manifest).map(|()| file)).collect()
    }

    /// Its name in a table.
    pub(super) fn name(&self) -> String {
        printable(&self.path.display().to_string())
    }
}

/// The list of the files of a folder, if there is one.
fn manifest(dir: &Path) -> Result<Option<Value>> {
    let path = dir.join(MANIFEST);
    if !path.is_file() {
        return Ok(None);
    }
    let text = crate::file::text(&path)?;
    let found = serde_json::from_str(&text);
    found.map(Some).map_err(|error| Error::malformed(&path, error, "the JSON that --out writes"))
}

/// Refuses a file of another size than the manifest says.
fn sized(file: &Path, manifest: &Value) -> Result<()> {
    let found = fs::metadata(file).map_err(Error::file(file))?.len();
    let listed = manifest["files"].as_array().into_iter().flatten();
    let mut size =
        listed.filter(|one| file.file_name().is_some_and(|name| one["name"].as_str() == name.to_str()));
    match size.find_map(|one| one["bytes"].as_u64()) {
        Some(size) if size != found => {
            let what = format!("has {found} bytes, so it was cut or edited after the run");
            Err(Error::malformed(file, what, format!("the {size} bytes that {MANIFEST} lists")))
        }
        _ => Ok(()),
    }
}

/// The three numbers of a version.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let parts = version.split(['-', '+']).next()?.split('.').map(|part| part.parse().ok());
    parts.collect::<Option<Vec<u64>>>()?.try_into().ok()
}
