//! Which rows and columns of a result are shown, and in which order.

use clap::Args;

use super::condition::Condition;
use super::shape::{Shape, is_count, shown};
use super::sort::Sort;
use crate::error::Result;
use crate::name::List;
use crate::report::{Report, Table};
use crate::study::Columns;
use crate::study::columns::is_all;

/// What is shown of a result.
#[derive(Args, Clone, Debug, Default)]
pub struct View {
    /// Columns of the result to print instead of the tables, such as `layer,head,stable_rank`, beside those that tell
    /// rows apart (all: every one)
    #[arg(long, value_name = "NAME,...")]
    pub columns: Option<List<String>>,
    /// Print means for each layer, each head, or each value of another column that tells rows apart
    #[arg(long, value_name = "layer|head|...")]
    pub by: Option<String>,
    /// Print rows in the order of a column, the smallest first (COLUMN:desc: the largest)
    #[arg(long, value_name = "COLUMN[:desc]")]
    pub sort: Option<Sort>,
    /// Print the rows of which this holds only, such as `output_rel_fro < 0.3` (repeated: of which all hold)
    #[arg(long = "where", value_name = "CONDITION")]
    pub conditions: Vec<Condition>,
}

impl View {
    /// Refuses names that a result with these columns will not have: after the work they would lose its result.
    pub fn check(&self, columns: &Columns) -> Result<()> {
        if let Some(asked) = &self.columns {
            columns.check(asked)?;
        }
        let Some(known) = columns.known.clone() else { return Ok(()) };
        let table = Table::new("", known);
        Shape::of(&table, columns, self.by.as_deref())?;
        for name in self.named() {
            // Means have columns of their own beside these: counts, and the ends of their intervals.
            let of = name.trim_end_matches("_low").trim_end_matches("_high");
            let is_of_means = self.by.is_some() && (is_count(name) || table.index(of).is_ok());
            if !is_of_means {
                table.index(columns.full_name(name, &table))?;
            }
        }
        Ok(())
    }

    /// Chooses what is shown of a report: of the rows, and of those tables that have the columns which are named.
    pub fn apply(&self, report: &mut Report, columns: &Columns) -> Result<()> {
        if self.by.is_none() && self.named().next().is_none() {
            if let Some(asked) = &self.columns {
                report.rows = columns.select(&report.rows, asked)?;
                report.views.clear();
            }
            return Ok(());
        }
        let shape = Shape::of(&report.rows, columns, self.by.as_deref())?;
        let main = shown(&report.rows, &report.views, columns, &shape);
        if let Some(by) = &self.by {
            report.rows = shape.averaged(&report.rows);
            report.rows.title.extend([", means by ", by]);
            report.views.clear();
        }
        let rows = &mut report.rows;
        let full = |table: &Table, name: &str| columns.full_name(name, table).to_string();
        let short = |view: &Table, name: &str| match view.index(name) {
            Ok(_) => name.to_string(),
            Err(_) => columns.short_name(name).to_string(),
        };
        // A short name may stand for another unit, in which a bound would be another one; tables leave some units out.
        let unit = |table: &Table, name: &str| table.column(name).ok().map(|column| column.unit.clone());
        let is_same = |view: &Table, name: &str| {
            let unit_there = unit(view, &short(view, name));
            unit_there.is_some_and(|there| there.is_empty() || Some(there) == unit(rows, &full(rows, name)))
        };
        report.views.retain(|(_, view)| self.named().all(|name| is_same(view, name)));
        for (_, view) in &mut report.views {
            self.choose(view, short)?;
        }
        self.choose(rows, full)?;
        if let Some(asked) = &self.columns {
            report.views.clear();
            if !is_all(asked) {
                // Means have the ends of their intervals beside them.
                let ends = |name: &String| ["_low", "_high"].map(|end| full(rows, name) + end);
                let there = |name: &String| rows.index(name).is_ok();
                let names = asked.iter().flat_map(|name| {
                    let ends = ends(name).into_iter().filter(|end| self.by.is_some() && there(end));
                    std::iter::once(full(rows, name)).chain(ends).collect::<Vec<_>>()
                });
                report.rows = self.with_keys(rows, columns, &shape, names)?;
            }
        } else if report.views.is_empty() {
            let names = main.into_iter().chain(self.named().map(|name| full(rows, name)));
            let mut view = self.with_keys(rows, columns, &shape, names)?;
            for column in &mut view.columns {
                column.name = columns.short_name(&column.name).to_string();
            }
            report.views.push(("shown".into(), view));
        }
        Ok(())
    }

    /// These columns of rows or of their means, after those that identify a row.
    fn with_keys(
        &self,
        rows: &Table,
        columns: &Columns,
        shape: &Shape,
        names: impl Iterator<Item = String>,
    ) -> Result<Table> {
        let counts = 1 + usize::from(shape.unit.is_some());
        let keys = if self.by.is_some() { shape.groups.len() + counts } else { 0 };
        let keys = rows.columns[..keys].iter().map(|column| column.name.clone());
        match List::new(keys.chain(names)) {
            Some(names) if self.by.is_some() => rows.select(&names),
            Some(names) => columns.select(rows, &names),
            None => Ok(Table::default()),
        }
    }

    /// Leaves the rows of which the conditions hold, in the order that was asked for; `full` is the name in this table.
    fn choose(&self, table: &mut Table, full: impl Fn(&Table, &str) -> String) -> Result<()> {
        let all = table.rows.len();
        for condition in &self.conditions {
            let at = table.index(&full(table, &condition.column))?;
            table.rows.retain(|row| condition.holds(&row[at]));
        }
        if let Some(sort) = &self.sort {
            let at = table.index(&full(table, &sort.column))?;
            sort.apply(&mut table.rows, at);
        }
        if !self.conditions.is_empty() {
            let conditions: Vec<String> = self.conditions.iter().map(ToString::to_string).collect();
            table.notes.push(format!("{} of {all} rows: {}", table.rows.len(), conditions.join(", ")));
        }
        Ok(())
    }

    /// The columns that rows are chosen and sorted by.
    fn named(&self) -> impl Iterator<Item = &str> {
        let sort = self.sort.iter().map(|sort| sort.column.as_str());
        self.conditions.iter().map(|condition| condition.column.as_str()).chain(sort)
    }
}
