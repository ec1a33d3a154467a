//! The fewest keys that hold a given mass: a choice of keys whose error is set, and whose number each row decides.
//!
//! Nucleus sampling (Holtzman et al. 2020) chooses tokens so. It needs the exact probabilities first, and shows how many keys
//! a head needs at least.

use std::ops::Range;

use super::reference::pattern::{Pattern, ReadsBy, runs};
use super::softmax::rows::descending;
use super::{Input, Kind, Mechanism, Origin, Term, Under};
use crate::cost::{Cost, Shape};
use crate::error::Result;
use crate::name::{Param, Params};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "top-p",
    about: "the fewest keys of each query that hold a share of its softmax mass",
    equation: "softmax over the most probable keys of q_i k_j / sqrt(d_h) whose mass reaches p",
    paper: "Holtzman et al. 2020; Lin et al. 2025 (Twilight)",
    takes: &[Param {
        name: "mass",
        default: Some("0.9"),
        about: "share of the softmax mass that reaches keys which those of a query hold at least (p)",
    }],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: Term::ALL,
    by_default: false,
    fit: None,
    build,
};

struct TopP {
    mass: f64,
}

fn build(params: &Params<'_>, _: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let mass: f64 = params.get("mass")?;
    if !(mass > 0.0 && mass <= 1.0) {
        return Err(params.refuse("mass", &mass, "a number above 0, at most 1"));
    }
    Ok(Box::new(TopP { mass }))
}

/// The fewest of the keys in `seen`, the most probable first, that hold the share `mass` of what these keys have together,
/// which an attention sink makes less than 1; in ascending order.
fn nucleus(row: &[f64], seen: Range<usize>, mass: f64) -> Vec<usize> {
    let mut keys: Vec<usize> = seen.collect();
    keys.sort_unstable_by(|a, b| descending(row, *a, *b));
    // Rounding in the sums must not move an exact share (half of twelve equal weights) to the next key.
    let enough = mass * (1.0 - 1e-12) * keys.iter().map(|key| row[*key]).sum::<f64>();
    let mut held = 0.0;
    let last = keys.iter().position(|key| {
        held += row[*key];
        held >= enough
    });
    keys.truncate(last.map_or(keys.len(), |last| last + 1));
    keys.sort_unstable();
    keys
}

impl Pattern for TopP {
    fn reads<'a>(&'a self, input: &'a Input<'_>) -> ReadsBy<'a> {
        Box::new(move |i, exact| runs(&nucleus(&exact.row(i), input.sees(i), self.mass)))
    }

    /// All that it sees: how many hold the mass is not known before.
    fn counts(&self, shape: &Shape) -> Box<dyn Fn(usize) -> usize + '_> {
        let shape = *shape;
        Box::new(move |i| shape.sees(i).len())
    }

    /// Nothing beside the probabilities of all keys, which are counted as what is read.
    fn choosing(&self, _: &Shape) -> Option<Cost> {
        Some(Cost::default())
    }
}

#[cfg(test)]
mod tests {
    use super::nucleus;

    #[test]
    fn as_few_keys_as_reach_the_mass() {
        let row = [0.25, 0.125, 0.5, 0.125];
        assert_eq!(nucleus(&row, 0..4, 0.5), [2]);
        assert_eq!(nucleus(&row, 0..4, 0.51), [0, 2]);
        assert_eq!(nucleus(&row, 0..4, 0.8), [0, 1, 2]);
        assert_eq!(nucleus(&row, 0..4, 1.0), [0, 1, 2, 3]);
        for (count, mass, kept) in [(12, 0.5, 6), (20, 0.2, 4), (20, 0.75, 15), (49, 1.0 / 7.0, 7)] {
            let even = vec![1.0 / f64::from(count); count as usize];
            assert_eq!(nucleus(&even, 0..even.len(), mass).len(), kept, "{mass} of {count}");
        }
        // Half of the mass goes to a sink.
        let row = row.map(|mass| mass / 2.0);
        assert_eq!(nucleus(&row, 0..4, 0.5), [2]);
        assert_eq!(nucleus(&row, 0..4, 0.8), [0, 1, 2]);
    }
}
