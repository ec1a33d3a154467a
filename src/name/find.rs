//! Names found in a registry, with a suggestion for what is not.

use crate::error::{Error, Result};

/// Finds `name` in a registry; the error carries the nearest known name and all of them.
///
/// ```
/// let nulls = ["gaussian", "shuffled"];
/// assert_eq!(luna::name::find("null model", "shuffled", &nulls, |n| n).unwrap(), &"shuffled");
/// let error = luna::name::find("null model", "shufled", &nulls, |n| n).unwrap_err();
/// assert!(error.to_string().contains("did you mean 'shuffled'?"));
/// ```
pub fn find<'a, T>(
    kind: &'static str,
    name: &str,
    all: &'a [T],
    name_of: impl Fn(&T) -> &str,
) -> Result<&'a T> {
    all.iter().find(|entry| name_of(entry) == name).ok_or_else(|| Error::UnknownName {
        kind,
        name: name.to_string(),
        suggestion: suggest(name, all.iter().map(&name_of)),
        known: all.iter().map(|entry| name_of(entry).to_string()).collect(),
    })
}

/// The known name that `name` was probably meant to be: the nearest one (letters inserted, deleted, replaced or swapped with
/// a neighbour), if at most about a third of its letters differ. Case is ignored; of equally near names the first counts.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let typed = name.to_lowercase();
    known
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let [a, b] = [&typed, &lower].map(|name| name.chars().count());
            let limit = a.max(b) / 3;
            // The distance takes time a b: a name of a million letters is compared with none.
            let distance = (a.abs_diff(b) <= limit).then(|| strsim::osa_distance(&typed, &lower))?;
            (distance <= limit).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["softmax", "local", "linformer", "luna", "d_h"];

    fn suggested(name: &str) -> Option<String> {
        suggest(name, KNOWN)
    }

    #[test]
    fn typing_errors_are_corrected() {
        for (typed, meant) in [
            ("lnua", "luna"),
            ("Luna", "luna"),
            ("lunaa", "luna"),
            ("dh", "d_h"),
            ("linfromer", "linformer"),
            ("SOFT-MAX", "softmax"),
        ] {
            assert_eq!(suggested(typed).as_deref(), Some(meant), "{typed}");
        }
    }

    #[test]
    fn far_names_suggest_nothing() {
        assert_eq!(suggested("performer-favor"), None);
        assert_eq!(suggested(""), None);
        assert_eq!(suggested(&"l".repeat(1 << 20)), None);
        assert_eq!(suggest("w", ["l"]), None);
    }

    #[test]
    fn the_first_of_equally_near_names_stands() {
        assert_eq!(suggest("rank0", ["rank9", "rank1"]).as_deref(), Some("rank9"));
    }
}
