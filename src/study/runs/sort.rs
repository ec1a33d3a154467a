//! The order of rows: `effective_rank:desc`.

use std::cmp::Ordering;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::report::Cell;

/// A column to sort rows by, the smallest value first or the largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column, by its full or short name.
    pub column: String,
    descending: bool,
}

impl Sort {
    /// Sorts rows by the cell at a place; equal ones keep their order, and missing ones stand last.
    pub(super) fn apply(&self, rows: &mut [Vec<Cell>], at: usize) {
        rows.sort_by(|a, b| {
            let order = rank(&a[at]).cmp(&rank(&b[at]));
            order
                .then_with(|| if self.descending { compare(&b[at], &a[at]) } else { compare(&a[at], &b[at]) })
        });
    }
}

/// The rank of what is missing or no number.
const MISSING: u8 = 2;

/// Numbers, then words, then what is missing or no number.
fn rank(cell: &Cell) -> u8 {
    match (cell, cell.number()) {
        (_, Some(number)) if !number.is_nan() => 0,
        (Cell::Text(_) | Cell::Bool(_), _) => 1,
        _ => MISSING,
    }
}

/// The order of two cells of one rank.
fn compare(a: &Cell, b: &Cell) -> Ordering {
    match (a.number(), b.number()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ if rank(a) == MISSING => Ordering::Equal,
        _ => a.exact().cmp(&b.exact()),
    }
}

impl FromStr for Sort {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (column, order) = text.split_once(':').unwrap_or((text, "asc"));
        let descending = match order {
            "desc" => true,
            "asc" => false,
            _ => return Err(Error::value("order", order, "asc (the smallest first) or desc")),
        };
        if column.is_empty() {
            return Err(Error::value("--sort", text, "COLUMN, COLUMN:asc or COLUMN:desc"));
        }
        Ok(Self { column: column.into(), descending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_before_words_and_missing_ones_stand_last_in_both_orders() {
        let cells = || -> Vec<Vec<Cell>> {
            [
                Cell::Missing,
                3.into(),
                "b".into(),
                Cell::Float(f64::NAN),
                10.into(),
                Cell::Float(-1.5),
                "a".into(),
            ]
            .map(|cell| vec![cell])
            .into()
        };
        let sorted = |text: &str| {
            let mut rows = cells();
            text.parse::<Sort>().unwrap().apply(&mut rows, 0);
            rows.iter().map(|row| row[0].exact()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(sorted("x"), "-1.5 3 10 a b  NaN");
        assert_eq!(sorted("x:desc"), "10 3 -1.5 b a  NaN");
        for text in ["", ":desc", "x:up"] {
            assert!(text.parse::<Sort>().unwrap_err().to_string().contains("accepted"), "{text}");
        }
    }
}
