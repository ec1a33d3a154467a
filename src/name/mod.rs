//! Names as people type them: found with a "did you mean", listed with commas, given parameters.
//!
//! Everything that can be named on the command line goes through this file, so that one mistake gets the same
//! kind of answer everywhere: what was typed, the nearest thing known, and everything that is known.

mod list;
mod spec;

pub use list::{Indices, Item, List};
pub use spec::{Param, Params, Spec, specs, takes};

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

/// The known name that `name` was probably meant to be: the nearest one, if at most about a third of its letters
/// differ. Capitals do not count, and of equally near names the first stands.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let typed = letters(name);
    known
        .into_iter()
        .filter_map(|candidate| {
            let letters = letters(candidate);
            let limit = typed.len().max(letters.len()) / 3;
            // Names come from outside: one of a million letters must not cost a product of lengths.
            let near = typed.len().abs_diff(letters.len()) <= limit;
            let distance = near.then(|| distance(&typed, &letters))?;
            (distance <= limit).then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate.to_string())
}

fn letters(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour to turn `a` into `b`
/// (Damerau-Levenshtein, no letter touched twice).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: [&str; 5] = ["softmax", "local", "linformer", "luna", "d_h"];

    fn suggested(name: &str) -> Option<String> {
        suggest(name, KNOWN)
    }

    #[test]
    fn slips_of_the_hand_are_understood() {
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

    proptest! {
        #[test]
        fn distance_is_a_distance(a in "[ab_]{0,8}", b in "[ab_]{0,8}") {
            let (a, b) = (letters(&a), letters(&b));
            let d = distance(&a, &b);
            prop_assert_eq!(d, distance(&b, &a));
            prop_assert_eq!(d == 0, a == b);
            prop_assert!(d >= a.len().abs_diff(b.len()) && d <= a.len().max(b.len()));
        }

        #[test]
        fn a_swap_is_one_slip(word in "[a-z]{4,12}", at in 0usize..11) {
            let mut swapped = letters(&word);
            let at = at % (swapped.len() - 1);
            swapped.swap(at, at + 1);
            prop_assert!(distance(&letters(&word), &swapped) <= 1);
        }
    }
}
