//! The main table: time, rate and memory of every cell.

use super::super::cell::Form;
use super::super::options::{Measure, Unit};
use super::super::record::State;
use super::super::settings::Settings;
use super::columns::{S3, S4, TEXT, WHOLE};
use super::fit;
use super::row::{self, Time};
use super::sweep::{Measured, Sweep};
use crate::report::{Cell as Value, Table};
use crate::stats::Verdict;
use crate::study::columns::{Described, described};

/// Time, rate and memory of every cell, by length and then by time.
pub(super) fn table(sweep: &Sweep, settings: &Settings) -> Table {
    let timed = settings.measures(Measure::Time);
    let mut columns: Vec<Described<'_>> = vec![
        ("n", "", "sequence length in tokens", WHOLE),
        ("mechanism", "", "the mechanism, exact attention by its form", TEXT),
        ("l", "", "projected length", WHOLE),
        ("gflop", "", "FLOPs of the products in units of 10^9", S3),
    ];
    if timed {
        columns.extend([
            ("time", "ms", "median over rounds of one pass", S3),
            ("tied", "", "~: its ratio to the row above may be 1; *: predicted; 1: one run", TEXT),
            ("speedup", "", "over fused exact attention, in the same rounds", S3),
            ("low", "", "lower end of its 95 % interval", S3),
            ("high", "", "upper end of it", S3),
            ("peak", "%", "rate over that of this machine's matrix product", WHOLE),
        ]);
    }
    if settings.measures(Measure::Memory) {
        columns.push(("memory", "KiB", "maximum held at once beyond inputs and outputs", S4));
    }
    let mut table = Table::new(title(settings), described(&columns));
    let mut cells: Vec<(&Measured, Option<Time>)> =
        sweep.cells.iter().map(|one| (one, row::time(sweep, one))).collect();
    let order = |time: &Option<Time>| time.map_or(f64::INFINITY, |time| time.mid);
    cells.sort_by(|a, b| (a.0.cell.n.cmp(&b.0.cell.n)).then(order(&a.1).total_cmp(&order(&b.1))));
    let mut above: Option<&Measured> = None;
    for (one, time) in cells {
        let cell = &one.cell;
        let mut row: Vec<Value> = vec![
            cell.n.into(),
            cell.title().into(),
            cell.l.into(),
            (one.facts.cost.flops() as f64 / 1e9).into(),
        ];
        if timed {
            let speedup = row::speedup(sweep, one, Form::Fused);
            let ends = speedup.and_then(|(_, interval)| interval);
            let rate = time
                .filter(|time| !time.predicted)
                .map(|time| one.facts.cost.flops() as f64 / time.mid / 1e9);
            let tied = mark(one, time, above.filter(|above| above.cell.n == cell.n));
            row.extend([
                time.map(|time| 1e3 * time.mid).into(),
                Some(tied).filter(|tied| !tied.is_empty()).into(),
                speedup.map(|(mid, _)| mid).into(),
                ends.map(|ends| ends.low).into(),
                ends.map(|ends| ends.high).into(),
                rate.and_then(|rate| Some(100.0 * rate / sweep.peak()?)).into(),
            ]);
        }
        if settings.measures(Measure::Memory) {
            row.push(one.extra_bytes().map(|bytes| bytes as f64 / 1024.0).into());
        }
        table.push(row);
        above = Some(one);
    }
    table
}

/// Whether the time differs from that of the row above, and whether it was measured.
fn mark(one: &Measured, time: Option<Time>, above: Option<&Measured>) -> String {
    let tied = || {
        let above = above.filter(|above| !above.times.is_empty() && !one.times.is_empty())?;
        (fit::compare(one, above, 0.05) == Verdict::Undecided).then_some("~")
    };
    let how = match (&one.state, time) {
        (_, Some(time)) if time.predicted => "*",
        (State::Once, _) => "1",
        _ => "",
    };
    format!("{}{how}", tied().unwrap_or_default())
}

fn title(settings: &Settings) -> String {
    let Settings { heads, head_dim, batch, layers, ffn, .. } = settings;
    let what = match settings.unit {
        Unit::Core => format!("bare attention, {heads} heads of {head_dim}"),
        Unit::Layer => format!("a layer of width {}, {heads} heads, ffn {ffn}", settings.d()),
        Unit::Encoder => {
            format!("an encoder of {layers} layers of width {}, {heads} heads, ffn {ffn}", settings.d())
        }
    };
    let batch = if *batch == 1 { String::new() } else { format!(", batch {batch}") };
    let mask = if settings.causal() { ", causal" } else { "" };
    format!("Cost of {what}{batch}{mask}, {} pass", settings.pass.name())
}
