//! One row a mechanism, l and role: means over heads and windows.

use super::group::Group;
use super::measure::{Job, Price, metrics, price_columns};
use super::rows::{mechanism, projected_length};
use crate::metric::Metric;
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Column, Table};
use crate::study::columns::{described, ends_cells, with_ends};
use crate::study::input::Source;

/// The columns of [`table`].
pub(super) fn columns() -> Vec<Column> {
    let mut columns = vec![mechanism(), projected_length()];
    columns.extend(described(&[
        ("fit", "", "train or held-out, of a mechanism with fitted parts", Text),
        ("n", "", "rows of the attention matrix", Integer),
        ("heads", "", "heads that the means are over, each the mean of its windows", Integer),
    ]));
    let gap =
        Column::new("gap", "", "matrix_rel_fro over the mean of optimal_rel_fro of the same heads", Fixed(3));
    let metric = |metric: &Metric| Column::new(metric.name, metric.unit, metric.about, Significant(4));
    columns.extend(metrics().map(metric).chain([gap]).flat_map(with_ends));
    columns.extend(price_columns());
    columns
}

/// One row a mechanism, l and role: means over heads and windows of every metric, with their intervals.
pub(super) fn table(source: &dyn Source, job: &Job<'_>, groups: &[Group]) -> Table {
    let columns = columns();
    let title = format!("Stand-ins for softmax attention, means over heads: {}", source.name());
    let mut table = Table::new(title, columns);
    for group in groups {
        let mut row = vec![
            group.name(job.candidates).into(),
            group.l.into(),
            group.role.name().into(),
            group.n.into(),
            group.heads.len().into(),
        ];
        for found in (0..metrics().count()).map(|metric| group.interval(metric)).chain([group.gap()]) {
            row.extend(ends_cells(found.map(|(mean, _)| mean), found.and_then(|(_, interval)| interval)));
        }
        row.extend(Price::cells(group.price));
        table.push(row);
    }
    table
}
