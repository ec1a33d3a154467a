//! One row a head: means over its windows.

use super::asked::Asked;
use super::columns::{self, Figure, Values};
use super::measured::{Heads, Measured, differences, mean_of};
use super::null::{NullSpec, names};
use super::verdict;
use crate::report::Digits::Integer;
use crate::report::{Column, Table};
use crate::stats;
use crate::study::columns::{ends_cells, with_ends};
use crate::study::input::HeadWindow;

/// The columns that name a head.
fn keys() -> Vec<Column> {
    HeadWindow::columns().into_iter().filter(|column| column.name != "window").collect()
}

/// The columns of [`table`].
pub(super) fn columns(figures: &[Figure], nulls: &[NullSpec]) -> Vec<Column> {
    let mut all = keys();
    all.push(Column::new("windows", "", "windows that the means are over", Integer));
    all.extend(columns::measured(figures, nulls, false).into_iter().flat_map(with_ends));
    all.extend(verdict::columns(&names(nulls)));
    all
}

/// Means over windows with Student's 95 % intervals (a bootstrap of a few windows is too narrow).
pub(super) fn table(asked: Asked<'_>, heads: &Heads<'_>) -> Table {
    let Asked { config, source, figures, nulls } = asked;
    let title = format!("Singular values of {}, means over windows: {}", config.of.name(), source.name());
    let mut table = Table::new(title, columns(figures, nulls));
    for head in &heads.0 {
        let Some(first) = head.first() else { continue };
        let mut row = first.at.cells(&keys());
        row.push(head.len().into());
        let cells = |values: &dyn Fn(&Measured) -> &Values| -> Vec<Vec<Option<f64>>> {
            head.iter().map(|one| values(one).cells(figures).collect()).collect()
        };
        let mut sides = vec![cells(&|one| &one.values)];
        sides.extend((0..nulls.len()).map(|null| cells(&|one| &one.nulls[null].values)));
        for windows in sides {
            for i in 0..windows.first().map_or(0, Vec::len) {
                let values: Option<Vec<f64>> = windows.iter().map(|window| window[i]).collect();
                let interval = values.as_ref().and_then(|values| stats::student_mean(values));
                row.extend(ends_cells(values.map(|values| stats::mean(&values)), interval));
            }
        }
        let differences = differences(head, figures, nulls.len());
        row.extend(verdict::cells(&differences, &names(nulls), |null| {
            mean_of(head, |one| one.nulls[null].values.plain[Figure::effective_rank(figures)])
        }));
        table.push(row);
    }
    table
}
