//! Token ids from a file, fed to a model as they stand.

use std::path::Path;

use super::short;
use crate::{Error, Result};

/// Reads token ids from a file: a JSON list, or numbers between white space.
///
/// Every id must be below `vocab`, the number of tokens that the model knows.
pub fn read(path: &Path, vocab: usize) -> Result<Vec<u32>> {
    let text = super::text(path)?;
    let ids = parse(path, &text)?;
    match ids.iter().enumerate().find(|(_, id)| **id as usize >= vocab) {
        None => Ok(ids),
        Some((i, id)) => {
            let what = format!("token id {id} (item {})", i + 1);
            Err(Error::malformed(path, what, format!("ids below {vocab}, the model's vocabulary")))
        }
    }
}

/// Token ids from the text of the file at `path` (named in errors, not read).
pub fn parse(path: &Path, text: &str) -> Result<Vec<u32>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let ids = if text.starts_with('[') { json(path, text)? } else { words(path, text)? };
    if ids.is_empty() {
        return Err(Error::malformed(path, "no token ids", ACCEPTED));
    }
    Ok(ids)
}

const ACCEPTED: &str = "token ids as a JSON list or separated by white space (0 to 4294967295)";

fn json(path: &Path, text: &str) -> Result<Vec<u32>> {
    let items: Vec<serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| Error::malformed(path, format!("not a JSON list: {error}"), ACCEPTED))?;
    let id = |(i, item): (usize, &serde_json::Value)| {
        let id = item.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| Error::malformed(path, format!("'{}' (item {})", short(item), i + 1), ACCEPTED))
    };
    items.iter().enumerate().map(id).collect()
}

fn words(path: &Path, text: &str) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for (line, words) in text.lines().enumerate() {
        for word in words.split_whitespace() {
            let id = word.parse().map_err(|_| {
                let what = format!("'{}' (item {}, line {})", short(&word), ids.len() + 1, line + 1);
                Error::malformed(path, what, ACCEPTED)
            })?;
            ids.push(id);
        }
    }
    Ok(ids)
}
