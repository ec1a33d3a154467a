//! The full result: one row a head and window.

use super::asked::Asked;
use super::columns::{self, Figure, Values};
use super::measured::{Measured, differences};
use super::null::{NullSpec, names};
use super::verdict;
use crate::report::Digits::Integer;
use crate::report::{Cell, Column, Table};
use crate::study::columns::described;
use crate::study::input::HeadWindow;

/// The columns of [`table`], with intervals and effort where figures are estimated.
pub(super) fn columns(figures: &[Figure], nulls: &[NullSpec], estimated: bool) -> Vec<Column> {
    let mut all = HeadWindow::columns();
    if estimated {
        let distinct = "leading singular values that were found one by one; the others are a density";
        all.extend(described(&[
            ("rounds", "", "times that the whole matrix was computed", Integer),
            ("distinct", "", distinct, Integer),
        ]));
    }
    all.extend(columns::measured(figures, nulls, estimated));
    all.extend(verdict::columns(&names(nulls)));
    all
}

/// All rows.
pub(super) fn table(asked: Asked<'_>, measured: &[Measured]) -> Table {
    let Asked { config, source, figures, nulls } = asked;
    let title = format!("Singular values of {}: {}", config.of.name(), source.name());
    let estimated = measured.iter().any(|one| one.ends.is_some());
    let mut table = Table::new(title, columns(figures, nulls, estimated));
    for one in measured {
        let mut row = one.at.all_cells();
        let cells = |values: &Values| -> Vec<Cell> {
            let both = columns::both(figures);
            values.cells(figures).zip(both).map(|(value, figure)| columns::cell(value, figure)).collect()
        };
        let own = cells(&one.values);
        match &one.ends {
            None => row.extend(own),
            Some(ends) => {
                row.extend([ends.rounds.into(), ends.apart.into()]);
                let ends = cells(&ends.low).into_iter().zip(cells(&ends.high));
                for ((figure, own), (low, high)) in columns::both(figures).zip(own).zip(ends) {
                    row.push(own);
                    row.extend([low, high].into_iter().filter(|_| !figure.is_of_rows()));
                }
            }
        }
        row.extend(one.nulls.iter().flat_map(|null| cells(&null.values)));
        let differences = differences(&[one], figures, nulls.len());
        row.extend(verdict::cells(&differences, &names(nulls), |null| {
            one.nulls[null].values.plain[Figure::effective_rank(figures)]
        }));
        table.push(row);
    }
    table
}
