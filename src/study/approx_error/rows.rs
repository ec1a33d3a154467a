//! The full result: one row a mechanism, l, layer, head and window.

use super::candidate::Candidate;
use super::measure::{Measured, Price, metrics, price_columns};
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Cell, Column, Table};
use crate::study::columns::described;
use crate::study::input::{HeadWindow, Source};

/// The columns that say which measurement a row is.
pub(super) const KEYS: &[&str] = &["mechanism", "l", "fit", "input", "layer", "head", "window", "n"];

/// The column that names a mechanism.
pub(super) fn mechanism() -> Column {
    Column::new("mechanism", "", "the mechanism with its parameters but l", Text)
}

/// The column of its projected length.
pub(super) fn projected_length() -> Column {
    Column::new("l", "", "projected length", Integer)
}

/// The columns under [`KEYS`], and the bound of the rank.
fn keys() -> Vec<Column> {
    let fit = "train or held-out, of a mechanism with fitted parts; not judged: of another, on a window that parts were \
               fitted on, and so in no mean";
    let mut columns = vec![mechanism(), projected_length(), Column::new("fit", "", fit, Text)];
    columns.extend(HeadWindow::columns());
    let rank = Column::new("rank_bound", "", "rank that the stand-in cannot exceed", Integer);
    columns.push(rank);
    columns
}

/// The columns of what the best matrix of the same rank reaches.
fn optima() -> Vec<Column> {
    described(&[
        ("optimal_rel_fro", "", "least ||A - B||_F / ||A||_F over all B of rank rank_bound", Fixed(3)),
        ("optimal_rel_spectral", "", "least ||A - B||_2 / ||A||_2 over all B of that rank", Fixed(3)),
        (
            "optimal_output_rel_fro",
            "",
            "||O - A_l v||_F / ||O||_F of the truncated decomposition A_l of that rank",
            Fixed(3),
        ),
        ("gap", "", "matrix_rel_fro / optimal_rel_fro", Fixed(3)),
    ])
}

/// The columns of [`table`].
pub(super) fn columns() -> Vec<Column> {
    let mut columns = keys();
    columns
        .extend(metrics().map(|metric| Column::new(metric.name, metric.unit, metric.about, Significant(4))));
    columns.extend(optima());
    columns.extend(price_columns());
    columns
}

/// All rows.
pub(super) fn table(source: &dyn Source, candidates: &[Candidate], measured: &[Measured]) -> Table {
    let columns = columns();
    let mut table = Table::new(format!("Stand-ins for softmax attention: {}", source.name()), columns);
    let error = place("matrix_rel_fro");
    for (at, candidate) in candidates.iter().enumerate() {
        for one in measured {
            for cell in one.mechanisms.iter().filter(|cell| cell.candidate == at) {
                let mut row: Vec<Cell> =
                    vec![candidate.name.as_str().into(), candidate.l.into(), cell.role.name().into()];
                row.extend(one.at.all_cells());
                row.push(cell.rank_bound.into());
                row.extend(cell.values.iter().map(|value| Cell::from(*value)));
                let best = cell.optimum;
                row.push(best.map(|best| best.rel_fro).into());
                row.push(best.map(|best| best.rel_spectral).into());
                row.push(best.map(|best| best.output_rel_fro).into());
                // An optimum of 0 (the matrix has that rank itself) leaves no gap to speak of.
                row.push(
                    best.filter(|best| best.rel_fro > 1e-6)
                        .and_then(|best| Some(cell.values[error]? / best.rel_fro))
                        .into(),
                );
                row.extend(Price::cells(cell.price));
                table.push(row);
            }
        }
    }
    table
}

/// Where a metric stands among the values of a cell.
pub(super) fn place(name: &str) -> usize {
    metrics().position(|metric| metric.name == name).unwrap_or(0)
}
