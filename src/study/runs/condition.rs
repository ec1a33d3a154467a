//! A condition on the value of a column: `effective_rank < 60`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::report::{Cell, Digits};

const ACCEPTED: &str = "COLUMN or |COLUMN|, one of < <= > >= = !=, and a value: \"effective_rank < 60\"";

/// `COLUMN OPERATOR VALUE`; `|COLUMN|` is the absolute value.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The column, by its full or short name.
    pub column: String,
    absolute: bool,
    operator: Operator,
    value: String,
    number: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
}

/// The operators by how they are written, those that begin with another one before it.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("!=", Operator::Unequal),
    ("<", Operator::Less),
    (">", Operator::More),
    ("=", Operator::Equal),
];

impl Condition {
    /// Whether it holds for a cell; an order holds for numbers only.
    pub fn holds(&self, cell: &Cell) -> bool {
        match (cell.number(), self.number) {
            (Some(found), Some(_)) => self.holds_for(found),
            _ if self.is_order() => false,
            _ => (cell.show(Digits::Text) == self.value) == (self.operator == Operator::Equal),
        }
    }

    /// Whether it holds for a number.
    pub fn holds_for(&self, found: f64) -> bool {
        let found = if self.absolute { found.abs() } else { found };
        let bound = self.number.unwrap_or(f64::NAN);
        match self.operator {
            Operator::Less => found < bound,
            Operator::AtMost => found <= bound,
            Operator::More => found > bound,
            Operator::AtLeast => found >= bound,
            Operator::Equal => found == bound,
            Operator::Unequal => found != bound,
        }
    }

    /// Whether it asks for less or for more than a number.
    pub fn is_order(&self) -> bool {
        !matches!(self.operator, Operator::Equal | Operator::Unequal)
    }
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::value("condition", text, ACCEPTED);
        let at = text.find(['<', '>', '=', '!']).ok_or_else(wrong)?;
        let (left, rest) = (text[..at].trim(), &text[at..]);
        let (sign, operator) = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(wrong)?;
        let bare = left.strip_prefix('|').and_then(|left| left.strip_suffix('|'));
        let (column, absolute) = (bare.unwrap_or(left).trim(), bare.is_some());
        let value = rest[sign.len()..].trim();
        let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
        let condition =
            Self { column: column.into(), absolute, operator: *operator, value: value.into(), number };
        let needs_number = absolute || condition.is_order();
        let is_sign = value.starts_with(['<', '>', '=', '!']);
        if column.is_empty() || value.is_empty() || is_sign || (needs_number && number.is_none()) {
            return Err(wrong());
        }
        Ok(condition)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign =
            OPERATORS.iter().find(|(_, operator)| *operator == self.operator).map_or("", |(sign, _)| sign);
        let bar = if self.absolute { "|" } else { "" };
        write!(f, "{bar}{}{bar} {sign} {}", self.column, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_written() {
        let read = |text: &str| text.parse::<Condition>().unwrap();
        assert_eq!(read("a_b<-0.01").to_string(), "a_b < -0.01");
        assert_eq!(read(" |x| >= 1e-3 ").to_string(), "|x| >= 1e-3");
        assert!(read("x <= 2").holds(&2.into()) && !read("x < 2").holds(&2.into()));
        assert!(read("|x| > 1").holds(&Cell::Float(-2.0)) && !read("x > 1").holds(&Cell::Float(-2.0)));
        assert!(read("x = 16").holds(&16.into()) && read("x != 16").holds(&Cell::Missing));
        assert!(read("name = luna:p=random").holds(&"luna:p=random".into()));
        assert!(read("name != luna").holds(&"linear".into()) && !read("name != luna").holds(&"luna".into()));
        assert!(!read("x < 3").holds(&Cell::Missing) && !read("x < 3").holds(&"2".into()));
        assert!(!read("x < 3").holds(&Cell::Float(f64::NAN)));
        assert!(read("sure = yes").holds(&true.into()));
    }

    #[test]
    fn what_is_no_condition_is_refused_in_one_line() {
        for text in ["", "x", "x <", "< 3", "x < y", "x > nan", "|x| = yes", "x ! 3", "x =< 3"] {
            let error = text.parse::<Condition>().map(|found| found.to_string()).unwrap_err().to_string();
            assert!(error.contains("accepted: COLUMN") && !error.contains('\n'), "{text}: {error}");
        }
    }
}
