//! The lines of a journal as they stand in its file; see the [module](super).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Contents, Fingerprint};
use crate::error::{Error, Result};

/// The file with the finished cells of a run.
pub(super) const JOURNAL: &str = "journal.jsonl";

/// What is accepted where another run stands in the folder.
pub(super) const ACCEPTED: &str = "for --resume the same settings, inputs and version; or another folder";

/// The refusal of a folder with a run that is not this one.
pub(super) fn used(path: &Path) -> Error {
    Error::malformed(path, "holds an earlier run", "another folder, or --resume to continue that run")
}

/// Between the body of a line and its hash, and after it.
const HASH: (&str, &str) = (",\"sha256\":\"", "\"}");
/// Digits of the hash.
const DIGITS: usize = 16;

/// Which command began a journal, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The arguments as they were typed, without those that say where the result goes and which part is run.
    pub command: Vec<String>,
    /// The same with those of an experiment file in its place.
    pub arguments: Vec<String>,
    /// The machine.
    pub machine: String,
}

/// The first line.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) facts: Fingerprint,
    #[serde(default)]
    pub(super) origin: Origin,
}

/// The key of a record.
#[derive(Deserialize)]
struct Key {
    cell: String,
}

/// What a journal holds.
pub(super) struct Recorded {
    /// The first line; none if the file has no whole line.
    pub(super) head: Option<Head>,
    /// The whole records as they stand, by the keys of their cells.
    pub(super) records: BTreeMap<String, String>,
    /// Bytes up to the end of the last whole line.
    pub(super) length: u64,
}

/// Reads a journal as it stands.
pub(super) fn recorded(path: &Path) -> Result<Recorded> {
    let bytes = std::fs::read(path).map_err(Error::file(path))?;
    // Damaged bytes are no text: they make their own line differ from its hash, and no other.
    let text = String::from_utf8_lossy(&bytes);
    // A line without its end is one that an interruption cut off.
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let Some(first) = lines.next() else {
        return Ok(Recorded { head: None, records: BTreeMap::new(), length: 0 });
    };
    let head = opened(first).and_then(|body| serde_json::from_str::<Head>(&body).ok());
    let Some(head) = head else {
        return Err(Error::malformed(path, "its first line is not that of a journal", ACCEPTED));
    };
    let records = lines.filter_map(opened).filter_map(|body| {
        let key: Key = serde_json::from_str(&body).ok()?;
        Some((key.cell, body))
    });
    let length = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last as u64 + 1);
    Ok(Recorded { head: Some(head), records: records.collect(), length })
}

/// A line of this body (a JSON object), which ends with its hash.
pub(super) fn sealed(body: &str) -> String {
    let open = body.strip_suffix('}').unwrap_or(body);
    format!("{open}{}{}{}\n", HASH.0, hash(body), HASH.1)
}

/// The body of a line; none if its hash is missing or another one.
fn opened(line: &str) -> Option<String> {
    let line = line.strip_suffix(HASH.1)?;
    let (open, found) = line.split_at_checked(line.len().checked_sub(DIGITS)?)?;
    let body = format!("{}}}", open.strip_suffix(HASH.0)?);
    (hash(&body) == found).then_some(body)
}

fn hash(body: &str) -> String {
    let mut contents = Contents::default();
    contents.add(body.as_bytes());
    contents.word()
}
