//! Notes below the tables: what this result needs to be read, the most important first.

use std::collections::BTreeSet;

use super::super::cell::Form;
use super::super::gate::Agreement;
use super::super::options::{Measure, Pass, Unit};
use super::super::plan::Plan;
use super::super::record::{Records, State};
use super::super::settings::Settings;
use super::sweep::{Measured, Sweep};
use super::{fit, pays, published, row};

/// Every note.
pub(super) fn all(
    sweep: &Sweep,
    plan: &Plan,
    settings: &Settings,
    records: &Records,
    seed: u64,
) -> Vec<String> {
    let is = |test: &dyn Fn(&Measured) -> bool| sweep.cells.iter().any(test);
    let mut notes: Vec<String> = (!records.complete).then(|| interrupted(sweep)).into_iter().collect();
    notes.extend(left_out(plan));
    notes.extend(published::changed(settings));
    if let Some((min, max)) = sweep.rounds() {
        let rounds = if min < max { format!("{min} to {max}") } else { max.to_string() };
        notes.push(format!(
            "times: medians over {rounds} rounds, with 95 % intervals from 6 rounds on; speedups are medians of ratios within a \
             round; ~: not distinguishable from the time of the row above"
        ));
        notes.extend(noise(sweep));
    }
    if is(&|one| row::time(sweep, one).is_some_and(|time| time.predicted)) {
        notes.push(
            "*: not run (see state); predicted by the line through its longest measured lengths".into(),
        );
    }
    if is(&|one| one.state == State::Once) && settings.measures(Measure::Time) {
        notes.push("1: one run, without an interval".into());
    }
    notes.extend(pays::note(sweep, seed));
    notes.extend(gate(sweep));
    if is(&|one| one.cell.form == Form::Reference) {
        notes.push("mechanisms with a reference implementation only are counted, not timed".into());
    }
    notes.extend(counting(sweep, settings));
    if settings.measures(Measure::Memory) {
        notes.extend(memory(sweep, settings));
    }
    let errors = &records.errors;
    notes.extend(errors.input.as_ref().map(|input| format!("errors: output_rel_fro on {input}")));
    notes.extend(errors.width.filter(|width| *width != settings.head_dim).map(|width| {
        format!("errors are of heads of width {width}, costs of heads of width {}", settings.head_dim)
    }));
    notes.extend(errors.notes.iter().cloned());
    notes
}

/// The timing noise, by a second copy of the fastest cell of each length.
fn noise(sweep: &Sweep) -> Option<String> {
    let noise = fit::noise(sweep);
    let ratio = |(n, ratio): &(usize, crate::stats::Interval)| {
        format!("{:.2} ({:.2}-{:.2}) at n = {n}", ratio.mid, ratio.low, ratio.high)
    };
    let ratios: Vec<String> = noise.iter().map(ratio).collect();
    (!ratios.is_empty()).then(|| {
        format!("noise (A/A test): a second copy of the fastest cell over the first: {}", ratios.join(", "))
    })
}

/// What cannot be measured, and why.
fn left_out(plan: &Plan) -> Vec<String> {
    let mechanisms = plan.unusable.iter().map(|(spec, why)| format!("{spec} {why}"));
    let cells = plan.impossible.iter().map(|(cell, why)| format!("{} at n = {} {why}", cell.spec, cell.n));
    let above_n = plan.above_n.iter().map(|(l, n)| format!("l = {l} up to n = {n} is above n"));
    let all: Vec<String> = mechanisms.chain(cells).chain(above_n).collect();
    if all.is_empty() { Vec::new() } else { vec![format!("left out: {}", all.join("; "))] }
}

/// How near timed code was to its reference implementation.
fn gate(sweep: &Sweep) -> Option<String> {
    let timed = || sweep.cells.iter().filter(|one| !one.times.is_empty());
    let checked = || timed().filter_map(|one| one.gate).filter(|found| found.refusal().is_none());
    let worst = |of: fn(&Agreement) -> Option<f64>| checked().filter_map(|found| of(&found)).reduce(f64::max);
    let output = worst(|found| Some(found.output))?;
    let gradients = worst(|found| found.gradients);
    let gradients = gradients.map_or(String::new(), |off| format!(", gradients by {off:.0e}"));
    Some(format!(
        "checked before timing, on a smaller input: outputs differ from the reference implementations by at most \
         {output:.0e} (relative){gradients}"
    ))
}

/// What FLOPs include where that is not obvious.
fn counting(sweep: &Sweep, settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    let train = settings.pass == Pass::Train;
    if settings.unit == Unit::Core && sweep.cells.iter().any(|one| one.cell.kind.name == "luna") {
        notes.push(if train || settings.measures(Measure::Error) {
            "luna packs keys and values separately here: 5 n l d_h multiply-adds a head forward (4 in its layer)".into()
        } else {
            "luna packs once, as in its layer: 4 n l d_h multiply-adds a head (5 as a stand-in on given keys and values)".into()
        });
    }
    if settings.unit != Unit::Core && train {
        notes.push("train: gradients of the input and of all weights, without the optimiser".into());
    }
    if settings.causal() {
        notes.push("causal: fused implementations count visible pairs, n x n matrices all pairs".into());
    }
    notes
}

/// What an interrupted sweep reached, and what is missing.
fn interrupted(sweep: &Sweep) -> String {
    let (all, run) = (sweep.cells.len(), sweep.cells.iter().filter(|one| one.probe.is_some()).count());
    let missing = sweep.cells.iter().filter(|one| one.state == State::NotReached);
    let lengths: BTreeSet<usize> = missing.map(|one| one.cell.n).collect();
    let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
    let missing =
        if lengths.is_empty() { String::new() } else { format!("; missing at n = {}", lengths.join(", ")) };
    format!("interrupted: {run} of {all} cells were run{missing}; everything below is about the others only")
}

/// What memory includes where that is not obvious.
fn memory(sweep: &Sweep, settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    let layers_train = settings.unit != Unit::Core && settings.pass == Pass::Train;
    if layers_train {
        notes.push(
            "memory: saved activations, work space, both copies of the upstream gradient, output and input gradient".into(),
        );
    }
    if sweep.cells.iter().all(|one| one.probe.as_ref().is_none_or(|probe| probe.extra_bytes.is_none())) {
        notes.push("memory is the closed form: allocations were not counted".into());
    }
    let causal_luna = sweep.cells.iter().any(|one| one.cell.kind.name == "luna-causal");
    if rayon::current_num_threads() > 1 && settings.unit != Unit::Core && (layers_train || causal_luna) {
        let of = if layers_train { "layers" } else { "luna-causal's layers" };
        notes.push(format!(
            "the closed form of the memory of {of} is an upper bound: all threads work at once"
        ));
    }
    notes
}
