//! What a mechanism is, apart from its numbers: an entry of the list.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::{Mask, Mechanism};
use crate::error::{Error, Result};
use crate::name::{Param, Params, Spec};
use crate::rng::{Rng, stream};

/// What a mechanism does under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// It has a form for this mask, and shows a query nothing that the mask hides.
    Honoured,
    /// It stands for a matrix made under this mask, and does not keep to it itself (a truncated decomposition of a
    /// triangular matrix is not triangular).
    Leaks,
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

    /// Whether anything depends on that l in the form that a spec names.
    pub fn depends_on_l(&self, spec: &Spec) -> bool {
        self.takes_l() && !super::synthesizer::is_random(spec)
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Where the pieces of a mechanism come from that its input does not decide: random draws, or what was learned.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Whose pieces they are ("layer 0 head 3"): another label, other draws. It names no window, since what is drawn
    /// belongs to a head and not to its input.
    pub label: &'a str,
    /// What was learned for it.
    pub learned: Option<&'a Learned>,
}

impl Origin<'_> {
    /// The stream of one piece; `piece` names the mechanism, the piece and every size that it is drawn for.
    pub fn stream(&self, piece: &str) -> Rng {
        stream(self.seed, &format!("attention {piece} of {}", self.label))
    }

    /// A learned piece, or the error that says what asked for it.
    pub fn learned(&self, owner: &str, piece: &str) -> Result<Array2<f32>> {
        let found = self.learned.and_then(|learned| learned.0.get(piece));
        found.cloned().ok_or_else(|| {
            let accepted = "a fit on windows of a model (luna approx-error fits), or a drawn one";
            Error::value(format!("parameter '{piece}' of attention '{owner}'"), "fitted", accepted)
        })
    }
}

/// Arrays that were fitted, by the name of the parameter that they are for ("p", "e", "f").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned(pub BTreeMap<&'static str, Array2<f32>>);
