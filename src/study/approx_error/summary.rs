//! The table that people read.

use std::collections::BTreeMap;

use super::group::Group;
use super::measure::Job;
use super::rows::place;
use crate::report::Digits::{Fixed, Integer, Text};
use crate::report::Table;
use crate::stats::{self, Interval};
use crate::study::columns::described;
use crate::study::input::Source;

/// What the columns of [`table`] are called in the rows of the result.
pub(super) const SHORT: &[(&str, &str)] = &[
    ("out_err", "output_rel_fro"),
    ("low", "output_rel_fro_low"),
    ("high", "output_rel_fro_high"),
    ("mat_err", "matrix_rel_fro"),
];

/// A group, the mean of a metric over its heads, and the interval of it.
type Shown<'a> = (&'a Group, f64, Option<Interval>);

/// One row a mechanism and l, sorted by the output error at equal l.
pub(super) fn table(source: &dyn Source, job: &Job<'_>, groups: &[Group], n: usize) -> Table {
    let columns = described(&[
        ("l", "", "projected length", Integer),
        ("mechanism", "", "the mechanism with its parameters but l", Text),
        ("fit", "", "train: on the windows that its parts were fitted on; held-out: on others", Text),
        ("out_err", "", "output_rel_fro: ||O - B v||_F / ||O||_F, mean over heads", Fixed(3)),
        ("low", "", "lower end of its Student's 95 % interval over heads, cut at 0", Fixed(3)),
        ("high", "", "upper end of it", Fixed(3)),
        ("mat_err", "", "matrix_rel_fro: ||A - B||_F / ||A||_F, mean over heads", Fixed(3)),
        (
            "gap",
            "",
            "mat_err over the mean of the smallest one that any matrix of this rank has on the same heads",
            Fixed(2),
        ),
        ("row_tv", "", "mean over rows of sum |a - b| / 2; of l keys top-k has the smallest", Fixed(2)),
        ("row_kl", "nats", "mean over rows of sum a ln(a / b), b of 1e-30 or more", Fixed(2)),
    ]);
    let title = format!("Error of the stand-ins for softmax attention: {}, n = {n}", source.name());
    let mut table = Table::new(title, columns);
    let [output, matrix, tv, kl] = ["output_rel_fro", "matrix_rel_fro", "row_tv", "row_kl"].map(place);
    let mut by_length: BTreeMap<(bool, usize), Vec<Shown<'_>>> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.n == n) {
        if let Some((mean, interval)) = group.interval(output) {
            let key = (group.l.is_none(), group.l.unwrap_or(0));
            by_length.entry(key).or_default().push((group, mean, interval));
        }
    }
    for (_, mut rows) in by_length {
        rows.sort_by(|a, b| a.1.total_cmp(&b.1));
        for (group, mean, interval) in &rows {
            let mean_of = |metric: usize| group.values(metric).map(|values| stats::mean(&values));
            table.push(vec![
                group.l.into(),
                group.name(job.candidates).into(),
                group.role.name().into(),
                (*mean).into(),
                // An error cannot be below 0.
                interval.map(|interval| interval.low.max(0.0)).into(),
                interval.map(|interval| interval.high).into(),
                mean_of(matrix).into(),
                group.gap().map(|(gap, _)| gap).into(),
                mean_of(tv).into(),
                mean_of(kl).into(),
            ]);
        }
    }
    without(table, "fit", !job.candidates.iter().any(|one| one.fitted))
}

/// The table without a column that would hold nothing.
fn without(table: Table, name: &str, empty: bool) -> Table {
    if !empty {
        return table;
    }
    let names: Vec<String> =
        table.columns.iter().map(|column| column.name.clone()).filter(|column| column != name).collect();
    table.select(&names).unwrap_or(table)
}
