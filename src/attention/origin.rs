//! Where drawn and learned arrays come from.

use std::collections::BTreeMap;

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::rng::{Rng, stream};

/// Where the arrays of a mechanism come from that its input does not determine: random draws, or a fit.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Whose arrays they are ("layer 0 head 3"): another label, other draws. It names no window, since what is drawn
    /// belongs to a head and not to its input.
    pub label: &'a str,
    /// Learned arrays, which are used in place of drawn ones.
    pub learned: Option<&'a Learned>,
}

impl Origin<'_> {
    /// The stream of one array; `array` names the mechanism, the array and every size that it is drawn for.
    pub fn stream(&self, array: &str) -> Rng {
        stream(self.seed, &format!("attention {array} of {}", self.label))
    }

    /// A learned array, where there is one of that name.
    pub fn found(&self, array: &str) -> Option<Array2<f32>> {
        self.learned.and_then(|learned| learned.0.get(array)).cloned()
    }

    /// A learned array, or the error that names what needs it.
    pub fn learned(&self, owner: &str, array: &str) -> Result<Array2<f32>> {
        self.found(array).ok_or_else(|| {
            let accepted = "a fit on windows of a model (luna approx-error fits), or a drawn one";
            Error::value(format!("parameter '{array}' of attention '{owner}'"), "fitted", accepted)
        })
    }
}

/// Learned arrays by name ("p", "e", "f", "features").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned(pub BTreeMap<&'static str, Array2<f32>>);
