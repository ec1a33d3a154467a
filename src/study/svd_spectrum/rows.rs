//! The full result: one row a head and window.

use super::Config;
use super::columns::{self, Figure};
use super::measured::{Measured, differences};
use super::null::{NullSpec, names};
use super::verdict;
use crate::report::{Column, Table};
use crate::study::input::{HeadWindow, Source};

/// The columns of [`table`].
pub(super) fn columns(figures: &[Figure], nulls: &[NullSpec]) -> Vec<Column> {
    let mut all = HeadWindow::columns();
    all.extend(columns::measured(figures, nulls));
    all.extend(verdict::columns(&names(nulls)));
    all
}

/// All rows.
pub(super) fn table(
    config: &Config,
    source: &dyn Source,
    figures: &[Figure],
    nulls: &[NullSpec],
    measured: &[Measured],
) -> Table {
    let title = format!("Singular values of {}: {}", config.of.name(), source.name());
    let mut table = Table::new(title, columns(figures, nulls));
    for one in measured {
        let mut row = one.at.all_cells();
        for values in std::iter::once(&one.values).chain(one.nulls.iter().map(|null| &null.values)) {
            let both = figures.iter().chain(figures.iter().filter(|figure| !figure.is_of_rows()));
            row.extend(values.cells(figures).zip(both).map(|(value, figure)| columns::cell(value, figure)));
        }
        let differences = differences(&[one], figures, nulls.len());
        row.extend(verdict::cells(&differences, &names(nulls), |null| {
            one.nulls[null].values.plain[Figure::effective_rank(figures)]
        }));
        table.push(row);
    }
    table
}
