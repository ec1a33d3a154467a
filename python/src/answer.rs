//! A report as Python's values.

use luna::report::{Cell, Report};
use numpy::{PyArray1, PyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Columns as (name, unit, meaning, values), notes, the stamp as JSON, and the arrays that were asked for.
pub(crate) type Answer<'py> = (Vec<Column<'py>>, Vec<String>, String, Bound<'py, PyDict>);

/// The values are an array of numbers or booleans; a list where some are text, or booleans of which some are missing.
type Column<'py> = (String, String, String, Bound<'py, PyAny>);

/// The rows of a report, with those of its arrays whose name begins with one of `arrays`.
pub(crate) fn of_report<'py>(py: Python<'py>, report: &Report, arrays: &[&str]) -> PyResult<Answer<'py>> {
    let table = &report.rows;
    let mut columns = Vec::with_capacity(table.columns.len());
    for (at, column) in table.columns.iter().enumerate() {
        let cells: Vec<&Cell> = table.rows.iter().map(|row| &row[at]).collect();
        let values = values(py, &cells)?;
        columns.push((column.name.clone(), column.unit.clone(), column.about.clone(), values));
    }
    let held = PyDict::new(py);
    for (name, array) in &report.arrays {
        if arrays.iter().any(|start| name.starts_with(start)) {
            held.set_item(name, PyArrayDyn::from_array(py, array))?;
        }
    }
    Ok((columns, report.notes.clone(), report.stamp.to_json().to_string(), held))
}

fn values<'py>(py: Python<'py>, cells: &[&Cell]) -> PyResult<Bound<'py, PyAny>> {
    let all = |fits: fn(&Cell) -> bool| !cells.is_empty() && cells.iter().all(|cell| fits(cell));
    if all(|cell| matches!(cell, Cell::Int(_))) {
        let integers =
            cells.iter().filter_map(|cell| if let Cell::Int(value) = cell { Some(*value) } else { None });
        return Ok(PyArray1::from_iter(py, integers).into_any());
    }
    if all(|cell| matches!(cell, Cell::Bool(_))) {
        return Ok(PyArray1::from_iter(py, cells.iter().map(|cell| **cell == Cell::Bool(true))).into_any());
    }
    if cells.iter().all(|cell| matches!(cell, Cell::Missing | Cell::Int(_) | Cell::Float(_))) {
        let numbers = cells.iter().map(|cell| cell.number().unwrap_or(f64::NAN));
        return Ok(PyArray1::from_iter(py, numbers).into_any());
    }
    let list = PyList::empty(py);
    for cell in cells {
        match cell {
            Cell::Missing => list.append(py.None())?,
            Cell::Int(value) => list.append(value)?,
            Cell::Float(value) => list.append(value)?,
            Cell::Text(text) => list.append(text)?,
            Cell::Bool(value) => list.append(value)?,
        }
    }
    Ok(list.into_any())
}
