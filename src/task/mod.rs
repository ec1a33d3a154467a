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

pub(crate) use crate::file::text;

/// An item as an error shows it: one line, not longer than a line.
pub(crate) fn short(item: &impl ToString) -> String {
    let text = item.to_string();
    let mut shown: String = text.chars().take(32).flat_map(char::escape_default).collect();
    if text.chars().nth(32).is_some() {
        shown.push('…');
    }
    shown
}
