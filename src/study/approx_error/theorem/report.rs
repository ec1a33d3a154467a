//! What came out of the check, by the relative and by the additive form.

use std::collections::BTreeMap;

use super::measured::{Measured, Values, share_below};
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Cell, Column, Report, Table};
use crate::stats;
use crate::study::columns::described;
use crate::study::input::{HeadWindow, Source, lengths};

/// A share above which a form is said to hold: what the lemma promises at these k is above 0.99.
const HOLDS: f64 = 0.95;

pub(super) fn report(source: &dyn Source, draws: usize, measured: &[Measured]) -> Report {
    let rows = rows(source, measured);
    let summary = summary(source, measured);
    let notes = notes(source, draws, measured);
    Report { rows, views: vec![("summary".into(), summary)], notes, ..Report::default() }
}

/// What the lemma promises: the probability of an error below eps, 1 - 2 exp(-(eps^2 - eps^3) k / 4).
fn promised(one: &Measured) -> f64 {
    1.0 - 2.0 * (-(one.eps.powi(2) - one.eps.powi(3)) * one.k as f64 / 4.0).exp()
}

/// The columns that a check has in every table.
fn figures() -> Vec<Column> {
    described(&[
        ("eps", "", "error asked about", Significant(3)),
        ("k", "", "rows of R: 5 ln n / (eps^2 - eps^3); above n the construction saves nothing", Integer),
        (
            "relative",
            "",
            "share of columns and draws with ||P~ w - P w|| < eps ||P w||, the form that is stated",
            Fixed(3),
        ),
        (
            "low",
            "",
            "lower end of its 95 % interval over projections, whose columns count as one (Student; Wilson if all agree)",
            Fixed(3),
        ),
        ("high", "", "upper end of it", Fixed(3)),
        ("rel_med", "", "median of ||P~ w - P w|| / ||P w||", Fixed(3)),
        (
            "additive",
            "",
            "share with ||P~ w - P w|| < eps ||P||_F ||w||, the form that the lemma gives",
            Fixed(3),
        ),
        ("add_med", "", "median of ||P~ w - P w|| / (||P||_F ||w||)", Fixed(3)),
        ("rate", "", "1 / sqrt(k), the size of the additive error that is to be expected", Fixed(3)),
    ])
}

/// The figures of measurements at one eps.
fn cells(group: &[&Measured]) -> Vec<Cell> {
    let Some(first) = group.first() else { return Vec::new() };
    let relative = || group.iter().flat_map(|one| &one.relative);
    let additive = || group.iter().flat_map(|one| &one.additive);
    let share = share_below(relative(), first.eps);
    let median = |errors: Vec<f64>| stats::median(&errors);
    vec![
        first.eps.into(),
        first.k.into(),
        share.mid.into(),
        share.low.into(),
        share.high.into(),
        median(relative().flatten().copied().collect()).into(),
        share_below(additive(), first.eps).mid.into(),
        median(additive().flatten().copied().collect()).into(),
        (1.0 / (first.k as f64).sqrt()).into(),
    ]
}

/// The columns that say which measurement a row is.
pub(in crate::study::approx_error) const KEYS: &[&str] =
    &["input", "layer", "head", "window", "n", "values", "eps"];

/// What the columns of the values are.
fn values() -> Column {
    Column::new("values", "", "what the columns w are", Text)
}

/// The columns of [`rows`].
pub(in crate::study::approx_error) fn columns() -> Vec<Column> {
    let mut columns = HeadWindow::columns();
    columns.push(values());
    columns.extend(figures());
    let about = "1 - 2 exp(-(eps^2 - eps^3) k / 4), what the lemma promises";
    columns.push(Column::new("promised", "", about, Fixed(4)));
    columns
}

/// One row a head, window, kind of values and eps.
fn rows(source: &dyn Source, measured: &[Measured]) -> Table {
    let mut table = Table::new(format!("Linformer's theorem 1, as stated: {}", source.name()), columns());
    for one in measured {
        let mut row = one.at.all_cells();
        row.push(one.values.name().into());
        row.extend(cells(&[one]));
        row.push(promised(one).into());
        table.push(row);
    }
    table
}

/// What people read: a synthetic head a row, or all heads of a model together.
fn summary(source: &dyn Source, measured: &[Measured]) -> Table {
    let mut columns = described(&[
        ("input", "", "heads that the row is about", Text),
        ("n", "", "rows of the attention matrix", Integer),
    ]);
    columns.push(values());
    columns.extend(figures());
    let title = format!("Linformer's theorem 1, as stated: {}, n = {}", source.name(), lengths(source));
    let mut table = Table::new(title, columns);
    let mut groups: BTreeMap<(usize, String, usize, Values, u64), Vec<&Measured>> = BTreeMap::new();
    for one in measured {
        let (layer, label) = if source.is_layered() {
            (0, "all heads".to_string())
        } else {
            (one.at.place.layer, one.at.place.label.clone())
        };
        // Of numbers above 0 the bits are in their order; the largest eps comes first.
        groups.entry((layer, label, one.at.n, one.values, !one.eps.to_bits())).or_default().push(one);
    }
    for ((_, label, n, values, _), group) in groups {
        let mut row: Vec<Cell> = vec![label.into(), n.into(), values.name().into()];
        row.extend(cells(&group));
        table.push(row);
    }
    // What fits a page: the rate follows from k, and one length stands in the title.
    let shown =
        |column: &&Column| column.name != "rate" && (column.name != "n" || source.lengths().len() > 1);
    let names: Vec<String> = table.columns.iter().filter(shown).map(|column| column.name.clone()).collect();
    table.select(&names).unwrap_or(table)
}

fn notes(source: &dyn Source, draws: usize, measured: &[Measured]) -> Vec<String> {
    let holding = |errors: fn(&Measured) -> &Vec<Vec<f64>>| {
        measured.iter().filter(|one| share_below(errors(one), one.eps).mid >= HOLDS).count()
    };
    let (relative, additive) = (holding(|one| &one.relative), holding(|one| &one.additive));
    let count = measured.len();
    let what =
        if source.is_layered() { "heads, windows and eps" } else { "heads, draws, kinds of values and eps" };
    let mut notes = vec![
        format!(
            "which form holds (in 95 % of columns and more): the additive one in {additive} of {count} cases of {what}, \
             the relative one, which the theorem states, in {relative} of {count}"
        ),
        format!(
            "each interval is over {draws} random projections of every head and window, whose columns count as one"
        ),
    ];
    let beyond = measured.iter().filter(|one| one.k > one.at.n).count();
    if beyond > 0 {
        notes.push(format!("in {beyond} of {count} cases the k of the proof exceeds n: it projects to more rows than there are"));
    }
    notes
}
