//! Conditions of `--fail-if`.

use super::difference::Difference;
use crate::error::{Error, Result};
use crate::report::{Cell, Digits};
use crate::study::runs::condition::Condition;

/// A condition, and the differences of its column.
pub(super) struct Judged<'a> {
    pub(super) condition: &'a Condition,
    pub(super) of: Vec<&'a Difference>,
}

impl<'a> Judged<'a> {
    /// `column` is the full name of the condition's.
    pub(super) fn new(condition: &'a Condition, column: &str, all: &'a [Difference]) -> Result<Self> {
        if !condition.is_order() {
            return Err(Error::value("--fail-if", condition, "<, <=, > or >= and a number"));
        }
        let of: Vec<&Difference> = all.iter().filter(|one| one.column == column).collect();
        if of.is_empty() {
            return Err(Error::value(
                "--fail-if",
                condition,
                "a column with numbers in rows that are matched",
            ));
        }
        Ok(Self { condition, of })
    }

    /// Whether it holds of the mean difference, by which it is judged.
    pub(super) fn holds(&self, one: &Difference) -> bool {
        self.condition.holds_for(one.diff)
    }

    /// What follows the judgement where it is not true of the whole interval of the difference.
    pub(super) fn undecided(&self, one: &Difference) -> &'static str {
        if self.is_decided(one) { "" } else { ", undecided" }
    }

    fn is_decided(&self, one: &Difference) -> bool {
        let agrees = |value: f64| self.condition.holds_for(value) == self.holds(one);
        one.ends.is_some_and(|ends| {
            // Between ends of unlike signs an absolute value is as small as 0.
            let holds_zero = ends.low <= 0.0 && ends.high >= 0.0;
            agrees(ends.low) && agrees(ends.high) && (!holds_zero || agrees(0.0))
        })
    }

    /// The differences of which it holds, in words.
    pub(super) fn failed(&self) -> impl Iterator<Item = String> {
        self.of.iter().filter(|one| self.holds(one)).map(|one| {
            let undecided = self.undecided(one);
            let keys: Vec<String> = one
                .keys
                .iter()
                .filter(|key| **key != Cell::Missing)
                .map(|key| key.show(Digits::Text))
                .collect();
            let of = if keys.is_empty() { String::new() } else { format!(" of {}", keys.join(", ")) };
            format!(
                "'{}'{of} (mean difference {}{undecided})",
                self.condition,
                Digits::Significant(3).show(one.diff)
            )
        })
    }
}
