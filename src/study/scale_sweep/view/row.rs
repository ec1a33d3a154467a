//! The full result: one row a cell.

use super::super::cell::{Cell, Form};
use super::super::plan::Plan;
use super::super::record::State;
use super::super::settings::Settings;
use super::fit;
use super::sweep::{Measured, Sweep};
use crate::report::{Cell as Value, Column, Digits, Table};
use crate::stats::{self, Interval};

/// The columns, in their order: name, unit, about, digits.
const COLUMNS: &[(&str, &str, &str, Digits)] = &[
    ("mechanism", "", "the mechanism with its parameters but l", Digits::Text),
    (
        "form",
        "",
        "fused: no n x n array; n x n: the matrices are computed and held; reference: counted only",
        Digits::Text,
    ),
    ("n", "tokens", "sequence length, of queries and of keys", Digits::Integer),
    ("l", "rows", "projected length: rows of P or E, random features, width of a window", Digits::Integer),
    ("heads", "", "heads h", Digits::Integer),
    ("head_dim", "", "width d_h of a head", Digits::Integer),
    ("batch", "", "sequences", Digits::Integer),
    (
        "unit",
        "",
        "core: bare attention; layer, encoder: with projections, norms, feed-forward network",
        Digits::Text,
    ),
    ("mask", "", "full or causal", Digits::Text),
    ("pass", "", "forward, or train: forward and backward", Digits::Text),
    ("flops", "", "2 macs", Digits::Significant(4)),
    ("macs", "", "multiply-adds of all products, in closed form", Digits::Significant(4)),
    ("exps", "", "exponentials, in closed form; not part of the FLOPs", Digits::Significant(4)),
    ("divs", "", "divisions, in closed form; not part of the FLOPs", Digits::Significant(4)),
    (
        "bytes",
        "bytes",
        "inputs, learned parameters and outputs once; matrices that are computed, written and read",
        Digits::Significant(4),
    ),
    (
        "flops_counted",
        "",
        "2 multiply-adds that the tiles of the timed code counted as they ran",
        Digits::Significant(4),
    ),
    (
        "time_s",
        "s",
        "median over rounds of one pass; of a predicted row, the line through shorter lengths",
        Digits::Significant(4),
    ),
    (
        "time_low_s",
        "s",
        "lower end of its 95 % interval over rounds, from 6 rounds on (predicted: of the prediction)",
        Digits::Significant(4),
    ),
    ("time_high_s", "s", "upper end of it", Digits::Significant(4)),
    ("rounds", "", "rounds that it was timed in", Digits::Integer),
    ("gflop_per_s", "GFLOP/s", "flops / time_s", Digits::Significant(4)),
    (
        "peak_fraction",
        "",
        "gflop_per_s over the fastest round of this machine's own products of 1024 x 1024 matrices",
        Digits::Significant(3),
    ),
    (
        "extra_memory_bytes",
        "bytes",
        "maximum allocated at once beyond inputs and outputs (of layers forward and backward: saved activations, work space, both copies of the upstream gradient, the output and the gradient of the input)",
        Digits::Significant(4),
    ),
    ("extra_memory_formula_bytes", "bytes", "the same in closed form", Digits::Significant(4)),
    (
        "rss_growth_bytes",
        "bytes",
        "growth of the resident set of a process that does nothing else",
        Digits::Significant(4),
    ),
    ("speedup", "", "time of fused exact attention over its own: median over rounds", Digits::Significant(3)),
    ("speedup_low", "", "lower end of its 95 % interval over rounds", Digits::Significant(3)),
    ("speedup_high", "", "upper end of it", Digits::Significant(3)),
    (
        "speedup_n_x_n",
        "",
        "time of exact attention with n x n matrices over its own: median over rounds",
        Digits::Significant(3),
    ),
    (
        "memory_ratio",
        "",
        "extra memory over that of exact attention with n x n matrices",
        Digits::Significant(3),
    ),
    (
        "output_rel_fro",
        "",
        "||O - B v||_F / ||O||_F against softmax attention on the input, mean over heads and windows",
        Digits::Significant(4),
    ),
    ("output_rel_fro_low", "", "lower end of its 95 % bootstrap interval over heads", Digits::Significant(4)),
    ("output_rel_fro_high", "", "upper end of it", Digits::Significant(4)),
    (
        "gate_output",
        "",
        "maximum difference of the timed code's output from the reference implementation's, over the largest element, on a \
         smaller input; nothing above 1e-4 is timed",
        Digits::Significant(2),
    ),
    (
        "gate_gradients",
        "",
        "maximum difference of its directional derivatives from those of the reference implementation in f64, over the norm \
         of the gradient; nothing above 1e-4 is timed; empty for a forward pass",
        Digits::Significant(2),
    ),
    ("state", "", "measured, once, counted, predicted, skipped or left out, and why", Digits::Text),
];

/// The columns of the result.
pub fn columns() -> Vec<Column> {
    COLUMNS.iter().map(|(name, unit, about, digits)| Column::new(*name, *unit, *about, *digits)).collect()
}

/// A time, and how it came about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    pub(super) mid: f64,
    pub(super) ends: Option<(f64, f64)>,
    pub(super) predicted: bool,
}

/// The time of a cell: over rounds, of its only run, or predicted from shorter lengths.
pub(super) fn time(sweep: &Sweep, one: &Measured) -> Option<Time> {
    if !one.times.is_empty() {
        let seconds = one.seconds();
        let ends = stats::median_interval(&seconds).map(|interval| (interval.low, interval.high));
        return Some(Time { mid: stats::median(&seconds), ends, predicted: false });
    }
    if one.state == State::Once {
        return Some(Time { mid: one.probe.as_ref()?.first_s, ends: None, predicted: false });
    }
    let skipped = matches!(&one.state, State::Skipped(_)) && one.cell.form != Form::Reference;
    let found = fit::predicted(sweep, &one.cell).filter(|_| skipped)?;
    let ends = (!found.low.is_nan()).then_some((found.low, found.high));
    Some(Time { mid: found.mid, ends, predicted: true })
}

/// The time of exact attention in this form over the cell's own, within rounds.
pub(super) fn speedup(sweep: &Sweep, one: &Measured, form: Form) -> Option<(f64, Option<Interval>)> {
    let exact = sweep.exact(form, one.cell.n)?;
    let ratios: Vec<f64> =
        one.times.iter().filter_map(|(round, own)| Some(exact.times.get(round)? / own)).collect();
    (!ratios.is_empty()).then(|| (stats::median(&ratios), stats::median_interval(&ratios)))
}

/// Extra memory over that of exact attention with its matrices.
pub(super) fn memory_ratio(sweep: &Sweep, one: &Measured) -> Option<f64> {
    let exact = sweep.exact(Form::Materialised, one.cell.n)?;
    Some(one.extra_bytes()? as f64 / exact.extra_bytes()? as f64)
}

/// The whole table.
pub(super) fn table(sweep: &Sweep, plan: &Plan, settings: &Settings) -> Table {
    let mut table = Table::new("Cost of attention", columns());
    for one in &sweep.cells {
        table.push(settings_of(&one.cell, settings).into_iter().chain(figures(sweep, one)).collect());
    }
    for (cell, why) in &plan.impossible {
        let mut row = settings_of(cell, settings);
        row.resize(COLUMNS.len() - 1, Value::from(None::<f64>));
        row.push(format!("left out ({why})").into());
        table.push(row);
    }
    table
}

/// The columns that say which cell a row is of.
fn settings_of(cell: &Cell, settings: &Settings) -> Vec<Value> {
    vec![
        cell.name.as_str().into(),
        cell.form.name().into(),
        cell.n.into(),
        cell.l.into(),
        settings.heads.into(),
        settings.head_dim.into(),
        settings.batch.into(),
        settings.unit.name().into(),
        settings.mask.name().into(),
        settings.pass.name().into(),
    ]
}

/// The other columns.
fn figures(sweep: &Sweep, one: &Measured) -> Vec<Value> {
    let whole = |count: u64| i64::try_from(count).ok();
    let (facts, probe) = (&one.facts, one.probe.as_ref());
    let time = time(sweep, one);
    let ends = time.and_then(|time| time.ends);
    let rate = time.map(|time| facts.cost.flops() as f64 / time.mid / 1e9);
    let [fused, made] = [Form::Fused, Form::Materialised].map(|form| speedup(sweep, one, form));
    let [of_speedup, of_error] = [fused, one.error].map(|found| found.and_then(|(_, interval)| interval));
    vec![
        whole(facts.cost.flops()).into(),
        whole(facts.cost.macs).into(),
        whole(facts.cost.exps).into(),
        whole(facts.cost.divs).into(),
        whole(facts.bytes).into(),
        // Earlier journals have no counts.
        probe.filter(|probe| probe.macs > 0).and_then(|probe| whole(2 * probe.macs)).into(),
        time.map(|time| time.mid).into(),
        ends.map(|ends| ends.0).into(),
        ends.map(|ends| ends.1).into(),
        Some(one.times.len()).filter(|rounds| *rounds > 0).into(),
        rate.into(),
        rate.and_then(|rate| Some(rate / sweep.peak()?)).into(),
        probe.and_then(|probe| probe.extra_bytes).and_then(whole).into(),
        facts.extra_bytes.and_then(whole).into(),
        probe.and_then(|probe| probe.rss_growth).and_then(whole).into(),
        fused.map(|(mid, _)| mid).into(),
        of_speedup.map(|interval| interval.low).into(),
        of_speedup.map(|interval| interval.high).into(),
        made.map(|(mid, _)| mid).into(),
        memory_ratio(sweep, one).into(),
        one.error.map(|(mean, _)| mean).into(),
        of_error.map(|interval| interval.low).into(),
        of_error.map(|interval| interval.high).into(),
        one.gate.map(|found| found.output).into(),
        one.gate.and_then(|found| found.gradients).into(),
        state(one, time).into(),
    ]
}

/// How the row came about, in words.
fn state(one: &Measured, time: Option<Time>) -> String {
    match &one.state {
        State::Measured => "measured".into(),
        State::Once => "once: no time for rounds".into(),
        State::Counted => "counted".into(),
        State::NotReached => "not reached".into(),
        State::Skipped(why) if time.is_some_and(|time| time.predicted) => {
            format!("predicted from shorter lengths ({why})")
        }
        State::Skipped(why) => format!("skipped ({why})"),
    }
}
