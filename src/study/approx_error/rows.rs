//! The full result: one row a mechanism, l, layer, head and window.

use super::asked::Asked;
use super::measure::{Measured, metrics};
use crate::report::{Cell, Column, Digits, Table};
use crate::study::input::Source;

/// The columns that say which measurement a row is.
fn keys() -> Vec<Column> {
    [
        ("mechanism", "the mechanism with its parameters but l", Digits::Text),
        ("l", "projected length", Digits::Integer),
        (
            "fit",
            "train or held-out, of a mechanism with fitted pieces; not judged: of another, on a window that pieces were \
             fitted on, and so in no mean",
            Digits::Text,
        ),
        ("input", "what the head is, where layer and head do not say it", Digits::Text),
        ("layer", "layer, from 0 (of synthetic heads: place in the list)", Digits::Integer),
        ("head", "head in its layer, from 0", Digits::Integer),
        ("window", "window of the text, or draw, from 0", Digits::Integer),
        ("n", "rows of the attention matrix", Digits::Integer),
        ("rank_bound", "rank that the stand-in cannot exceed", Digits::Integer),
    ]
    .map(|(name, about, digits)| Column::new(name, "", about, digits))
    .into()
}

/// The columns of what the best matrix of the same rank reaches.
fn optima() -> Vec<Column> {
    [
        ("optimal_rel_fro", "least ||A - B||_F / ||A||_F over all B of rank rank_bound"),
        ("optimal_rel_spectral", "least ||A - B||_2 / ||A||_2 over all B of that rank"),
        (
            "optimal_output_rel_fro",
            "||O - A_l v||_F / ||O||_F of the truncated decomposition A_l of that rank",
        ),
        ("gap", "matrix_rel_fro / optimal_rel_fro"),
    ]
    .map(|(name, about)| Column::new(name, "", about, Digits::Fixed(3)))
    .into()
}

/// The columns of [`table`].
pub(super) fn columns() -> Vec<Column> {
    let mut columns = keys();
    columns.extend(
        metrics().map(|metric| Column::new(metric.name, metric.unit, metric.about, Digits::Significant(4))),
    );
    columns.extend(optima());
    columns
}

/// All rows.
pub(super) fn table(source: &dyn Source, asked: &[Asked], measured: &[Measured]) -> Table {
    let columns = columns();
    let mut table = Table::new(format!("Stand-ins for softmax attention: {}", source.name()), columns);
    let error = place("matrix_rel_fro");
    for (at, asked) in asked.iter().enumerate() {
        for one in measured {
            for cell in one.cells.iter().filter(|cell| cell.asked == at) {
                let mut row: Vec<Cell> = vec![
                    asked.name.as_str().into(),
                    asked.l.into(),
                    cell.role.name().into(),
                    one.label.as_str().into(),
                    one.layer.into(),
                    one.head.into(),
                    one.window.into(),
                    one.n.into(),
                    cell.rank_bound.into(),
                ];
                row.extend(cell.values.iter().map(|value| Cell::from(*value)));
                let best = cell.optimum;
                row.push(best.map(|best| best.rel_fro).into());
                row.push(best.map(|best| best.rel_spectral).into());
                row.push(best.map(|best| best.output_rel_fro).into());
                // An optimum of 0 (the matrix has that rank itself) leaves no gap to speak of.
                row.push(
                    best.filter(|best| best.rel_fro > 1e-6)
                        .map(|best| cell.values[error] / best.rel_fro)
                        .into(),
                );
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
