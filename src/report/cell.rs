//! One value of a table, and how many of its digits are shown.

use std::fmt;

/// One value. Formats for machines write it in full precision; tables for people round it by [`Digits`].
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// Not measured, or not defined here.
    #[default]
    Missing,
    /// A count.
    Int(i64),
    /// A measurement; one that is not finite is shown, never hidden.
    Float(f64),
    /// A word or a label.
    Text(String),
    /// A verdict.
    Bool(bool),
}

impl Cell {
    /// The numeric value, if there is one.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::Int(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The text for a person: rounded by `digits`, `-` for a missing value.
    pub fn show(&self, digits: Digits) -> String {
        match self {
            Self::Missing => "-".into(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => digits.show(*value),
            Self::Text(text) => text.clone(),
            Self::Bool(value) => if *value { "yes" } else { "no" }.into(),
        }
    }

    /// The text for a machine: full precision (the shortest that reads back as the same number), empty
    /// for a missing value.
    pub fn exact(&self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => format!("{value:?}"),
            Self::Text(text) => text.clone(),
            Self::Bool(value) => value.to_string(),
        }
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

/// How a table for people shows the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// So many digits after the decimal point.
    Fixed(usize),
    /// So many significant digits; powers of ten where zeros would fill the column.
    Significant(usize),
    /// Rounded to a whole number.
    Integer,
    /// Words: aligned to the left.
    Text,
}

impl fmt::Display for Digits {
    /// As a result holds it, so that it can be shown again as it was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(digits) => write!(f, "fixed {digits}"),
            Self::Significant(digits) => write!(f, "significant {digits}"),
            Self::Integer => f.write_str("integer"),
            Self::Text => f.write_str("text"),
        }
    }
}

impl Digits {
    /// Reads what [`Display`](fmt::Display) writes; none of anything else, or of more digits than an f64 has.
    pub(super) fn read(text: &str) -> Option<Self> {
        let count = |rest: &str| rest.parse().ok().filter(|digits| *digits <= 17);
        match text {
            "integer" => Some(Self::Integer),
            "text" => Some(Self::Text),
            _ => match text.split_once(' ')? {
                ("fixed", rest) => count(rest).map(Self::Fixed),
                ("significant", rest) => count(rest).map(Self::Significant),
                _ => None,
            },
        }
    }

    /// Rounds a number for a person.
    pub fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return value.to_string();
        }
        let text = match self {
            Self::Fixed(digits) => format!("{value:.digits$}"),
            Self::Significant(digits) => significant(value, digits),
            Self::Integer => format!("{value:.0}"),
            Self::Text => value.to_string(),
        };
        // A small negative number rounds to "-0.00", which reads as if the sign meant something.
        match text.strip_prefix('-') {
            Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest.into(),
            _ => text,
        }
    }
}

fn significant(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    if value == 0.0 {
        return "0".into();
    }
    // The exponent after rounding: 9.996 with three digits is 10.0, not 9.996.
    let power = format!("{value:.*e}", digits - 1);
    let exponent = power.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    if (-4..7).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        format!("{value:.decimals$}")
    } else {
        power
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significant_digits_follow_the_rounded_exponent() {
        let show = |value| Digits::Significant(3).show(value);
        assert_eq!(show(9.996), "10.0");
        assert_eq!(show(0.001_234_5), "0.00123");
        assert_eq!(show(123_456.0), "123456");
        assert_eq!(show(1.234e9), "1.23e9");
        assert_eq!(show(-1.234e-7), "-1.23e-7");
        assert_eq!(show(0.0), "0");
    }

    #[test]
    fn digits_are_read_as_they_are_written() {
        for digits in [Digits::Fixed(3), Digits::Significant(4), Digits::Integer, Digits::Text] {
            assert_eq!(Digits::read(&digits.to_string()), Some(digits));
        }
        for text in ["", "fixed", "fixed -1", "fixed 18", "significant 4000000000", "bold 3"] {
            assert_eq!(Digits::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_rounded_zero_has_no_sign_and_what_is_not_finite_stays_visible() {
        assert_eq!(Digits::Fixed(2).show(-0.001), "0.00");
        assert_eq!(Digits::Fixed(2).show(f64::NAN), "NaN");
        assert_eq!(Cell::Missing.show(Digits::Integer), "-");
    }

    #[test]
    fn exact_text_reads_back_as_the_same_number() {
        for value in [0.1 + 0.2, 1e-300, f64::MAX, 1.0 / 3.0] {
            assert_eq!(Cell::Float(value).exact().parse::<f64>().unwrap(), value);
        }
    }
}
