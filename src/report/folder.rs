//! A run folder: the result in every format that a later tool may need, and a manifest.
//!
//! All files are written under temporary names and renamed when all of them are complete, so an interrupted run never
//! leaves a part of a result beside an older one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ndarray_npy::WriteNpyExt;
use serde_json::json;

use super::{Report, Style, csv, json as format_json, svg};
use crate::file::Staged;
use crate::{Error, Result};

/// Writes a report into a folder, which is created if it does not exist: `result.json`, `result.csv`,
/// `VIEW.csv`, `TABLE.csv`, `FIGURE.svg`, `ARRAY.npy`, the report's own files, and `manifest.json` with the stamp and the size of each file.
/// Returns the files, the manifest last.
pub fn write(report: &Report, dir: &Path) -> Result<Vec<PathBuf>> {
    prepare(dir)?;
    let mut unpublished = Unpublished { dir, files: Vec::new() };
    unpublished.add("result.json", |out| format_json::write(report, Style::default(), out))?;
    unpublished.add("result.csv", |out| csv::table(&report.rows, out))?;
    for (name, view) in report.views.iter().chain(&report.tables) {
        unpublished.add(&format!("{name}.csv"), |out| csv::table(view, out))?;
    }
    for figure in &report.figures {
        unpublished
            .add(&format!("{}.svg", figure.name), |out| out.write_all(svg::to_svg(figure).as_bytes()))?;
    }
    for (name, text) in &report.files {
        unpublished.add(name, |out| out.write_all(text.as_bytes()))?;
    }
    for (name, array) in &report.arrays {
        // Whatever the layout in memory, the file has C order: every reader expects it.
        let array = array.as_standard_layout();
        unpublished.add(&format!("{name}.npy"), |out| array.write_npy(out).map_err(io::Error::other))?;
    }
    let files: Vec<_> =
        unpublished.files.iter().map(|(name, file)| json!({ "name": name, "bytes": file.size })).collect();
    let manifest = json!({ "stamp": report.stamp.to_json(), "files": files });
    unpublished.add("manifest.json", |out| writeln!(out, "{manifest:#}"))?;
    unpublished.publish()
}

/// Creates the folder if it does not exist; call it before long work, which an invalid name would waste.
pub fn prepare(dir: &Path) -> Result<()> {
    if dir.exists() && !dir.is_dir() {
        return Err(Error::malformed(dir, "a file", "a folder, or the name of a new one"));
    }
    fs::create_dir_all(dir).map_err(Error::file(dir))
}

/// Files under temporary names; those that are not published are removed.
struct Unpublished<'a> {
    dir: &'a Path,
    files: Vec<(String, Staged)>,
}

impl Unpublished<'_> {
    fn add(&mut self, name: &str, fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<()> {
        let is_plain = !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0']);
        if !is_plain || self.files.iter().any(|(known, _)| known == name) {
            return Err(Error::value("file of a run folder", name, "a plain name that is used once"));
        }
        self.files.push((name.into(), Staged::write(&self.dir.join(name), fill)?));
        Ok(())
    }

    fn publish(self) -> Result<Vec<PathBuf>> {
        let place = |(name, file): (String, Staged)| file.place().map(|()| self.dir.join(name));
        self.files.into_iter().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};

    use super::super::figure::{Curves, Figure, Plot};
    use super::super::sample;
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn report() -> Report {
        let mut report = sample::report();
        let kind = Plot::Curves(Curves::default());
        report.figures.push(Figure { name: "spectra".into(), title: "σ".into(), kind });
        // Transposed: in memory not in C order.
        let array = ArrayD::from_shape_fn(IxDyn(&[2, 3]), |place| (place[0] * 3 + place[1]) as f64);
        report.arrays.push(("sigma".into(), array.reversed_axes()));
        report
    }

    #[test]
    fn everything_is_written_and_listed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        for _ in 0..2 {
            let files = write(&report(), &folder).unwrap();
            assert_eq!(files.len(), 6);
            let expected =
                ["manifest.json", "result.csv", "result.json", "sigma.npy", "spectra.svg", "summary.csv"];
            assert_eq!(names(&folder), expected);
        }
        let read = |name| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(Report::from_json(&read("result.json")).unwrap().stamp, report().stamp);
        let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
        assert_eq!(manifest["files"][1]["bytes"], read("result.csv").len());
        let array: ArrayD<f64> = ndarray_npy::read_npy(folder.join("sigma.npy")).unwrap();
        assert_eq!(array, report().arrays[0].1);
        let bytes = fs::read(folder.join("sigma.npy")).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("'fortran_order': False"));
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_the_old_result() {
        let dir = tempfile::tempdir().unwrap();
        write(&report(), dir.path()).unwrap();
        let before = names(dir.path());
        let mut bad = report();
        bad.stamp.push("seed", 8);
        bad.views.push(("../escape".into(), bad.rows.clone()));
        let error = write(&bad, dir.path()).unwrap_err().to_string();
        assert!(error.contains("'../escape.csv'"), "{error}");
        assert_eq!(names(dir.path()), before);
        let old = Report::from_json(&fs::read_to_string(dir.path().join("result.json")).unwrap()).unwrap();
        assert_eq!(old.stamp, report().stamp);
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&report(), &file.join("run")).unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
    }
}
