//! Data sources: what a model or a mechanism is shown.

pub mod batch;
pub mod bpe;
pub mod dump;
pub mod labelled;
pub mod language;
pub mod likelihood;
pub mod listops;
pub mod recall;
pub mod stride;
pub mod synthetic;
pub mod tokenizer;
pub mod tokens;
pub mod translation;
pub mod window;

use std::path::Path;

use crate::{Error, Result};

/// The text of a file, which must be UTF-8; an error names the first byte that is not.
pub(crate) fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::file(path))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        Error::malformed(path, format!("byte {at} (0x{byte:02x}) is not UTF-8"), "text in UTF-8")
    })
}

/// An item as an error shows it: one line, not longer than a line.
pub(crate) fn short(item: &impl ToString) -> String {
    let text = item.to_string();
    let mut shown: String = text.chars().take(32).flat_map(char::escape_default).collect();
    if text.chars().nth(32).is_some() {
        shown.push('…');
    }
    shown
}
