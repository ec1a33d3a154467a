//! The full result: one row a cell.

use super::fit;
use super::measure::{Measured, State, Sweep};
use super::settings::Settings;
use super::{
    cell::{Cell, Form},
    errors::Errors,
};
use crate::report::{Cell as Value, Column, Digits, Table};
use crate::stats::{self, Interval};

/// The columns, in their order: name, unit, about, digits.
const COLUMNS: &[(&str, &str, &str, Digits)] = &[
    ("mechanism", "", "the mechanism with its parameters but l", Digits::Text),
    (
        "form",
        "",
        "fused: no n x n array; n x n: the matrices are made and held; reference: counted only",
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
    ("exps", "", "exponentials, in closed form; not among the FLOPs", Digits::Significant(4)),
    ("divs", "", "divisions, in closed form; not among the FLOPs", Digits::Significant(4)),
    (
        "bytes",
        "bytes",
        "inputs, learned pieces and outputs once, and matrices that are made, written and read",
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
        "the most that was allocated at once beyond inputs and outputs (of layers both ways: what they keep, work space, both copies of the upstream gradient, the output and the gradient of the input)",
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
        "largest difference of the timed code's output from the reference implementation's, over the largest number of it, on \
         a smaller input; a time is only there where it is 1e-4 or less",
        Digits::Significant(2),
    ),
    (
        "gate_gradients",
        "",
        "largest difference of a slope that its gradients give from that of the reference implementation in f64, over the \
         length of the gradient; a time is only there where it is 1e-4 or less; none of a forward pass",
        Digits::Significant(2),
    ),
    ("state", "", "measured, once, counted, predicted, skipped or left out, and why", Digits::Text),
];

pub(super) fn columns() -> Vec<Column> {
    COLUMNS.iter().map(|(name, unit, about, digits)| Column::new(*name, *unit, *about, *digits)).collect()
}

/// A time, and how it came about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    pub(super) mid: f64,
    pub(super) ends: Option<(f64, f64)>,
    pub(super) predicted: bool,
}

/// The time of a cell: over rounds, of its one run, or as its line predicts.
pub(super) fn time(sweep: &Sweep, one: &Measured) -> Option<Time> {
    if !one.times.is_empty() {
        let seconds: Vec<f64> = one.times.values().copied().collect();
        let interval = stats::median_interval(&seconds);
        let ends = interval.map(|interval| (interval.low, interval.high));
        return Some(Time { mid: stats::median(&seconds), ends, predicted: false });
    }
    if one.state == State::Once {
        let mid = one.probe.as_ref()?.first_s;
        return Some(Time { mid, ends: None, predicted: false });
    }
    let skipped = matches!(&one.state, State::Skipped(_)) && one.cell.form != Form::Reference;
    let found = fit::predicted(sweep, &one.cell).filter(|_| skipped)?;
    let ends = (!found.low.is_nan()).then_some((found.low, found.high));
    Some(Time { mid: found.mid, ends, predicted: true })
}

/// How many times as long exact attention of this form takes, in the same rounds.
pub(super) fn speedup(sweep: &Sweep, one: &Measured, form: Form) -> Option<(f64, Option<Interval>)> {
    let exact = sweep.cells.iter().find(|other| other.cell.is_exact(form, one.cell.n))?;
    let ratios: Vec<f64> =
        one.times.iter().filter_map(|(round, own)| Some(exact.times.get(round)? / own)).collect();
    // A time that was not measured in the same rounds, or not at all, gives no ratio.
    if ratios.is_empty() {
        return None;
    }
    Some((stats::median(&ratios), stats::median_interval(&ratios)))
}

/// Bytes beyond inputs and outputs: what was measured, or else the closed form.
pub(super) fn extra(one: &Measured) -> Option<u64> {
    one.probe.as_ref().and_then(|probe| probe.extra_bytes).or(one.facts.extra_bytes)
}

/// The whole table.
pub(super) fn table(sweep: &Sweep, settings: &Settings, errors: &Errors, seed: u64) -> Table {
    let mut table = Table::new("Cost of attention", columns());
    let whole = |count: u64| i64::try_from(count).ok();
    for one in &sweep.cells {
        let (cell, facts, probe) = (&one.cell, &one.facts, one.probe.as_ref());
        let time = time(sweep, one);
        let rate = time.map(|time| facts.cost.flops() as f64 / time.mid / 1e9);
        let (fused, made) = (speedup(sweep, one, Form::Fused), speedup(sweep, one, Form::Materialised));
        let interval = fused.and_then(|(_, interval)| interval);
        let exact = sweep.cells.iter().find(|other| other.cell.is_exact(Form::Materialised, cell.n));
        let ratio = exact.and_then(|exact| Some(extra(one)? as f64 / extra(exact)? as f64));
        let error = errors.of(cell, seed);
        let mut row = which(cell, settings);
        let figures: Vec<Value> = vec![
            whole(facts.cost.flops()).into(),
            whole(facts.cost.macs).into(),
            whole(facts.cost.exps).into(),
            whole(facts.cost.divs).into(),
            whole(facts.bytes).into(),
            // Rows of older journals counted nothing.
            probe.filter(|probe| probe.macs > 0).and_then(|probe| whole(2 * probe.macs)).into(),
            time.map(|time| time.mid).into(),
            time.and_then(|time| time.ends).map(|ends| ends.0).into(),
            time.and_then(|time| time.ends).map(|ends| ends.1).into(),
            Some(one.times.len()).filter(|rounds| *rounds > 0).into(),
            rate.into(),
            rate.and_then(|rate| Some(rate / sweep.peak()?)).into(),
            probe.and_then(|probe| probe.extra_bytes).and_then(whole).into(),
            facts.extra_bytes.and_then(whole).into(),
            probe.and_then(|probe| probe.rss_growth).and_then(whole).into(),
            fused.map(|(mid, _)| mid).into(),
            interval.map(|interval| interval.low).into(),
            interval.map(|interval| interval.high).into(),
            made.map(|(mid, _)| mid).into(),
            ratio.into(),
            error.map(|(mean, _)| mean).into(),
            error.and_then(|(_, interval)| interval).map(|interval| interval.low).into(),
            error.and_then(|(_, interval)| interval).map(|interval| interval.high).into(),
            one.gate.map(|found| found.output).into(),
            one.gate.and_then(|found| found.gradients).into(),
            state(one, time).into(),
        ];
        row.extend(figures);
        table.push(row);
    }
    for (cell, why) in &sweep.impossible {
        let mut row = which(cell, settings);
        row.resize(COLUMNS.len() - 1, Value::from(None::<f64>));
        row.push(format!("left out ({why})").into());
        table.push(row);
    }
    table
}

/// What a row is of.
fn which(cell: &Cell, settings: &Settings) -> Vec<Value> {
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

/// How the row came about, in words.
pub(super) fn state(one: &Measured, time: Option<Time>) -> String {
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
