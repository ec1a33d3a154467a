//! What the dimensions of an array before its last two stand for.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::name;

/// The names of these dimensions, in the order of (layers, batch, h, n, m).
const NAMES: [&str; 3] = ["layer", "batch", "head"];

/// The dimensions of an array before its last two, in its order: each by its place among layers, batch and heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes(Vec<usize>);

impl Axes {
    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Which axis of an array of five dimensions becomes each axis of (layers, batch, h, n, m); `held` are those among its
    /// first three that are these dimensions, the rest are 1.
    pub(super) fn order(&self, held: &[usize]) -> [usize; 5] {
        let mut rest = (0..3).filter(|place| !held.contains(place));
        let mut order = [0, 1, 2, 3, 4];
        for (to, from) in order.iter_mut().take(3).enumerate() {
            let at = self.0.iter().position(|axis| *axis == to).map(|at| held[at]);
            *from = at.or_else(|| rest.next()).unwrap_or(to);
        }
        order
    }
}

impl FromStr for Axes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut axes = Vec::new();
        for item in text.split(',') {
            let found = name::find("axis", item.trim(), &NAMES, |name| name)?;
            let axis = NAMES.iter().take_while(|name| *name != found).count();
            if axes.contains(&axis) {
                return Err(Error::value("axes", text, "layer, batch and head, each at most once"));
            }
            axes.push(axis);
        }
        Ok(Self(axes))
    }
}

impl fmt::Display for Axes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|axis| NAMES[*axis]).collect();
        f.write_str(&names.join(","))
    }
}
