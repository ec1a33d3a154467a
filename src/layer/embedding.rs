//! Tables of vectors, and their gradients.

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use super::pass::Pass;
use super::rows::Rows;
use super::weights::Matrix;
use crate::linalg::arrays::zeros;
use crate::{Error, Result};

/// Columns of a table that one thread adds to.
const COLUMNS: usize = 16;

/// The rows of these ids, (rows, d); `of` is named in errors.
pub(crate) fn look_up(pass: Pass<'_>, table: Matrix, ids: &[u32], of: &str) -> Result<Array2<f32>> {
    if let Some(id) = ids.iter().find(|id| **id as usize >= table.rows) {
        let accepted = format!("ids below {}, the vocabulary", table.rows);
        return Err(Error::value(format!("token of {of}"), id, accepted));
    }
    let table = table.of(pass);
    let mut x = zeros((ids.len(), table.ncols()));
    let rows = x.axis_iter_mut(Axis(0)).into_par_iter().zip(ids);
    rows.for_each(|(mut row, id)| row.assign(&table.row(*id as usize)));
    Ok(x)
}

/// Adds the gradient of [`look_up`]'s rows to the table's. Threads share the columns, so that every sum is over the rows in
/// their order.
pub(crate) fn look_up_backward(gradients: &mut [f32], table: Matrix, ids: &[u32], dx: &Array2<f32>) {
    let mut sums = table.of_mut(gradients);
    let columns = sums.axis_chunks_iter_mut(Axis(1), COLUMNS).into_par_iter();
    columns.zip(dx.axis_chunks_iter(Axis(1), COLUMNS)).for_each(|(mut sums, dx)| {
        for (id, dx) in ids.iter().zip(dx.rows()) {
            let mut sum = sums.row_mut(*id as usize);
            sum += &dx;
        }
    });
}

fn beyond(what: &str, found: usize, positions: usize) -> Error {
    Error::Tokens { what: what.into(), found, accepted: format!("{positions} or less, the positions") }
}

/// Tokens at these places of their sequences as vectors (tokens, d), with positions where there are any.
pub(crate) fn at_places(
    pass: Pass<'_>,
    table: Matrix,
    positions: Option<Matrix>,
    ids: &[u32],
    places: impl IntoIterator<Item = usize>,
    [of, what]: [&str; 2],
) -> Result<Array2<f32>> {
    let mut x = look_up(pass, table, ids, of)?;
    let Some(positions) = positions else { return Ok(x) };
    let positions = positions.of(pass);
    for (mut row, place) in x.rows_mut().into_iter().zip(places) {
        if place >= positions.nrows() {
            return Err(beyond(what, place + 1, positions.nrows()));
        }
        row += &positions.row(place);
    }
    Ok(x)
}

/// Adds a table's first rows to every sequence; `what` is named in errors.
pub(crate) fn add_positions(
    pass: Pass<'_>,
    table: Matrix,
    rows: &Rows,
    x: &mut Array2<f32>,
    what: &str,
) -> Result<()> {
    let table = table.of(pass);
    let longest = rows.longest();
    if longest > table.nrows() {
        return Err(beyond(what, longest, table.nrows()));
    }
    let places: Vec<usize> = rows.each().flat_map(|of| 0..of.len()).collect();
    x.axis_iter_mut(Axis(0)).into_par_iter().zip(places).for_each(|(mut row, at)| row += &table.row(at));
    Ok(())
}

/// Adds the gradient of the sum of [`add_positions`] to the table's.
pub(crate) fn add_positions_backward(gradients: &mut [f32], table: Matrix, rows: &Rows, dx: &Array2<f32>) {
    let mut sums = table.of_mut(gradients);
    let columns = sums.axis_chunks_iter_mut(Axis(1), COLUMNS).into_par_iter();
    columns.zip(dx.axis_chunks_iter(Axis(1), COLUMNS)).for_each(|(mut sums, dx)| {
        for of in rows.each() {
            let mut sum = sums.slice_mut(s![..of.len(), ..]);
            sum += &dx.slice(s![of, ..]);
        }
    });
}
