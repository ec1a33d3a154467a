//! What the rows of a result are: what identifies them, what was sampled, and what was measured.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::name;
use crate::report::Digits::{Fixed, Integer, Text};
use crate::report::{Cell, Column, Table};
use crate::stats;
use crate::study::Columns;
use crate::study::columns::{ends_cells, varies, with_ends};

/// Keys of a head; tables are means over heads unless they are asked for.
const HEAD: [&str; 3] = ["input", "layer", "head"];
/// Keys of what is sampled. An interval is over these: heads of one window are not independent.
const UNITS: [&str; 2] = ["window", "seed"];
/// The column that counts the rows of a mean.
const ROWS: &str = "rows";

/// Places of the columns of a table, by what they are.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Those that identify a row.
    pub(super) keys: Vec<usize>,
    /// The one of windows or seeds that means and intervals are over; none where rows are means already, or are asked for
    /// by window or seed.
    pub(super) unit: Option<usize>,
    /// Keys that rows are not averaged over, where rows differ in them.
    pub(super) groups: Vec<usize>,
    /// Keys that tell the rows of a group apart, where they say more than others.
    told: Vec<usize>,
    /// Numbers that were measured; no ends of intervals.
    pub(super) measured: Vec<usize>,
}

impl Shape {
    /// Rows are averaged over heads and over windows or seeds, and by `by`: one more key that tells them apart.
    pub(super) fn of(rows: &Table, columns: &Columns, by: Option<&str>) -> Result<Self> {
        let named = |at: usize| rows.columns[at].name.as_str();
        let place = |name: &&str| rows.columns.iter().position(|column| column.name == *name);
        let keys: Vec<usize> = columns.keys.iter().filter_map(place).collect();
        if let Some(by) = by {
            if keys.is_empty() {
                return Err(Error::value("--by", by, "nothing: the rows of this command have no keys"));
            }
            let names: Vec<&str> = keys.iter().map(|at| named(*at)).collect();
            name::find("key of a row", by, &names, |name| name)?;
        }
        let is_asked = |name: &str| match by {
            Some("head") => HEAD.contains(&name),
            Some("layer") => HEAD[..2].contains(&name),
            by => by == Some(name),
        };
        // Labels that only repeat layer and head tell nothing.
        let is_label = |at: usize| {
            let repeats =
                |row: &Vec<Cell>| matches!(&row[at], Cell::Text(text) if text.starts_with("layer "));
            named(at) == "input" && rows.rows.iter().all(repeats)
        };
        let is_group = |at: usize| {
            let name = named(at);
            let kept = is_asked(name) || (!HEAD.contains(&name) && !UNITS.contains(&name));
            kept && (by == Some(name) || varies(rows, name)) && !is_label(at)
        };
        let groups: Vec<usize> = keys.iter().copied().filter(|at| is_group(*at)).collect();
        let has_layers = HEAD[1..].iter().any(|key| varies(rows, key));
        let is_told = |at: usize| {
            let name = named(at);
            varies(rows, name) && !groups.contains(&at) && !(name == HEAD[0] && has_layers)
        };
        let told = keys.iter().copied().filter(|at| is_told(*at)).collect();
        let unit = keys.iter().copied().find(|at| UNITS.contains(&named(*at)));
        let unit = unit.filter(|at| !groups.contains(at));
        let measured =
            (0..rows.columns.len()).filter(|at| !keys.contains(at) && is_measured(rows, *at)).collect();
        Ok(Self { keys, unit, groups, told, measured })
    }

    /// What is sampled, in the plural: windows or seeds.
    pub(super) fn units(&self, rows: &Table) -> Option<String> {
        self.unit.map(|at| format!("{}s", rows.columns[at].name))
    }

    /// The window or seed of a row.
    pub(super) fn unit_of(&self, row: &[Cell]) -> String {
        self.unit.map_or_else(String::new, |at| row[at].exact())
    }

    /// A row in words, by the keys in which rows differ: `layer 3 head 1 window 0`.
    pub(super) fn place(&self, rows: &Table, row: &[Cell]) -> String {
        let word = |at: &usize| format!("{} {}", rows.columns[*at].name, row[*at].show(Text));
        self.told.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The columns that count what means are over.
    pub(super) fn counts(&self, rows: &Table) -> Vec<Column> {
        let about = "rows of the result that a mean is over";
        let mut all = vec![Column::new(ROWS, "", about, Integer)];
        if let Some(units) = self.units(rows) {
            let about = format!("{units} that an interval is over, each the mean of its rows");
            all.push(Column::new(units, "", about, Integer));
        }
        all
    }

    /// One row a group: means, with Student's 95 % intervals over windows or seeds.
    pub(super) fn averaged(&self, rows: &Table) -> Table {
        let mut columns: Vec<Column> = self.groups.iter().map(|at| rows.columns[*at].clone()).collect();
        columns.extend(self.counts(rows));
        let of_mean = |at: &usize| {
            let column = &rows.columns[*at];
            let digits = match column.digits {
                Integer | Fixed(0) | Text => Fixed(1),
                digits => digits,
            };
            let mean = Column { digits, ..column.clone() };
            if self.unit.is_some() { with_ends(mean).into() } else { vec![mean] }
        };
        columns.extend(self.measured.iter().flat_map(of_mean));
        let mut table = Table::new(rows.title.clone(), columns);
        for group in grouped(rows.rows.iter(), |row| self.groups.iter().map(|at| row[*at].exact()).collect())
        {
            let mut cells: Vec<Cell> = self.groups.iter().map(|at| group[0][*at].clone()).collect();
            let mut units: Vec<String> = group.iter().map(|row| self.unit_of(row)).collect();
            units.sort_unstable();
            units.dedup();
            cells.push(group.len().into());
            cells.extend(self.unit.map(|_| units.len().into()));
            for at in &self.measured {
                // A mean of those rows that have a value would not say that others have none.
                let values = group.iter().map(|row| Some((self.unit_of(row), row[*at].number()?)));
                let means = values.collect::<Option<Vec<_>>>().map(over_units).unwrap_or_default();
                let mean = (!means.is_empty()).then(|| stats::mean(&means));
                if self.unit.is_some() {
                    cells.extend(ends_cells(mean, stats::student_mean(&means)));
                } else {
                    cells.push(mean.into());
                }
            }
            table.push(cells);
        }
        table
    }
}

/// Things by a key, in the order in which the keys first appear.
pub(super) fn grouped<T>(all: impl Iterator<Item = T>, key: impl Fn(&T) -> Vec<String>) -> Vec<Vec<T>> {
    let mut places = BTreeMap::new();
    let mut groups: Vec<Vec<T>> = Vec::new();
    for one in all {
        let at = *places.entry(key(&one)).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(one);
    }
    groups
}

/// The mean of each window or seed, in the order of their names.
pub(super) fn over_units(values: Vec<(String, f64)>) -> Vec<f64> {
    let mut units: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (unit, value) in values {
        units.entry(unit).or_default().push(value);
    }
    units.values().map(|values| stats::mean(values)).collect()
}

/// Whether a column holds numbers that were measured, and not the ends of an interval of another one.
fn is_measured(rows: &Table, at: usize) -> bool {
    let name = rows.columns[at].name.as_str();
    let is_end = name.split('_').any(|word| word == "low" || word == "high");
    let has_words = rows.rows.iter().any(|row| matches!(row[at], Cell::Text(_) | Cell::Bool(_)));
    !is_end && !is_count(name) && !has_words && rows.rows.iter().any(|row| row[at].number().is_some())
}

/// Whether a column counts what means are over.
pub(super) fn is_count(name: &str) -> bool {
    name == ROWS || UNITS.iter().any(|unit| name.strip_suffix('s') == Some(unit))
}

/// The full names of the columns that the main table of a result shows of its rows; all that were measured where
/// it shows less than two.
pub(super) fn shown(
    rows: &Table,
    views: &[(String, Table)],
    columns: &Columns,
    shape: &Shape,
) -> Vec<String> {
    let measured = || shape.measured.iter().map(|at| rows.columns[*at].name.clone());
    let of = |view: &Table| {
        let names = view.columns.iter().map(|column| columns.full_name(&column.name, rows));
        let mut names: Vec<String> =
            names.filter(|name| measured().any(|one| one == *name)).map(Into::into).collect();
        names.dedup();
        names
    };
    let found = views.iter().map(|(_, view)| of(view)).find(|names| names.len() > 1);
    found.unwrap_or_else(|| measured().collect())
}
