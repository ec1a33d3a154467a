//! What a claim is judged by.

use std::collections::BTreeMap;

use super::judge::Figure;
use crate::error::Result;
use crate::report::{Cell, Table};
use crate::stats;

/// What was measured of a claim.
pub(super) struct Evidence {
    /// The figure that decides.
    pub(super) figure: Figure,
    /// What it was computed from.
    pub(super) rows: Table,
    /// The command that measures it again; none where no command does.
    pub(super) command: Option<String>,
    /// What a reader must know.
    pub(super) note: Option<String>,
}

/// The rows of a result, by the names of their columns.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a>(pub(super) &'a Table);

/// A row of them.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    table: &'a Table,
    cells: &'a [Cell],
}

impl<'a> Rows<'a> {
    /// Every row.
    pub(super) fn each(self) -> impl Iterator<Item = Row<'a>> {
        self.0.rows.iter().map(move |cells| Row { table: self.0, cells })
    }

    /// Those of its columns that identify a row.
    pub(super) fn keys(self) -> &'static [&'static str] {
        const ALL: [&[&str]; 3] = [
            &["mechanism", "l", "input", "layer", "head", "window", "n"],
            &["input", "layer", "head", "window", "n"],
            &["mechanism", "l", "window", "n"],
        ];
        let has = |key: &&str| self.0.columns.iter().any(|column| column.name == *key);
        ALL.into_iter().find(|keys| keys.iter().all(has)).unwrap_or_default()
    }

    /// The mean of a value over the heads of each window, in the order of windows; rows without it do not count.
    pub(super) fn by_window(self, value: impl Fn(Row<'a>) -> Result<Option<f64>>) -> Result<Vec<f64>> {
        let mut windows: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for row in self.each() {
            if let Some(value) = value(row)? {
                windows.entry(row.number("window")?.unwrap_or(0.0) as i64).or_default().push(value);
            }
        }
        Ok(windows.values().map(|values| stats::mean(values)).collect())
    }

    /// The same of a column, over the rows in which `key` has this text or number.
    pub(super) fn of_windows(self, column: &str, key: &str, value: impl Into<Cell>) -> Result<Vec<f64>> {
        let value = value.into();
        self.by_window(|row| if row.is(key, value.clone())? { row.number(column) } else { Ok(None) })
    }
}

/// What each value has more than its pair in another list.
pub(super) fn less(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x - y).collect()
}

impl Row<'_> {
    /// The number in a column; none where the cell is empty.
    pub(super) fn number(self, column: &str) -> Result<Option<f64>> {
        Ok(self.cells[self.table.index(column)?].number())
    }

    /// Whether a column has this text or number.
    pub(super) fn is(self, column: &str, value: impl Into<Cell>) -> Result<bool> {
        Ok(self.cells[self.table.index(column)?] == value.into())
    }
}
