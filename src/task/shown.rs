//! Items of files in error messages.

/// An item as an error shows it: one line, not longer than a line.
pub(crate) fn short(item: &impl ToString) -> String {
    let text = item.to_string();
    let mut shown: String = text.chars().take(32).flat_map(char::escape_default).collect();
    if text.chars().nth(32).is_some() {
        shown.push('…');
    }
    shown
}
