//! The heads in which the main figure of a run is lowest and highest.

use crate::error::Result;
use crate::report::{Cell, Column, Digits, Table};
use crate::study::runs::Run;
use crate::study::runs::shape::{Shape, grouped, shown};

/// Heads of each end, where the rows are of one kind, and where they are of many.
const OF_ONE: usize = 5;
const OF_MANY: usize = 1;
/// Fewer heads than this need no choice.
const FEW: usize = 6;

/// The lowest and the highest heads by the first column of the main table: of each mechanism, length and whatever else rows
/// differ in. None of runs without heads.
pub(super) fn extremes(run: &Run) -> Result<Option<Table>> {
    let rows = &run.report.rows;
    let has = |name: &str| run.columns.keys.contains(&name) && rows.index(name).is_ok();
    if !has("layer") || !has("head") {
        return Ok(None);
    }
    let shape = Shape::of(rows, &run.columns, Some("head"))?;
    let Some(main) = shown(rows, &run.report.views, &run.columns, &shape).into_iter().next() else {
        return Ok(None);
    };
    let means = shape.averaged(rows);
    let place = |name: &str| means.columns.iter().position(|column| column.name == name);
    let (Some(value), Some(head)) = (place(&main), place("head")) else { return Ok(None) };
    let ends = place(&format!("{main}_low")).zip(place(&format!("{main}_high")));
    let layer = place("layer");
    let others: Vec<usize> = shape
        .groups
        .iter()
        .filter_map(|at| place(&rows.columns[*at].name))
        .filter(|at| *at != head && Some(*at) != layer && means.columns[*at].name != "input")
        .collect();
    let groups = grouped(means.rows.iter(), |row| others.iter().map(|at| row[*at].exact()).collect());
    let each = if groups.len() > 1 { OF_MANY } else { OF_ONE };
    let mut columns = vec![Column::new("which", "", "lowest or highest", Digits::Text)];
    let kept: Vec<usize> = others.iter().copied().chain(layer).chain([head, value]).collect();
    let kept: Vec<usize> =
        kept.into_iter().chain(ends.into_iter().flat_map(|(low, high)| [low, high])).collect();
    columns.extend(kept.iter().map(|at| means.columns[*at].clone()));
    let short = run.columns.short_name(&main);
    let mut table = Table::new(format!("Heads with the lowest and the highest {short}"), columns);
    for mut group in groups {
        group.retain(|row| row[value].number().is_some());
        group.sort_by(|a, b| {
            a[value].number().partial_cmp(&b[value].number()).unwrap_or(std::cmp::Ordering::Equal)
        });
        if group.len() < FEW {
            continue;
        }
        let each = each.min(group.len() / 2);
        let mut push = |which: &str, row: &&Vec<Cell>| {
            table.push(std::iter::once(which.into()).chain(kept.iter().map(|at| row[*at].clone())).collect());
        };
        group[..each].iter().for_each(|row| push("lowest", row));
        group.iter().rev().take(each).for_each(|row| push("highest", row));
    }
    let units = shape.units(rows).unwrap_or_else(|| "rows".into());
    table.notes.push(format!(
        "means over {units}; the extremes of many heads are in part chance: their intervals do not allow for the choice"
    ));
    Ok((!table.rows.is_empty()).then_some(table))
}
