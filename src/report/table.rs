//! A table: columns that say what they are, and rows of cells.

use super::{Cell, Digits};
use crate::{Result, name};

/// One column: its name in every format, and what a reader needs to understand it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name, in every format.
    pub name: String,
    /// The unit ("tokens", "ms"); empty for a pure number.
    pub unit: String,
    /// One line about it.
    pub about: String,
    /// How a table for people shows it.
    pub digits: Digits,
}

impl Column {
    /// A column.
    pub fn new(
        name: impl Into<String>,
        unit: impl Into<String>,
        about: impl Into<String>,
        digits: Digits,
    ) -> Self {
        Self { name: name.into(), unit: unit.into(), about: about.into(), digits }
    }
}

/// Columns and rows, with a title above and notes below.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What the table shows, in a few words.
    pub title: String,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The rows, each with one cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// Notes for the reader.
    pub notes: Vec<String>,
}

impl Table {
    /// A table without rows.
    ///
    /// # Panics
    /// If two columns share a name, or one is named `status`, which JSON uses for values that are not finite: a bug of the study.
    pub fn new(title: impl Into<String>, columns: Vec<Column>) -> Self {
        for (index, column) in columns.iter().enumerate() {
            let name = &column.name;
            assert!(name != "status", "the column name 'status' is reserved for JSON");
            assert!(
                columns[..index].iter().all(|other| other.name != *name),
                "two columns are named '{name}'"
            );
        }
        Self { title: title.into(), columns, ..Self::default() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If the row has not one cell a column: a bug of the study.
    pub fn push(&mut self, row: Vec<Cell>) {
        let (cells, columns) = (row.len(), self.columns.len());
        assert!(cells == columns, "a row of {cells} cells in table '{}' of {columns} columns", self.title);
        self.rows.push(row);
    }

    /// The index of the column of this name.
    pub fn index(&self, name: &str) -> Result<usize> {
        let column = self.column(name)?;
        Ok(self.columns.iter().take_while(|other| other.name != column.name).count())
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Result<&Column> {
        name::find("column", name, &self.columns, |column| &column.name)
    }

    /// The cells under the column of this name, from the first row to the last.
    pub fn cells(&self, name: &str) -> Result<impl Iterator<Item = &Cell>> {
        let index = self.index(name)?;
        Ok(self.rows.iter().map(move |row| &row[index]))
    }

    /// The same rows with only these columns, in this order.
    pub fn select(&self, names: &[impl AsRef<str>]) -> Result<Self> {
        let indices = names.iter().map(|name| self.index(name.as_ref())).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            title: self.title.clone(),
            columns: indices.iter().map(|&index| self.columns[index].clone()).collect(),
            rows: self
                .rows
                .iter()
                .map(|row| indices.iter().map(|&index| row[index].clone()).collect())
                .collect(),
            notes: self.notes.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn selection_keeps_the_asked_order() {
        let table = sample::report().rows.select(&["effective_rank", "head"]).unwrap();
        assert_eq!(table.columns[0].name, "effective_rank");
        assert_eq!(table.rows[0], vec![Cell::Float(34.567), Cell::Text("0.0".into())]);
    }

    #[test]
    fn an_unknown_column_is_answered_with_the_known_ones() {
        let error = sample::report().rows.select(&["efective_rank"]).unwrap_err().to_string();
        assert!(error.starts_with("unknown column 'efective_rank'"), "{error}");
        assert!(error.contains("known: head, rank90_energy, effective_rank, lower_than_null"), "{error}");
    }

    #[test]
    #[should_panic(expected = "a row of 1 cells in table 'spectra' of 4 columns")]
    fn a_short_row_is_a_bug() {
        sample::report().rows.push(vec![1.into()]);
    }
}
