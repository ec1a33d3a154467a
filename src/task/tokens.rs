//! Token ids from a file, given to a model unchanged.

use std::path::Path;

use serde_json::Value;

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
///
/// In JSON they may be written as a tokenizer writes them: in a list of one sequence, or under `input_ids`.
pub fn parse(path: &Path, text: &str) -> Result<Vec<u32>> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let ids = if text.starts_with(['[', '{']) {
        let found = serde_json::from_str(text)
            .map_err(|error| Error::malformed(path, format!("not a JSON list: {error}"), ACCEPTED))?;
        sequence(path, &found)?
    } else {
        words(path, text)?
    };
    if ids.is_empty() {
        return Err(Error::malformed(path, "no token ids", ACCEPTED));
    }
    Ok(ids)
}

const ACCEPTED: &str = "token ids as a JSON list or separated by white space (0 to 4294967295)";

/// The one sequence that a JSON value holds.
fn sequence(path: &Path, found: &Value) -> Result<Vec<u32>> {
    match found {
        Value::Array(items) if items.iter().any(|item| item.is_array() || item.is_object()) => {
            match &items[..] {
                [one] => sequence(path, one),
                _ if items.iter().all(|item| item.is_array() || item.is_object()) => {
                    let what = format!("{} sequences of token ids", items.len());
                    Err(Error::malformed(path, what, "one sequence: a file, and a run, for each"))
                }
                _ => list(path, items),
            }
        }
        Value::Array(items) => list(path, items),
        Value::Object(keys) => {
            let Some(ids) = keys.get("input_ids") else {
                let names: Vec<&str> = keys.keys().map(String::as_str).collect();
                let what = format!("no 'input_ids' among the keys '{}'", short(&names.join(", ")));
                return Err(Error::malformed(path, what, ACCEPTED));
            };
            if keys.get("attention_mask").is_some_and(hides) {
                let what = "'attention_mask' hides tokens, and every token of a window is read";
                return Err(Error::malformed(path, what, "ids without padding"));
            }
            sequence(path, ids)
        }
        other => Err(Error::malformed(path, format!("'{}'", short(other)), ACCEPTED)),
    }
}

/// Whether an attention mask holds a 0.
fn hides(mask: &Value) -> bool {
    match mask {
        Value::Array(items) => items.iter().any(hides),
        Value::Bool(seen) => !seen,
        other => other.as_f64() == Some(0.0),
    }
}

fn list(path: &Path, items: &[Value]) -> Result<Vec<u32>> {
    let id = |(i, item): (usize, &Value)| {
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
