//! A part of the cells of a study: those that one of several machines runs.

use std::fmt;
use std::str::FromStr;

use super::Cell;
use crate::error::{Error, Result};

/// The part of this number, from 1, of so many: `3/8`.
///
/// A part is a stretch of the plan: cells of one window follow each other there, so that few parts need the same forward
/// pass. Stretches are of about the same predicted cost, and depend on the plan alone: not on what is done already, nor on
/// the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// Which cells of a plan it has; cells of which `unit` says the same stay together. A cell with no unit is its own.
    pub fn cells<T>(self, plan: &[Cell<T>], unit: impl Fn(&T) -> Option<String>) -> Vec<bool> {
        let mut units: Vec<(Option<String>, f64)> = Vec::new();
        let place: Vec<usize> = plan
            .iter()
            .map(|cell| {
                let name = unit(&cell.of);
                let known = units.iter().position(|(known, _)| known.is_some() && *known == name);
                let at = known.unwrap_or(units.len());
                if known.is_none() {
                    units.push((name, 0.0));
                }
                units[at].1 += cell.cost.max(f64::MIN_POSITIVE);
                at
            })
            .collect();
        let total: f64 = units.iter().map(|(_, cost)| cost).sum();
        let mut before = 0.0;
        let mine: Vec<bool> = units
            .iter()
            .map(|(_, cost)| {
                let middle = (before + cost / 2.0) / total;
                before += cost;
                let part = (middle * self.of as f64) as usize;
                part.min(self.of - 1) + 1 == self.number
            })
            .collect();
        place.into_iter().map(|at| mine[at]).collect()
    }

    /// All parts of so many.
    pub fn all(of: usize) -> impl Iterator<Item = Self> {
        (1..=of).map(move |number| Self { number, of })
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) && of <= MOST => Ok(Self { number, of }),
            _ => Err(Error::value("--shard", text, "I/N, part I of N, I from 1 to N (such as 3/8)")),
        }
    }
}

/// More parts than any cluster has nodes.
const MOST: usize = 1_000_000;

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(costs: &[f64]) -> Vec<Cell<usize>> {
        let cell = |(of, cost): (usize, &f64)| Cell { key: of.to_string(), steps: 1, cost: *cost, of };
        costs.iter().enumerate().map(cell).collect()
    }

    #[test]
    fn a_part_is_named_from_one() {
        assert_eq!("3/8".parse::<Shard>().unwrap().to_string(), "3/8");
        for wrong in ["", "3", "0/8", "9/8", "a/8", "1/0", "-1/3", "1/2/3", "1/1000001"] {
            let refused = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(refused.contains("such as 3/8"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn units_stay_together() {
        // Two windows of three heads, by head.
        let plan = plan(&[1.0; 6]);
        let head = |of: &usize| Some((of % 3).to_string());
        let parts: Vec<Vec<bool>> = Shard::all(3).map(|shard| shard.cells(&plan, head)).collect();
        for (at, part) in parts.iter().enumerate() {
            let of: Vec<usize> = (0..6).filter(|cell| part[*cell]).collect();
            assert_eq!(of, [at, at + 3]);
        }
    }

    proptest! {
        /// Every cell is in one part, and no part has more than its share by more than the largest cell.
        #[test]
        fn parts_are_whole_and_balanced(
            costs in proptest::collection::vec(0.0..100.0_f64, 1..60), of in 1_usize..12,
        ) {
            let plan = plan(&costs);
            let parts: Vec<Vec<bool>> = Shard::all(of).map(|shard| shard.cells(&plan, |_| None)).collect();
            for cell in 0..plan.len() {
                prop_assert_eq!(parts.iter().filter(|part| part[cell]).count(), 1);
            }
            let total: f64 = costs.iter().sum();
            let largest = costs.iter().copied().fold(0.0, f64::max);
            for part in &parts {
                let cost: f64 = costs.iter().zip(part).filter(|(_, mine)| **mine).map(|(cost, _)| cost).sum();
                prop_assert!(cost <= total / of as f64 + largest + 1e-9);
            }
        }
    }
}
