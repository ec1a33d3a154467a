//! Which runs are compared, and the report on them.

use std::path::PathBuf;

use clap::Args;

use super::difference::Difference;
use super::judged::Judged;
use super::notes::notes;
use super::pairing::Pairing;
use super::tables::Tables;
use crate::error::{Error, Result};
use crate::name::{self, List};
use crate::report::{Cell, Report, Table};
use crate::study::columns::is_all;
use crate::study::runs::shape::{Shape, shown};
use crate::study::runs::{Condition, Run, Sort, changes};

/// Which runs are compared, and how.
#[derive(Args, Clone, Debug, Default)]
pub struct DiffConfig {
    /// Folders of finished runs (of their --out), files in the format json or pages of luna report; the others are compared
    /// with the first
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Compare for each layer, each head, or each value of another column that tells rows apart
    #[arg(long, value_name = "layer|head|...")]
    pub by: Option<String>,
    /// Measured columns to compare [default: those of the main table of the runs; all: every one]
    #[arg(long, value_name = "NAME,...")]
    pub columns: Option<List<String>>,
    /// Print differences in the order of a column of the table, such as diff (COLUMN:desc: the largest first)
    #[arg(long, value_name = "COLUMN[:desc]")]
    pub sort: Option<Sort>,
    /// End with exit code 3 if this holds of a mean difference, such as `cum_l1_at_128 < -0.01` or `|effective_rank| > 1`
    /// (repeated: if any holds)
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<Condition>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Diff {
    /// What differs, the differences and where they are largest. Rows hold every column, or those that were asked for.
    pub report: Report,
    /// The conditions of `--fail-if` that hold, each with its difference.
    pub failed: Vec<String>,
}

impl DiffConfig {
    /// Opens the runs and compares them.
    pub fn run(&self) -> Result<Diff> {
        let runs = self.runs.iter().map(|path| Run::open_all(path)).collect::<Result<Vec<_>>>()?;
        self.compare(&runs.concat())
    }

    /// Compares runs with the first of them.
    pub fn compare(&self, runs: &[Run]) -> Result<Diff> {
        let Some((first, others)) = runs.split_first().filter(|(_, others)| !others.is_empty()) else {
            return Err(Error::Refused("diff: a comparison needs two runs or more".into()));
        };
        let shape = Shape::of(&first.report.rows, &first.columns, self.by.as_deref())?;
        let pairings =
            others.iter().map(|other| Pairing::new(first, other, &shape)).collect::<Result<Vec<_>>>()?;
        let columns = self.columns(first, &shape)?;
        let of_run = |pairing: &Pairing<'_>| {
            let run = (others.len() > 1).then(|| Cell::from(pairing.other.name()));
            pairing.differences(&shape, run)
        };
        let all: Vec<Difference> = pairings.iter().flat_map(of_run).collect();
        let judged =
            self.fail_if.iter().map(|one| Judged::new(one, &column(&one.column, first, &shape)?, &all));
        let judged = judged.collect::<Result<Vec<_>>>()?;
        let of_columns: Vec<&Difference> = all.iter().filter(|one| columns.contains(&one.column)).collect();
        if of_columns.is_empty() {
            let what = format!("diff: no matched rows have numbers in {}", columns.join(", "));
            return Err(Error::Refused(what));
        }
        let title = match others {
            [other] => format!("{} less {}", other.name(), first.name()),
            _ => format!("Other runs less {}", first.name()),
        };
        let tables = Tables {
            shape: &shape,
            rows: &first.report.rows,
            columns: &first.columns,
            several: others.len() > 1,
        };
        let complete = if self.columns.is_some() { of_columns.clone() } else { all.iter().collect() };
        let mut report =
            Report { rows: self.sorted(tables.differences(&title, &complete, true))?, ..Report::default() };
        report.views.extend(changes::table(runs).map(|table| ("changed".into(), table)));
        report
            .views
            .push(("differences".into(), self.sorted(tables.differences(&title, &of_columns, false))?));
        report.views.push(("largest".into(), tables.largest(&of_columns)));
        report.views.extend(tables.conditions(&judged).map(|table| ("conditions".into(), table)));
        report.notes = notes(&pairings, &shape, &of_columns, runs);
        report.stamp.push("study", "diff");
        report.stamp.push("runs", runs.iter().map(Run::name).collect::<Vec<_>>());
        let failed = judged.iter().flat_map(Judged::failed).collect();
        Ok(Diff { report, failed })
    }

    /// The columns that people are shown.
    fn columns(&self, first: &Run, shape: &Shape) -> Result<Vec<String>> {
        let Report { rows, views, .. } = &first.report;
        match &self.columns {
            None => Ok(shown(rows, views, &first.columns, shape)),
            Some(asked) if is_all(asked) => Ok(measured(first, shape)),
            Some(asked) => asked.iter().map(|name| column(name, first, shape)).collect(),
        }
    }

    fn sorted(&self, mut table: Table) -> Result<Table> {
        if let Some(sort) = &self.sort {
            let at = table.index(&sort.column)?;
            sort.apply(&mut table.rows, at);
        }
        Ok(table)
    }
}

/// The names of all measured columns.
fn measured(run: &Run, shape: &Shape) -> Vec<String> {
    shape.measured.iter().map(|at| run.report.rows.columns[*at].name.clone()).collect()
}

/// The full name of a measured column.
fn column(asked: &str, run: &Run, shape: &Shape) -> Result<String> {
    let full = run.columns.full_name(asked, &run.report.rows);
    name::find("measured column", full, &measured(run, shape), |name| name).cloned()
}
