//! What may be spent, and what a mechanism costs in the same unit.

use std::fmt;
use std::str::FromStr;

use crate::attention::Attention;
use crate::cost::Shape;
use crate::error::{Error, Result};
use crate::study::allocation::Assignment;

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Keys that a query reads, or projected lengths; of softmax n.
    Length,
    /// FLOPs of the attention of one window, without projections.
    Flops,
    /// Bytes of f32 keys and values, or of what is stored in their place, that queries read.
    Cache,
}

impl Unit {
    const ALL: [Self; 3] = [Self::Length, Self::Flops, Self::Cache];

    /// As it is typed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Length => "l",
            Self::Flops => "flops",
            Self::Cache => "cache",
        }
    }

    /// What one of it is.
    pub(super) fn one(self) -> &'static str {
        match self {
            Self::Length => "keys",
            Self::Flops => "FLOP",
            Self::Cache => "bytes",
        }
    }

    /// What a head costs; none of a mechanism that has no such cost.
    pub(super) fn price(self, attention: &Attention, shape: &Shape) -> Option<u64> {
        match self {
            Self::Length if Assignment::is_exact(attention.spec()) => Some(shape.m as u64),
            Self::Length => {
                // What needs all keys and values at every l is not cheaper at a smaller one.
                let l = attention.l().filter(|_| attention.cache_reads(shape).is_some())?;
                Some(attention.choice().map_or(l.min(shape.m), |choice| choice.keys(shape)) as u64)
            }
            Self::Flops => Some(attention.cost(shape).flops()),
            Self::Cache => attention.cache_reads(shape).map(|elements| elements * size_of::<f32>() as u64),
        }
    }

    /// What people read of a cost of all heads: mean l of a head, FLOPs of a window, bytes a token.
    pub(super) fn shown(self, cost: u64, heads: usize, n: usize) -> f64 {
        match self {
            Self::Length => cost as f64 / heads as f64,
            Self::Flops => cost as f64,
            Self::Cache => cost as f64 / n as f64,
        }
    }

    /// A cost of all heads as a budget is typed, and as a share of what softmax costs: neither below it.
    pub(super) fn typed(self, (cost, softmax): (u64, u64), heads: usize, n: usize) -> String {
        let percent = (cost as f64 / softmax.max(1) as f64 * 1e4).ceil() / 100.0;
        format!("{}={} ({percent}%)", self.name(), self.shown(cost, heads, n).ceil())
    }

    /// The cost of all heads that people read as `shown`.
    fn whole(self, shown: f64, heads: usize, n: usize) -> f64 {
        match self {
            Self::Length => shown * heads as f64,
            Self::Flops => shown,
            Self::Cache => shown * n as f64,
        }
    }
}

/// How much of a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Number(f64),
    /// Of what softmax takes.
    Share(f64),
}

/// Budgets of one unit: `l=32,64`, `flops=10%`.
#[derive(Clone, Debug, PartialEq)]
pub struct Budgets {
    pub(super) unit: Unit,
    amounts: Vec<(String, Amount)>,
}

/// One budget of all heads together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit {
    /// As it was asked for: `l=64`.
    pub(super) asked: String,
    pub(super) cost: u64,
    /// What softmax in every head costs.
    pub(super) softmax: u64,
}

impl Budgets {
    /// The budgets of so many heads over windows of n, where softmax costs so much in all of them.
    pub(super) fn limits(&self, heads: usize, n: usize, softmax: u64) -> Vec<Limit> {
        let limit = |(text, amount): &(String, Amount)| {
            let cost = match amount {
                Amount::Number(number) => self.unit.whole(*number, heads, n),
                Amount::Share(share) => share * softmax as f64,
            };
            // A product such as 0.1 * 270 is that many heads, and not the number below it.
            Limit {
                asked: format!("{}={text}", self.unit.name()),
                cost: (cost * (1.0 + 1e-12)) as u64,
                softmax,
            }
        };
        self.amounts.iter().map(limit).collect()
    }
}

impl FromStr for Budgets {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |value: &str| {
            let accepted = "l=, flops= or cache= and numbers above 0, or shares such as 10%: l=32,64";
            Error::value("--budget", value, accepted)
        };
        let (name, amounts) = text.split_once('=').ok_or_else(|| refused(text))?;
        let unit =
            Unit::ALL.into_iter().find(|unit| unit.name() == name.trim()).ok_or_else(|| refused(text))?;
        let amount = |text: &str| {
            let (number, share) = match text.strip_suffix('%') {
                Some(share) => (share, true),
                None => (text, false),
            };
            let number =
                number.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
            let number = number.ok_or_else(|| refused(text))?;
            if share && number > 100.0 {
                return Err(Error::value(
                    "--budget",
                    text,
                    "shares up to 100%, which is softmax in every head",
                ));
            }
            Ok((text.to_string(), if share { Amount::Share(number / 100.0) } else { Amount::Number(number) }))
        };
        let mut all: Vec<(String, Amount)> = Vec::new();
        for text in amounts.split(',').map(str::trim) {
            if text.contains('=') {
                let accepted = "numbers or shares of one unit, which is written once: l=8,16";
                return Err(Error::value("--budget", text, accepted));
            }
            let one = amount(text)?;
            // As in other lists, what is typed twice is there once.
            if !all.iter().any(|other| other.1 == one.1) {
                all.push(one);
            }
        }
        Ok(Self { unit, amounts: all })
    }
}

impl fmt::Display for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amounts: Vec<&str> = self.amounts.iter().map(|(text, _)| text.as_str()).collect();
        write!(f, "{}={}", self.unit.name(), amounts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_and_counted() {
        let of = |text: &str| -> Vec<(String, u64)> {
            let budgets: Budgets = text.parse().unwrap();
            assert_eq!(budgets.to_string(), text);
            budgets.limits(270, 1024, 276_480).into_iter().map(|limit| (limit.asked, limit.cost)).collect()
        };
        assert_eq!(of("l=64,0.1"), [("l=64".into(), 17_280), ("l=0.1".into(), 27)]);
        assert_eq!(of("l=12.5%"), [("l=12.5%".into(), 34_560)]);
        assert_eq!(of("flops=1e9"), [("flops=1e9".into(), 1_000_000_000)]);
        assert_eq!(of("cache=4096"), [("cache=4096".into(), 4096 * 1024)]);
        assert_eq!("l=64,8,64.0".parse::<Budgets>().unwrap().to_string(), "l=64,8");
        assert_eq!(Unit::Length.typed((32, 270), 2, 135), "l=16 (11.86%)");
        assert_eq!(Unit::Cache.typed((4097, 8194), 2, 4), "cache=1025 (50%)");
        for text in ["", "64", "l=", "l=0", "l=-3", "keys=3", "l=101%", "l=nan", "l=5,x", "l=8,l=16"] {
            assert!(text.parse::<Budgets>().is_err(), "{text}");
        }
    }
}
