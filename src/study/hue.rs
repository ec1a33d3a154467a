//! One colour for each mechanism, in every figure.

use crate::attention;

/// Mechanisms that often stand beside each other, each with a colour of its own; the others share them, and differ in dashes.
const APART: [&str; 7] = ["luna", "linformer", "performer", "linear", "nystrom", "local", "softmax"];

/// The number of the colour of a mechanism, by a label that begins with its name ("luna:p=segment", "luna l=16").
pub(super) fn of(label: &str) -> Option<usize> {
    let name = match label.split([':', ' ', ',']).next().unwrap_or_default() {
        // The floor is dashed, as exact attention is.
        "best" | "svd" => "softmax",
        name => name,
    };
    let own = APART.iter().position(|other| *other == name);
    own.or_else(|| attention::ALL.iter().position(|kind| kind.name == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mechanism_has_one_colour_whatever_its_parameters() {
        for name in APART {
            assert!(attention::ALL.iter().any(|kind| kind.name == name), "{name}");
            assert_eq!(of(name), of(&format!("{name}:l=16,p=x")));
            assert_eq!(of(name), of(&format!("{name} l=256")));
        }
        assert!(attention::ALL.iter().all(|kind| of(kind.name).is_some()));
        assert_eq!(of("best of rank l (SVD)"), of("softmax"));
        assert_eq!(of("another"), None);
    }
}
