//! Columns that studies have in common, and what `--columns` can name.

use crate::error::Result;
use crate::name::List;
use crate::report::{Cell, Column, Digits, Table};
use crate::stats::Interval;

/// The columns of a result, to choose from.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// All of them, where the configuration decides them.
    pub known: Option<Vec<Column>>,
    /// Those that say which measurement a row is; they are shown with any others where rows differ in them.
    pub keys: &'static [&'static str],
    /// Shorter names in tables that people read, and the columns that they stand for.
    pub short: &'static [(&'static str, &'static str)],
}

impl From<Option<Vec<Column>>> for Columns {
    fn from(known: Option<Vec<Column>>) -> Self {
        Self { known, ..Self::default() }
    }
}

impl Columns {
    /// Refuses a name that no column will have.
    pub fn check(&self, asked: &List<String>) -> Result<()> {
        let Some(known) = self.known.clone().filter(|_| !is_all(asked)) else { return Ok(()) };
        let table = Table::new("", known);
        table.select(&self.full(asked, &table)).map(|_| ())
    }

    /// The rows with these columns, behind the keys in which rows differ.
    pub fn select(&self, rows: &Table, asked: &List<String>) -> Result<Table> {
        if is_all(asked) {
            return Ok(rows.clone());
        }
        let asked = self.full(asked, rows);
        let keys = self.keys.iter().filter(|key| varies(rows, key)).map(ToString::to_string);
        let mut names: Vec<String> = keys.filter(|key| !asked.contains(key)).collect();
        names.extend(asked);
        rows.select(&names)
    }

    /// The full names of columns.
    fn full(&self, asked: &List<String>, table: &Table) -> Vec<String> {
        asked.iter().map(|name| self.full_name(name, table).to_string()).collect()
    }

    /// The full name of a column of a table; the name itself if the table has it, or if it is none of the short ones.
    pub(super) fn full_name<'a>(&self, name: &'a str, table: &Table) -> &'a str
    where
        'static: 'a,
    {
        match self.short.iter().find(|(short, _)| *short == name) {
            Some((_, full)) if table.columns.iter().all(|column| column.name != name) => full,
            _ => name,
        }
    }

    /// What a column of rows is called in tables that people read.
    pub(super) fn short_name<'a>(&self, full: &'a str) -> &'a str
    where
        'static: 'a,
    {
        self.short.iter().find(|(_, of)| *of == full).map_or(full, |(short, _)| short)
    }
}

/// A column: name, unit, meaning and digits.
pub(super) type Described<'a> = (&'a str, &'a str, &'a str, Digits);

/// The columns of such a list, in its order.
pub(super) fn described(columns: &[Described<'_>]) -> Vec<Column> {
    columns.iter().map(|(name, unit, about, digits)| Column::new(*name, *unit, *about, *digits)).collect()
}

/// A column, and the ends of the 95 % intervals of its values.
pub(super) fn with_ends(column: Column) -> [Column; 3] {
    let end = |name: &str, about: String| {
        Column::new(format!("{}_{name}", column.name), column.unit.clone(), about, column.digits)
    };
    let low = end("low", format!("lower end of Student's 95 % interval of {}", column.name));
    let high = end("high", format!("upper end of the interval of {}", column.name));
    [column, low, high]
}

/// The cells under [`with_ends`].
pub(super) fn ends_cells(value: Option<f64>, interval: Option<Interval>) -> [Cell; 3] {
    [value.into(), interval.map(|ends| ends.low).into(), interval.map(|ends| ends.high).into()]
}

/// Whether rows differ in a column; not in one that is not there.
pub(super) fn varies(rows: &Table, name: &str) -> bool {
    let Some(at) = rows.columns.iter().position(|column| column.name == name) else { return false };
    rows.rows.iter().any(|row| row[at] != rows.rows[0][at])
}

pub(super) fn is_all(asked: &List<String>) -> bool {
    asked.iter().eq(["all"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_which_rows_differ_are_shown_and_short_names_are_known() {
        let columns =
            ["layer", "window", "n", "effective_rank"].map(|name| Column::new(name, "", "", Digits::Integer));
        let mut rows = Table::new("", columns.into());
        rows.push(vec![0.into(), 0.into(), 64.into(), 5.into()]);
        rows.push(vec![0.into(), 1.into(), 64.into(), 6.into()]);
        let columns = Columns {
            known: Some(rows.columns.clone()),
            keys: &["layer", "window", "n"],
            short: &[("erank", "effective_rank")],
        };
        let of = |asked: &str| {
            let table = columns.select(&rows, &asked.parse().unwrap()).unwrap();
            table.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("erank"), "window effective_rank");
        assert_eq!(of("effective_rank,window"), "effective_rank window");
        assert_eq!(of("n,erank"), "window n effective_rank");
        assert_eq!(of("all"), "layer window n effective_rank");
        columns.check(&"erank,n".parse().unwrap()).unwrap();
        let error = columns.check(&"eranks".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("unknown column 'eranks'"), "{error}");
    }
}
