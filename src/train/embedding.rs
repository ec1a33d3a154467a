//! Tables of vectors, and their gradients.

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use super::parameters::{Matrix, Numbers};
use super::rows::Rows;
use crate::linalg::arrays::zeros;
use crate::{Error, Result};

/// Columns of a table that one thread adds to.
const COLUMNS: usize = 16;

/// The rows of these ids, (rows, d).
pub(super) fn look_up(numbers: Numbers<'_>, table: Matrix, ids: &[u32]) -> Result<Array2<f32>> {
    if let Some(id) = ids.iter().find(|id| **id as usize >= table.rows) {
        let accepted = format!("ids below {}, the vocabulary", table.rows);
        return Err(Error::value("token of the input", id, accepted));
    }
    let table = table.of(numbers);
    let mut x = zeros((ids.len(), table.ncols()));
    let rows = x.axis_iter_mut(Axis(0)).into_par_iter().zip(ids);
    rows.for_each(|(mut row, id)| row.assign(&table.row(*id as usize)));
    Ok(x)
}

/// Adds the gradient of what [`look_up`] found to the table's.
///
/// Threads share the columns, so that every sum is over the rows in their order.
pub(super) fn learn(gradients: &mut [f32], table: Matrix, ids: &[u32], dx: &Array2<f32>) {
    let mut sums = table.of_mut(gradients);
    let columns = sums.axis_chunks_iter_mut(Axis(1), COLUMNS).into_par_iter();
    columns.zip(dx.axis_chunks_iter(Axis(1), COLUMNS)).for_each(|(mut sums, dx)| {
        for (id, dx) in ids.iter().zip(dx.rows()) {
            let mut sum = sums.row_mut(*id as usize);
            sum += &dx;
        }
    });
}

/// Adds a table's first rows to every sequence.
pub(super) fn add_positions(
    numbers: Numbers<'_>,
    table: Matrix,
    rows: &Rows,
    x: &mut Array2<f32>,
) -> Result<()> {
    let table = table.of(numbers);
    for of in rows.each() {
        if of.len() > table.nrows() {
            let accepted = format!("{} or less, the positions", table.nrows());
            return Err(Error::Tokens { what: "a sequence of the input".into(), found: of.len(), accepted });
        }
    }
    let places: Vec<usize> = rows.each().flat_map(|of| 0..of.len()).collect();
    x.axis_iter_mut(Axis(0)).into_par_iter().zip(places).for_each(|(mut row, at)| row += &table.row(at));
    Ok(())
}

/// Adds the gradient of what [`add_positions`] added to the table's.
pub(super) fn learn_positions(gradients: &mut [f32], table: Matrix, rows: &Rows, dx: &Array2<f32>) {
    let mut sums = table.of_mut(gradients);
    let columns = sums.axis_chunks_iter_mut(Axis(1), COLUMNS).into_par_iter();
    columns.zip(dx.axis_chunks_iter(Axis(1), COLUMNS)).for_each(|(mut sums, dx)| {
        for of in rows.each() {
            let mut sum = sums.slice_mut(s![..of.len(), ..]);
            sum += &dx.slice(s![of, ..]);
        }
    });
}
