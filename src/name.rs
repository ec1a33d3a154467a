//! tmp
use crate::error::*;
/// f
pub fn find<'a, T>(
    kind: &'static str,
    name: &str,
    all: &'a [T],
    name_of: impl Fn(&T) -> &str,
) -> Result<&'a T> {
    all.iter().find(|t| name_of(t) == name).ok_or_else(|| Error::UnknownName {
        kind,
        name: name.into(),
        suggestion: None,
        known: all.iter().map(|t| name_of(t).to_string()).collect(),
    })
}
