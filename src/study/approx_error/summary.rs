//! Means over heads and windows with intervals: what people read.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::Asked;
use super::fits::Role;
use super::measure::{Job, Measured, Optimum, metrics};
use super::rows::place;
use crate::attention::{Mask, Under};
use crate::report::{Column, Digits, Table};
use crate::stats::{self, Interval};
use crate::study::input::Source;

/// A mechanism on one length in one role: the mean over windows of every head.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) n: usize,
    /// Its place among the mechanisms; none for the optimum of an l.
    pub(super) asked: Option<usize>,
    pub(super) l: Option<usize>,
    pub(super) role: Role,
    /// Which heads of this length were measured, by their place among them.
    pub(super) places: Vec<usize>,
    /// By head, in the order of the heads: values of [`metrics`], of which the optimum knows three.
    pub(super) heads: Vec<Vec<Option<f64>>>,
    /// By head: what the best matrix of the same rank leaves, where the rank is bounded.
    pub(super) optima: Vec<Option<f64>>,
}

impl Group {
    /// Every group, mechanisms in the order asked for, then the optimum at every l.
    pub(super) fn all(job: &Job<'_>, measured: &[Measured]) -> Vec<Self> {
        let mut groups = Vec::new();
        for window_sets in measured.chunk_by(|a, b| a.n == b.n) {
            let n = window_sets[0].n;
            for (at, asked) in job.asked.iter().enumerate() {
                let roles: &[Role] =
                    if asked.fitted { &[Role::HeldOut, Role::Train] } else { &[Role::Judged] };
                groups.extend(roles.iter().filter_map(|role| Self::of(job, window_sets, n, at, *role)));
            }
            groups.extend(job.lengths.iter().filter_map(|l| Self::floor(job, window_sets, n, *l)));
        }
        groups
    }

    fn of(job: &Job<'_>, measured: &[Measured], n: usize, at: usize, role: Role) -> Option<Self> {
        let (mut places, mut heads, mut optima) = (Vec::new(), Vec::new(), Vec::new());
        for (place, head) in by_head(measured).enumerate() {
            let cells: Vec<_> = head
                .iter()
                .flat_map(|one| one.cells.iter().filter(|cell| cell.asked == at && cell.role == role))
                .collect();
            if cells.is_empty() {
                continue;
            }
            let mean = |value: &dyn Fn(usize) -> Option<f64>| {
                let all: Option<Vec<f64>> = (0..cells.len()).map(value).collect();
                all.map(|all| stats::mean(&all))
            };
            places.push(place);
            heads.push((0..metrics().count()).map(|i| mean(&|c| Some(cells[c].values[i]))).collect());
            optima.push(mean(&|c| cells[c].optimum.map(|best| best.rel_fro)));
        }
        let l = job.asked[at].l;
        (!heads.is_empty()).then_some(Self { n, asked: Some(at), l, role, places, heads, optima })
    }

    fn floor(job: &Job<'_>, measured: &[Measured], n: usize, l: usize) -> Option<Self> {
        let known = ["matrix_rel_fro", "matrix_rel_spectral", "output_rel_fro"].map(place);
        let (mut places, mut heads) = (Vec::new(), Vec::new());
        for (place, head) in by_head(measured).enumerate() {
            let judged = head.iter().filter(|one| job.fits.is_judged(one.window));
            let best: Vec<Optimum> = judged
                .flat_map(|one| one.floor.iter().filter(|(at, _)| *at == l).map(|(_, best)| *best))
                .collect();
            // Of a run that was interrupted, some heads have no judged window yet.
            if best.is_empty() {
                continue;
            }
            let count = best.len() as f64;
            let mut values: Vec<Option<f64>> = vec![None; metrics().count()];
            for best in &best {
                let least = [best.rel_fro, best.rel_spectral, best.output_rel_fro];
                for (at, value) in known.into_iter().zip(least) {
                    *values[at].get_or_insert(0.0) += value / count;
                }
            }
            places.push(place);
            heads.push(values);
        }
        let optima = vec![None; heads.len()];
        (!heads.is_empty()).then_some(Self {
            n,
            asked: None,
            l: Some(l),
            role: Role::Judged,
            places,
            heads,
            optima,
        })
    }

    /// What stands in tables and legends.
    pub(super) fn name<'a>(&self, asked: &'a [Asked]) -> &'a str {
        self.asked.map_or(OPTIMUM, |at| &asked[at].name)
    }

    /// The values of one metric, one a head, where it is known.
    pub(super) fn values(&self, metric: usize) -> Option<Vec<f64>> {
        self.heads.iter().map(|head| head[metric]).collect()
    }

    /// The mean of one metric over heads, with Student's interval over heads if there are several.
    pub(super) fn interval(&self, metric: usize) -> Option<(f64, Option<Interval>)> {
        let values = self.values(metric)?;
        Some((stats::mean(&values), stats::student_mean(&values)))
    }

    /// How many times the mean error of the best matrices of its rank its own mean error is, with Student's interval
    /// over heads if there are several.
    fn gap(&self) -> Option<(f64, Option<Interval>)> {
        let (values, best) = (
            self.values(place("matrix_rel_fro"))?,
            self.optima.iter().copied().collect::<Option<Vec<f64>>>()?,
        );
        // An optimum of 0 (the matrices have that rank themselves) leaves no gap to speak of.
        let least = Some(stats::mean(&best)).filter(|least| *least > 1e-6)?;
        Some((stats::mean(&values) / least, stats::student_ratio(&values, &best)))
    }
}

/// The windows of each head, of measurements of one length.
pub(super) fn by_head(measured: &[Measured]) -> impl Iterator<Item = &[Measured]> {
    measured.chunk_by(|a, b| a.label == b.label && a.head == b.head && a.layer == b.layer)
}

/// A group, the mean of a metric over its heads, and the interval of it.
type Shown<'a> = (&'a Group, f64, Option<Interval>);

/// What the best matrix of a rank is called in tables.
pub(super) const OPTIMUM: &str = "best of rank l (SVD)";

/// The table that people read: sorted by the output error at equal l.
pub(super) fn table(source: &dyn Source, job: &Job<'_>, groups: &[Group], n: usize) -> Table {
    let columns = [
        ("l", "projected length", Digits::Integer),
        ("mechanism", "the mechanism with its parameters but l", Digits::Text),
        ("fit", "train: on the windows that its pieces were fitted on; held-out: on others", Digits::Text),
        ("out_err", "output_rel_fro: ||O - B v||_F / ||O||_F, mean over heads", Digits::Fixed(3)),
        ("low", "lower end of its Student's 95 % interval over heads, cut at 0", Digits::Fixed(3)),
        ("high", "upper end of it", Digits::Fixed(3)),
        ("mat_err", "matrix_rel_fro: ||A - B||_F / ||A||_F, mean over heads", Digits::Fixed(3)),
        (
            "gap",
            "mat_err over the mean of the least that a matrix of this rank leaves of the same heads",
            Digits::Fixed(2),
        ),
        ("row_kl", "mean over rows of sum a ln(a / b), b taken as 1e-30 at least", Digits::Fixed(2)),
    ]
    .map(|(name, about, digits)| {
        Column::new(name, if name == "row_kl" { "nats" } else { "" }, about, digits)
    });
    let title = format!("Error of the stand-ins for softmax attention: {}, n = {n}", source.name());
    let mut table = Table::new(title, columns.into());
    let (output, matrix, kl) = (place("output_rel_fro"), place("matrix_rel_fro"), place("row_kl"));
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
                group.name(job.asked).into(),
                group.role.name().into(),
                (*mean).into(),
                // An error cannot be below 0.
                interval.map(|interval| interval.low.max(0.0)).into(),
                interval.map(|interval| interval.high).into(),
                mean_of(matrix).into(),
                group.gap().map(|(gap, _)| gap).into(),
                mean_of(kl).into(),
            ]);
        }
    }
    without(table, "fit", !job.asked.iter().any(|asked| asked.fitted))
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

/// The columns of [`aggregated`].
pub(super) fn aggregated_columns() -> Vec<Column> {
    let key = |name: &str, about: &str, digits| Column::new(name, "", about, digits);
    let mut columns = vec![
        key("mechanism", "the mechanism with its parameters but l", Digits::Text),
        key("l", "projected length", Digits::Integer),
        key("fit", "train or held-out, of a mechanism with fitted pieces", Digits::Text),
        key("n", "rows of the attention matrix", Digits::Integer),
        key("heads", "heads that the means are over, each the mean of its windows", Digits::Integer),
    ];
    for metric in metrics() {
        let end = |end: &str, about: &str| {
            let name = format!("{}_{end}", metric.name);
            Column::new(name, metric.unit, format!("{about} of {}", metric.name), Digits::Significant(4))
        };
        columns.push(Column::new(metric.name, metric.unit, metric.about, Digits::Significant(4)));
        columns.extend([
            end("low", "lower end of Student's 95 % interval over heads"),
            end("high", "upper end"),
        ]);
    }
    columns.extend([
        key("gap", "matrix_rel_fro over the mean of optimal_rel_fro of the same heads", Digits::Fixed(3)),
        key("gap_low", "lower end of Student's 95 % interval of gap over heads", Digits::Fixed(3)),
        key("gap_high", "upper end of gap", Digits::Fixed(3)),
    ]);
    columns
}

/// One row a mechanism, l and role: means over heads and windows of every metric, with their intervals.
pub(super) fn aggregated(source: &dyn Source, job: &Job<'_>, groups: &[Group]) -> Table {
    let columns = aggregated_columns();
    let title = format!("Stand-ins for softmax attention, means over heads: {}", source.name());
    let mut table = Table::new(title, columns);
    for group in groups {
        let mut row = vec![
            group.name(job.asked).into(),
            group.l.into(),
            group.role.name().into(),
            group.n.into(),
            group.heads.len().into(),
        ];
        for metric in 0..metrics().count() {
            let found = group.interval(metric);
            let interval = found.and_then(|(_, interval)| interval);
            row.push(found.map(|(mean, _)| mean).into());
            row.push(interval.map(|interval| interval.low).into());
            row.push(interval.map(|interval| interval.high).into());
        }
        let gap = group.gap();
        let interval = gap.and_then(|(_, interval)| interval);
        row.push(gap.map(|(gap, _)| gap).into());
        row.push(interval.map(|interval| interval.low).into());
        row.push(interval.map(|interval| interval.high).into());
        table.push(row);
    }
    table
}

/// The names of the compared mechanisms of which something holds.
fn names(asked: &[Asked], holds: impl Fn(usize, &Asked) -> bool) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (at, one) in asked.iter().enumerate() {
        if !names.contains(&one.name.as_str()) && holds(at, one) {
            names.push(&one.name);
        }
    }
    names
}

/// What the means and intervals are over: only what was measured.
fn amount(job: &Job<'_>, measured: &[Measured]) -> Vec<String> {
    let mut notes = Vec::new();
    let fitted_on = job.fits.trained_on();
    let judged = measured.iter().filter(|one| job.fits.is_judged(one.window));
    let windows: BTreeSet<usize> = judged.clone().map(|one| one.window).collect();
    if fitted_on > 0 {
        let steps: Vec<f64> = (0..job.asked.len()).flat_map(|at| job.fits.steps(at)).collect();
        notes.push(format!(
            "fitted on windows 0 to {} (stopped after {:.0} steps in the median), and every mean in the tables but those marked train \
             is judged on the other {} windows only",
            fitted_on - 1,
            stats::median(&steps),
            windows.len()
        ));
    }
    for all in measured.chunk_by(|a, b| a.n == b.n) {
        let counts = by_head(all)
            .map(|head| head.iter().filter(|one| job.fits.is_judged(one.window)).count())
            .filter(|count| *count > 0);
        let mut heads_by_count: BTreeMap<usize, usize> = BTreeMap::new();
        counts.for_each(|count| *heads_by_count.entry(count).or_default() += 1);
        if heads_by_count.len() > 1 {
            let each =
                heads_by_count.iter().rev().map(|(count, heads)| format!("{heads} heads over {count}"));
            notes.push(format!(
                "interrupted: at n = {} means are not over the same windows: {}",
                all[0].n,
                each.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    let heads = judged.map(|one| (&one.label, one.layer, one.head)).collect::<BTreeSet<_>>().len();
    notes.push(if heads < 2 {
        "one head: no interval; means are over its windows".into()
    } else {
        format!(
            "intervals: Student's over {heads} heads, each the mean of its windows; they describe the heads of this model (or \
             of this list) on this text, not those of other models"
        )
    });
    notes
}

/// What a reader must know beside the numbers.
pub(super) fn notes(source: &dyn Source, job: &Job<'_>, measured: &[Measured]) -> Vec<String> {
    let mut notes = vec![
        "out_err and mat_err: relative Frobenius errors of the output B v and of the matrix B against softmax attention; \
         1 is as far off as an output of zeros"
            .to_string(),
        "best of rank l: the truncated SVD of the attention matrix; no matrix of that rank has a \
         smaller mat_err, while its out_err can be beaten (it does not know v)"
            .to_string(),
    ];
    let unbounded = names(job.asked, |at, one| {
        let mut cells = measured.iter().flat_map(|head| &head.cells);
        one.kind.name != "softmax" && cells.any(|cell| cell.asked == at && !cell.bounded)
    });
    if !unbounded.is_empty() {
        notes.push(format!(
            "no rank bound: {}; the best of rank l is no floor under their errors, and there is no gap",
            unbounded.join(", ")
        ));
    }
    notes.extend(amount(job, measured));
    let causal = source.mask() == Mask::Causal;
    if causal && job.asked.iter().any(|asked| asked.kind.under(Mask::Causal) == Under::Leaks) {
        notes.push(
            "svd under the causal mask is the best matrix of its rank, not a causal one: its rows reach ahead".into(),
        );
    }
    let loose = names(job.asked, |_, one| !one.kind.stochastic);
    if !loose.is_empty() {
        notes.push(format!(
            "rows of the matrices of {} do not sum to 1 in general (row_sum_drift): row_kl and row_tv compare them with \
             distributions all the same",
            loose.join(", ")
        ));
        notes.push(
            "row_kl takes entries of B below 1e-30 (zeros, and negative ones) as 1e-30: beyond about 10 it counts such \
             entries more than it measures distance"
                .into(),
        );
    }
    notes.extend(Asked::notes(job.asked, job.lengths, source.lengths()));
    notes
}
