//! What the heads of a layer have in common, and the option that chooses layers by it.

use std::fmt;
use std::str::FromStr;

use crate::attention::{Mask, Term, Window};
use crate::error::{Error, Result};
use crate::name::Indices;

/// What the heads of a layer are computed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerKind {
    /// Their mask.
    pub mask: Mask,
    /// Their window, if the layer slides.
    pub window: Option<Window>,
    /// What they have beside scale and mask at the longest length of the input; the window only where it hides something.
    pub terms: Vec<Term>,
}

impl From<Mask> for LayerKind {
    fn from(mask: Mask) -> Self {
        Self { mask, window: None, terms: Vec::new() }
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mask.name())?;
        match self.window {
            None => Ok(()),
            Some(Window { back, ahead: usize::MAX }) => write!(f, ", window:back={back}"),
            Some(Window { back: usize::MAX, ahead }) => write!(f, ", window:ahead={ahead}"),
            Some(window) => write!(f, ", window {}", window.size()),
        }
    }
}

/// What a reader must know about layers of these kinds.
pub(super) fn notes(kinds: &[&LayerKind]) -> Vec<String> {
    let with = |term: Term| kinds.iter().filter(move |kind| kind.terms.contains(&term));
    let mut notes = Vec::new();
    if let Some(window) = with(Term::Window).find_map(|kind| kind.window) {
        let (sliding, all) = (with(Term::Window).count(), kinds.len());
        let slide = match (sliding, all) {
            (1, 1) => "the layer slides".into(),
            (1, _) => format!("1 of {all} layers slides"),
            _ => format!("{sliding} of {all} layers slide"),
        };
        notes.push(format!("{slide} (window {})", window.size()));
    }
    if with(Term::Sink).next().is_some() {
        notes.push(
            "attention sinks: rows of the matrices sum to less than 1, and the rest goes to no key".into(),
        );
    }
    notes
}

/// The value of `--layers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layers {
    /// Those without a window.
    Full,
    /// Those with one.
    Sliding,
    /// By number.
    At(Indices),
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Sliding => f.write_str("sliding"),
            Self::At(indices) => indices.fmt(f),
        }
    }
}

impl FromStr for Layers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            "full" => Ok(Self::Full),
            "sliding" => Ok(Self::Sliding),
            indices => {
                let accepted = "full, sliding, or indices and ranges such as 0-3,7";
                indices.parse().map(Self::At).map_err(|_| Error::value("layers", text, accepted))
            }
        }
    }
}

impl Layers {
    /// The chosen ones of `count` layers, ascending; `slides` says which have a window, where the input knows.
    ///
    /// Refuses a kind of which there is none; `what` is the option.
    pub(in crate::study) fn select(
        &self,
        what: &str,
        count: usize,
        slides: Option<&dyn Fn(usize) -> bool>,
    ) -> Result<Vec<usize>> {
        let (name, wanted) = match self {
            Self::At(indices) => {
                let mut chosen = indices.select(what, count)?;
                chosen.sort_unstable();
                return Ok(chosen);
            }
            Self::Full => ("full", false),
            Self::Sliding => ("sliding", true),
        };
        let indices = format!("indices from 0 to {}", count.saturating_sub(1));
        let Some(slides) = slides else {
            let accepted = format!("{indices}: only the layers of a model are full or sliding");
            return Err(Error::value(what, name, accepted));
        };
        let chosen: Vec<usize> = (0..count).filter(|layer| slides(*layer) == wanted).collect();
        if chosen.is_empty() {
            let (other, why) = if wanted { ("full", "no") } else { ("sliding", "every") };
            let accepted = format!("{other}, or {indices}: {why} layer of this model has a window");
            return Err(Error::value(what, name, accepted));
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_chosen_by_number_or_by_kind() {
        let of = |text: &str, slides: Option<&dyn Fn(usize) -> bool>| {
            let layers: Layers = text.parse().map_err(|error: Error| error.to_string())?;
            layers.select("--layers", 6, slides).map_err(|error| error.to_string())
        };
        let third = |layer: usize| layer % 3 != 2;
        assert_eq!(of("4,0-1", Some(&third)), Ok(vec![0, 1, 4]));
        assert_eq!(of("full", Some(&third)), Ok(vec![2, 5]));
        assert_eq!(of(" sliding", Some(&third)), Ok(vec![0, 1, 3, 4]));
        for (text, slides, expected) in [
            ("sliding", Some(false), "full, or indices from 0 to 5: no layer of this model has a window"),
            ("full", Some(true), "sliding, or indices from 0 to 5: every layer of this model has a window"),
            ("full", None, "indices from 0 to 5: only the layers of a model are full or sliding"),
        ] {
            let slides = slides.map(|all| move |_| all);
            let found = of(text, slides.as_ref().map(|slides| slides as &dyn Fn(usize) -> bool));
            assert_eq!(found, Err(format!("--layers: '{text}' is not accepted; accepted: {expected}")));
        }
        assert_eq!(
            of("6", Some(&third)).unwrap_err(),
            "--layers: '6' is not accepted; accepted: indices from 0 to 5"
        );
        assert_eq!(
            of("slidng", None).unwrap_err(),
            "layers: 'slidng' is not accepted; accepted: full, sliding, or indices and ranges such as 0-3,7"
        );
    }

    #[test]
    fn the_window_is_said_by_the_keys_that_it_holds() {
        let sliding =
            |mask, back, ahead| LayerKind { window: Some(Window { back, ahead }), ..LayerKind::from(mask) };
        assert_eq!(LayerKind::from(Mask::Causal).to_string(), "causal");
        assert_eq!(sliding(Mask::Causal, 511, 0).to_string(), "causal, window 512");
        assert_eq!(sliding(Mask::Full, 64, 64).to_string(), "full, window 129");
        assert_eq!(sliding(Mask::Full, 64, usize::MAX).to_string(), "full, window:back=64");
        assert_eq!(sliding(Mask::Full, usize::MAX, 3).to_string(), "full, window:ahead=3");
    }
}
