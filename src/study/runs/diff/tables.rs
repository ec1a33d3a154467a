//! The tables of a comparison.

use super::difference::Difference;
use super::judged::Judged;
use crate::report::{Cell, Column, Digits, Table};
use crate::study::Columns;
use crate::study::runs::shape::Shape;

/// What the tables are of.
pub(super) struct Tables<'a> {
    pub(super) shape: &'a Shape,
    /// The rows of the first run, and what their columns are called.
    pub(super) rows: &'a Table,
    pub(super) columns: &'a Columns,
    /// Whether several runs are compared with it.
    pub(super) several: bool,
}

fn words(name: &str, about: &str) -> Column {
    Column::new(name, "", about, Digits::Text)
}

fn number(name: &str, about: &str, digits: usize) -> Column {
    Column::new(name, "", about, Digits::Significant(digits))
}

/// The difference and the ends of its interval.
fn ends(one: &Difference) -> [Cell; 3] {
    [one.diff.into(), one.ends.map(|ends| ends.low).into(), one.ends.map(|ends| ends.high).into()]
}

impl Tables<'_> {
    fn keys(&self) -> Vec<Column> {
        let run = self.several.then(|| words("run", "the run that is compared with the first"));
        run.into_iter().chain(self.shape.groups.iter().map(|at| self.rows.columns[*at].clone())).collect()
    }

    /// A measured column as people read it: by its short name, with its unit.
    fn label(&self, full: &str) -> Cell {
        let unit = self.rows.column(full).map_or("", |column| &column.unit);
        let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
        format!("{}{unit}", self.columns.short_name(full)).into()
    }

    /// One row a column and group: means, their difference and its interval; `complete` with full names and counts.
    pub(super) fn differences(&self, title: &str, all: &[&Difference], complete: bool) -> Table {
        let over = self.shape.units(self.rows).unwrap_or_else(|| "windows or seeds".into());
        let mut columns = self.keys();
        columns.push(words("column", "what was measured"));
        columns.extend(self.shape.counts(self.rows).into_iter().filter(|_| complete));
        columns.extend([
            number("first", "mean of the first run, over matched rows", 4),
            number("other", "mean of the other run", 4),
            number("diff", "mean of the other run less the first", 3),
            number("low", &format!("lower end of its paired 95 % interval over {over} (Student)"), 3),
            number("high", "upper end of it", 3),
            words("verdict", "equal: in every row; undecided: the interval holds 0, or there is none"),
        ]);
        let mut table = Table::new(title, columns);
        for one in all {
            let mut row = one.keys.clone();
            if complete {
                row.extend([one.column.as_str().into(), one.rows.into()]);
                row.extend(self.shape.unit.map(|_| Cell::from(one.units)));
            } else {
                row.push(self.label(&one.column));
            }
            row.extend([one.first, one.other].map(Cell::from));
            row.extend(ends(one));
            row.push(one.verdict().into());
            table.push(row);
        }
        table
    }

    /// Where each difference is largest.
    pub(super) fn largest(&self, all: &[&Difference]) -> Table {
        let mut columns = self.keys();
        columns.extend([
            words("column", "what was measured"),
            words("at", "the row with the largest absolute difference"),
            number("first", "its value in the first run", 4),
            number("other", "its value in the other run", 4),
            number("diff", "the difference", 3),
        ]);
        let mut table = Table::new("Largest difference of a row", columns);
        for one in all {
            let (at, first, other) = &one.largest;
            let mut row = one.keys.clone();
            row.extend([self.label(&one.column), Some(at.as_str()).filter(|_| first != other).into()]);
            row.extend([*first, *other, other - first].map(Cell::from));
            table.push(row);
        }
        table
    }

    /// One row a condition and group; none without conditions.
    pub(super) fn conditions(&self, all: &[Judged<'_>]) -> Option<Table> {
        let mut columns = vec![words("fail_if", "the condition on the mean difference")];
        columns.extend(self.keys());
        columns.extend([
            number("diff", "the mean difference, by which it is judged", 3),
            number("low", "lower end of its interval", 3),
            number("high", "upper end of it", 3),
            words(
                "holds",
                "whether it holds of the mean difference; undecided: not so of its whole interval",
            ),
        ]);
        let mut table = Table::new("Conditions", columns);
        for one in all {
            for of in &one.of {
                let mut row = vec![one.condition.to_string().into()];
                row.extend(of.keys.iter().cloned().chain(ends(of)));
                let holds = if one.holds(of) { "yes" } else { "no" };
                row.push(format!("{holds}{}", one.undecided(of)).into());
                table.push(row);
            }
        }
        if all.iter().any(|one| one.of.iter().any(|of| !one.undecided(of).is_empty())) {
            let note = "undecided: the interval of the difference holds the bound, or there is none; the condition is judged by the \
                        mean difference";
            table.notes.push(note.into());
        }
        (!table.rows.is_empty()).then_some(table)
    }
}
