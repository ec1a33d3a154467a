//! Lines of files with labels, and the classes that their labels are of.

use std::path::Path;

use super::short;
use crate::{Error, Result, name};

/// The lines of a file, which end in LF or CR LF, the last one perhaps in neither; none of an empty file.
pub(super) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect()
}

/// The classes of a file, and that of each of its labels. `known` are the classes of a file read before; without them they
/// are the labels that occur. `what` a label stands in, a line or an image, is for errors.
pub(super) fn classes_of<'a>(
    path: &Path,
    what: &str,
    labels: impl Iterator<Item = &'a str> + Clone,
    known: Option<&[String]>,
) -> Result<(Vec<String>, Vec<usize>)> {
    let classes = match known {
        Some(known) => known.to_vec(),
        None => distinct(path, labels.clone())?,
    };
    let class = |(label, number)| class(path, (what, number), label, &classes);
    let found = labels.zip(1..).map(class).collect::<Result<_>>()?;
    Ok((classes, found))
}

/// The labels that occur, each once and two or more: numbers in their own order, other names alphabetically.
fn distinct<'a>(path: &Path, labels: impl Iterator<Item = &'a str>) -> Result<Vec<String>> {
    let mut classes: Vec<&str> = labels.collect();
    // Sorted before duplicates are removed: a file has few labels and many lines.
    classes.sort_unstable();
    classes.dedup();
    if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<i64>().unwrap_or(0));
    }
    if let [only] = &classes[..] {
        let what = format!("every label is '{}'", short(only));
        return Err(Error::malformed(path, what, "examples of two classes or more"));
    }
    Ok(classes.into_iter().map(String::from).collect())
}

/// The class of a label; what it stands in, and its number from 1, are for errors.
fn class(path: &Path, (what, number): (&str, usize), label: &str, classes: &[String]) -> Result<usize> {
    classes.iter().position(|class| class == label).ok_or_else(|| {
        let meant = name::suggest(label, classes.iter().map(String::as_str));
        let meant = meant.map(|name| format!(" (did you mean '{name}'?)")).unwrap_or_default();
        let what = format!("{what} {number}: unknown label '{}'{meant}", short(&label));
        Error::malformed(path, what, format!("the labels {}", classes.join(", ")))
    })
}
