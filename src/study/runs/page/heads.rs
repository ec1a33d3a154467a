//! The spectrum of each head beside those of its null models, for the page's heat map.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde_json::json;

use crate::error::{Error, Result};
use crate::report::{Cell, Curves, Figure, Plot, Series, to_svg};
use crate::study::runs::Run;

/// Curves of a page have about so many points in all, and a curve at most so many.
const POINTS: usize = 60_000;
const OF_CURVE: usize = 48;
/// Rows of an array beyond which no page is made of it.
const ROWS: usize = 1 << 20;
/// A curve is written in thousandths.
const FINE: f64 = 1000.0;

/// What the page needs to draw one head.
pub(super) struct Heads {
    /// Points, names and curves of every head.
    pub(super) json: String,
    /// A figure with the lines of one head.
    pub(super) template: String,
}

/// The spectra that stand beside a run of `svd-spectrum`, at its longest length; none where there are none.
pub(super) fn heads(run: &Run) -> Result<Option<Heads>> {
    let rows = &run.report.rows;
    let column = |name: &str| rows.columns.iter().position(|column| column.name == name);
    let (Some(layer), Some(head), Some(length)) = (column("layer"), column("head"), column("n")) else {
        return Ok(None);
    };
    let int = |cell: &Cell| if let Cell::Int(value) = cell { Some(*value) } else { None };
    let Some(n) = rows.rows.iter().filter_map(|row| int(&row[length])).max() else { return Ok(None) };
    // Arrays have a row a head and window; means over windows say of how many they are.
    let windows = column("windows");
    let of_row = |row: &Vec<Cell>| {
        let times =
            windows.and_then(|at| int(&row[at])).and_then(|times| usize::try_from(times).ok()).unwrap_or(1);
        let place = int(&row[layer]).zip(int(&row[head]))?;
        Some(std::iter::repeat_n(place, times.min(1 << 20)))
    };
    let longest = rows.rows.iter().filter(|row| int(&row[length]) == Some(n));
    let Some(places) = longest.map(of_row).collect::<Option<Vec<_>>>() else { return Ok(None) };
    // A count of windows may be anything in an edited result.
    if places.iter().map(Iterator::size_hint).map(|(count, _)| count).sum::<usize>() > ROWS {
        return Ok(None);
    }
    let places: Vec<(i64, i64)> = places.into_iter().flatten().collect();
    let files = run.beside()?;
    let own = format!("singular_values_n{n}.npy");
    let Some(path) = files.iter().find(|path| path.file_name().is_some_and(|name| *name == *own)) else {
        return Ok(None);
    };
    let mut lines = vec![("this head".to_string(), shares(read(path, places.len())?))];
    for path in &files {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let null =
            name.strip_prefix("null_").and_then(|rest| rest.strip_suffix(&format!("_cumulative_n{n}.npy")));
        if let Some(null) = null {
            lines.push((format!("{null} null"), read(path, places.len())?));
        }
    }
    let size = lines.iter().map(|(_, values)| values.ncols()).min().unwrap_or(0);
    if size < 2 {
        return Ok(None);
    }
    let mut of_head: BTreeMap<(i64, i64), Vec<usize>> = BTreeMap::new();
    for (index, place) in places.iter().enumerate() {
        of_head.entry(*place).or_default().push(index);
    }
    let points = points(size, (POINTS / (of_head.len() * lines.len()).max(1)).clamp(12, OF_CURVE));
    let mean = |values: &Array2<f64>, windows: &[usize], k: usize| {
        windows.iter().map(|row| values[[*row, k - 1]]).sum::<f64>() / windows.len() as f64
    };
    let curves: serde_json::Map<String, serde_json::Value> = of_head
        .iter()
        .map(|((layer, head), windows)| {
            let of = |(_, values): &(String, Array2<f64>)| -> Vec<i64> {
                points.iter().map(|k| (mean(values, windows, *k) * FINE).round() as i64).collect()
            };
            (format!("{layer}.{head}"), json!(lines.iter().map(of).collect::<Vec<_>>()))
        })
        .collect();
    let x: Vec<f64> = points.iter().map(|k| *k as f64).collect();
    let series = lines.iter().enumerate().map(|(index, (label, _))| Series {
        label: label.clone(),
        x: x.clone(),
        // Placed by the script; both ends of the axis are in use.
        y: x.iter().enumerate().map(|(at, _)| if at == 0 { 0.0 } else { 1.0 }).collect(),
        dashed: index > 0,
        ..Series::default()
    });
    let kind = Plot::Curves(Curves {
        x_label: "leading singular values k".into(),
        y_label: "share of the sum of σ in the first k".into(),
        log_x: true,
        series: series.collect(),
        ..Curves::default()
    });
    let template =
        to_svg(&Figure { name: "head".into(), title: format!("One head, n = {n}, mean over windows"), kind });
    Ok(Some(Heads { json: json!({ "k": points, "heads": curves }).to_string(), template }))
}

/// An array with so many rows.
fn read(path: &PathBuf, rows: usize) -> Result<Array2<f64>> {
    let malformed = |what: &str| {
        Error::malformed(Path::new(path), what, format!("the {rows} rows of f64 that luna wrote"))
    };
    let values: Array2<f64> = ndarray_npy::read_npy(path).map_err(|error| malformed(&error.to_string()))?;
    if values.nrows() == rows { Ok(values) } else { Err(malformed(&format!("has {} rows", values.nrows()))) }
}

/// Cumulative shares of the sum of each row.
fn shares(mut values: Array2<f64>) -> Array2<f64> {
    for mut row in values.rows_mut() {
        let all = row.sum();
        let mut before = 0.0;
        for value in &mut row {
            before += *value;
            *value = if all > 0.0 { before / all } else { 0.0 };
        }
    }
    values
}

/// About so many numbers from 1 to `size`, apart by a factor as far as they are whole.
fn points(size: usize, count: usize) -> Vec<usize> {
    let power = |at: usize| (size as f64).powf(at as f64 / (count - 1) as f64).round() as usize;
    let mut points: Vec<usize> = (0..count).map(power).collect();
    points.dedup();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_begin_at_one_and_end_at_the_last() {
        for (size, count) in [(2, 12), (128, 48), (65_536, 24)] {
            let points = points(size, count);
            assert_eq!((points[0], *points.last().unwrap()), (1, size));
            assert!(points.windows(2).all(|pair| pair[0] < pair[1]) && points.len() <= count);
        }
    }

    #[test]
    fn shares_end_at_one() {
        let shares = shares(ndarray::arr2(&[[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]]));
        assert_eq!(shares, ndarray::arr2(&[[0.75, 1.0, 1.0], [0.0, 0.0, 0.0]]));
    }
}
