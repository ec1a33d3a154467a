//! What a mechanism declares of itself: an entry of the list.

use super::fit::Fit;
use super::mask::Mask;
use super::mechanism::Mechanism;
use super::origin::Origin;
use super::terms::Term;
use crate::error::Result;
use crate::name::{Param, Params, Spec};

/// What a mechanism does under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// It has a form for this mask, and shows a query nothing that the mask hides.
    Honoured,
    /// It approximates a matrix made under this mask without honouring it itself; how a query comes to depend on what the
    /// mask hides, as a sentence about it without its subject.
    Leaks(&'static str),
    /// It has no form for this mask; the name of a mechanism that has one may help.
    Refused(&'static str),
}

/// A mechanism as it stands in the list.
pub struct Kind {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its equation, in the papers' letters.
    pub equation: &'static str,
    /// Authors and year.
    pub paper: &'static str,
    /// Its parameters with defaults.
    pub takes: &'static [Param],
    /// What it does when every key may be seen.
    pub full: Under,
    /// What it does when query i sees keys 0 to i.
    pub causal: Under,
    /// Whether the rows of its matrix sum to 1 (a row that sees nothing is zeros).
    pub stochastic: bool,
    /// What it honours beside scale and mask.
    pub terms: &'static [Term],
    /// Whether scale-sweep measures it where no mechanism is named.
    pub by_default: bool,
    /// How its learned arrays are fitted to windows of a head, where they can be.
    pub fit: Option<&'static Fit>,
    /// Makes one with these parameters.
    pub build: fn(&Params<'_>, &Origin<'_>) -> Result<Box<dyn Mechanism>>,
}

impl Kind {
    /// What it does under a mask.
    pub fn under(&self, mask: Mask) -> Under {
        match mask {
            Mask::Full => self.full,
            Mask::Causal => self.causal,
        }
    }

    /// Whether it takes a projected length `l`.
    pub fn takes_l(&self) -> bool {
        self.takes.iter().any(|param| param.name == "l")
    }

    /// Whether the rows of its matrix sum to 1 in the form that a spec names.
    pub fn is_stochastic(&self, spec: &Spec) -> bool {
        self.stochastic && self.built(spec).map_or(true, |mechanism| mechanism.stochastic())
    }

    /// Whether anything depends on that l in the form that a spec names.
    pub fn depends_on_l(&self, spec: &Spec) -> bool {
        // What cannot be built yet (its arrays are still to be fitted) is one of those that take an l.
        self.takes_l() && self.built(spec).map_or(true, |mechanism| mechanism.l().is_some())
    }

    fn built(&self, spec: &Spec) -> Result<Box<dyn Mechanism>> {
        (self.build)(&spec.params("attention", self.takes)?, &Origin { seed: 0, label: "", learned: None })
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
