//! Finding things by name.

/// The known name nearest to what was typed, if one is near.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known.into_iter().find(|known| known.contains(name)).map(Into::into)
}
