//! The full result: one row a cell.

use super::super::cell::{Cell, Form};
use super::super::plan::Plan;
use super::super::record::State;
use super::super::settings::Settings;
use super::columns::{S2, S3, S4, TEXT, WHOLE};
use super::fit;
use super::sweep::{Measured, Sweep};
use crate::report::{Cell as Value, Table};
use crate::stats::{self, Interval};
use crate::study::Columns;
use crate::study::columns::{Described, described};

/// The columns, in their order.
const COLUMNS: &[Described<'static>] = &[
    ("mechanism", "", "the mechanism with its parameters but l", TEXT),
    ("form", "", "fused: no n x n array; n x n: with the matrices; reference: counted only", TEXT),
    ("n", "tokens", "sequence length, of queries and of keys", WHOLE),
    ("l", "rows", "projected length: rows of P or E, random features, width of a window", WHOLE),
    ("heads", "", "heads h", WHOLE),
    ("head_dim", "", "width d_h of a head", WHOLE),
    ("batch", "", "sequences", WHOLE),
    ("unit", "", "core: bare attention; layer or encoder: projections, norms and FFN too", TEXT),
    ("mask", "", "full or causal", TEXT),
    ("pass", "", "forward, or train: forward and backward", TEXT),
    ("flops", "", "2 macs", S4),
    ("macs", "", "multiply-adds of all products, in closed form", S4),
    ("exps", "", "exponentials, in closed form; not part of the FLOPs", S4),
    ("divs", "", "divisions, in closed form; not part of the FLOPs", S4),
    ("bytes", "bytes", "inputs, learned parameters, outputs once; matrices written and read", S4),
    ("flops_counted", "", "2 multiply-adds counted by the tiles of the timed code", S4),
    ("time_s", "s", "median over rounds of one pass; or predicted from shorter lengths", S4),
    ("time_low_s", "s", "lower end of its 95 % interval, from 6 rounds on, or of the prediction", S4),
    ("time_high_s", "s", "upper end of it", S4),
    ("rounds", "", "rounds that it was timed in", WHOLE),
    ("gflop_per_s", "GFLOP/s", "flops / time_s", S4),
    ("peak_fraction", "", "gflop_per_s over the fastest round of this machine's matrix products", S3),
    ("extra_memory_bytes", "bytes", "maximum allocated at once beyond inputs and outputs", S4),
    ("extra_memory_formula_bytes", "bytes", "the same in closed form", S4),
    ("rss_growth_bytes", "bytes", "growth of the resident set of a process that runs it once", S4),
    ("speedup", "", "time of fused exact attention over its own: median over rounds", S3),
    ("speedup_low", "", "lower end of its 95 % interval over rounds", S3),
    ("speedup_high", "", "upper end of it", S3),
    ("speedup_n_x_n", "", "the same over exact attention with n x n matrices", S3),
    ("memory_ratio", "", "extra memory over that of exact attention with n x n matrices", S3),
    ("output_rel_fro", "", "||O - B v||_F / ||O||_F, O of softmax; mean over heads and windows", S4),
    ("output_rel_fro_low", "", "lower end of its 95 % bootstrap interval over heads", S4),
    ("output_rel_fro_high", "", "upper end of it", S4),
    ("gate_output", "", "maximum relative difference from the reference's output (timed to 1e-4)", S2),
    ("gate_gradients", "", "maximum relative difference from the reference's gradients, in train", S2),
    ("state", "", "measured, once, counted, predicted, skipped or left out, and why", TEXT),
];

/// Those that say which measurement a row is.
const KEYS: [&str; 10] =
    ["mechanism", "form", "n", "l", "heads", "head_dim", "batch", "unit", "mask", "pass"];

/// Names in the tables that people read, and what they are called here.
const SHORT: &[(&str, &str)] =
    &[("time", "time_s"), ("memory", "extra_memory_bytes"), ("peak", "peak_fraction")];

/// The columns of the result.
pub fn columns() -> Columns {
    Columns { known: Some(described(COLUMNS)), keys: &KEYS, short: SHORT }
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
        let ends = stats::median_interval(&one.times).map(|interval| (interval.low, interval.high));
        return Some(Time { mid: stats::median(&one.times), ends, predicted: false });
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
    let ratios: Vec<f64> = exact.times.iter().zip(&one.times).map(|(exact, own)| exact / own).collect();
    (!ratios.is_empty()).then(|| (stats::median(&ratios), stats::median_interval(&ratios)))
}

/// Extra memory over that of exact attention with its matrices.
pub(super) fn memory_ratio(sweep: &Sweep, one: &Measured) -> Option<f64> {
    let exact = sweep.exact(Form::Materialised, one.cell.n)?;
    Some(one.extra_bytes()? as f64 / exact.extra_bytes()? as f64)
}

/// The whole table.
pub(super) fn table(sweep: &Sweep, plan: &Plan, settings: &Settings) -> Table {
    let mut table = Table::new("Cost of attention", described(COLUMNS));
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
        probe.and_then(|probe| whole(2 * probe.macs)).into(),
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
