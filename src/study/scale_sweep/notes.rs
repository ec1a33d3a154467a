//! What a reader must know beside the numbers, and how the sweep came about.

use std::collections::BTreeMap;

use super::cell::{Cell, Form};
use super::errors::Errors;
use super::gate::Agreement;
use super::measure::{State, Sweep};
use super::settings::Settings;
use super::{Measure, Pass, Unit, fit, pays, preset, row};
use crate::report::Report;
use crate::stats;

/// How the sweep came about.
pub(super) fn stamp(report: &mut Report, sweep: &Sweep, settings: &Settings, hash: &str) {
    let stamp = &mut report.stamp;
    stamp.push("study", "scale-sweep");
    stamp.push("sweep", hash);
    let median = |times: &BTreeMap<usize, f64>| {
        let seconds: Vec<f64> = times.values().copied().collect();
        (!seconds.is_empty()).then(|| stats::median(&seconds))
    };
    if let (Some(gemm), Some(triad)) = (median(&sweep.gemm), median(&sweep.triad)) {
        stamp.push("sgemm_gflop_per_s", sweep.gemm_flops / gemm / 1e9);
        stamp.push("triad_gb_per_s", sweep.triad_bytes / triad / 1e9);
    }
    stamp.push("rounds", sweep.gemm.len());
    if let Some(preset) = settings.preset {
        stamp.push("preset", preset.name);
    }
}

/// What a reader must know beside the numbers.
pub(super) fn all(sweep: &Sweep, settings: &Settings, errors: &Errors, seed: u64) -> Vec<String> {
    let mut notes = left_out(sweep, settings);
    let is = |name: &str| sweep.cells.iter().any(|one| one.cell.kind.name == name);
    let any = |state: fn(&State) -> bool| sweep.cells.iter().any(|one| state(&one.state));
    if !sweep.gemm.is_empty() {
        notes.push(format!(
            "times: medians of {} rounds, in each of which everything was timed once in a new order (work below 3 ms several \
             times over); intervals hold the true median in 95 of 100 cases whatever the distribution (none below 6 rounds), \
             speedups are medians of ratios within a round; ~ marks a time that is not told from that of the row above: the \
             interval of their ratio within a round holds 1, or there are fewer than 6 rounds",
            rounds(sweep)
        ));
        let noise: Vec<String> = fit::noise(sweep)
            .iter()
            .map(|(n, ratio)| format!("{:.2} ({:.2}-{:.2}) at n = {n}", ratio.mid, ratio.low, ratio.high))
            .collect();
        if !noise.is_empty() {
            notes.push(format!(
                "noise: a second copy of the quickest cell of each length takes this many times as long as the first: {}",
                noise.join(", ")
            ));
        }
    }
    if sweep.cells.iter().any(|one| row::time(sweep, one).is_some_and(|time| time.predicted)) {
        notes.push(
            "*: not run (state says why); predicted by the line through its longest measured lengths, where these are \
             three or more. No speedup is taken over a predicted time"
                .into(),
        );
    }
    if any(|state| *state == State::Once) && settings.measures(Measure::Time) {
        notes.push("1: run once, without an interval".into());
    }
    notes.extend(pays::note(sweep, seed));
    notes.extend(gate(sweep));
    if sweep.cells.iter().any(|one| one.cell.form == Form::Reference) {
        notes.push(
            "mechanisms that have only their obvious form here are counted and not timed: it is written to be read".into(),
        );
    }
    if settings.unit != Unit::Core && settings.pass == Pass::Train {
        notes.push(
            "layers both ways: gradients of the input and of all weights, no optimiser; every linear map is three products for its one"
                .into(),
        );
    }
    if settings.unit == Unit::Core && is("luna") {
        let both = settings.pass == Pass::Train || settings.measures(Measure::Error);
        notes.push(if both {
            "luna: keys and values are packed apart, 5 n l d_h multiply-adds a head in the forward pass; with keys that are \
             its values, as in its layer, it is 4 (a forward sweep without error)"
                .into()
        } else {
            "luna: packed once, its keys are its values, as in its layer, which projects the packed rows; as a stand-in \
             on given keys and values (approx-error) it packs both: 5 n l d_h multiply-adds a head instead of 4"
                .to_string()
        });
    }
    if settings.measures(Measure::Memory) {
        memory(sweep, settings, &mut notes);
    }
    if settings.causal() {
        notes.push("causal: fused forms count what the mask leaves open; with n x n matrices both products are whole".into());
    }
    notes.extend(
        errors
            .input
            .as_ref()
            .map(|input| format!("errors: output_rel_fro on {input}, as approx-error has it")),
    );
    if let Some(width) = errors.width.filter(|width| *width != settings.head_dim) {
        notes.push(format!(
            "errors are of heads of width {width}, costs of heads of width {}",
            settings.head_dim
        ));
    }
    notes.extend(errors.notes.iter().cloned());
    notes.extend(preset::changed(settings));
    notes
}

/// How many rounds there were: of all cells alike, or from the fewest to the most.
fn rounds(sweep: &Sweep) -> String {
    let counts = || sweep.cells.iter().map(|one| one.times.len()).filter(|count| *count > 0);
    match (counts().min(), counts().max()) {
        (Some(fewest), Some(most)) if fewest < most => format!("{fewest} to {most}"),
        (_, most) => most.unwrap_or(sweep.gemm.len()).to_string(),
    }
}

/// What was asked for and cannot be measured, and why.
fn left_out(sweep: &Sweep, settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    if !sweep.unusable.is_empty() {
        let all: Vec<String> = sweep.unusable.iter().map(|(spec, why)| format!("{spec} ({why})")).collect();
        notes.push(format!("left out: {}", all.join(", ")));
    }
    if !sweep.impossible.is_empty() {
        let all: Vec<String> = sweep
            .impossible
            .iter()
            .map(|(cell, why)| format!("{} at n = {} ({why})", cell.spec, cell.n))
            .collect();
        notes.push(format!("left out: {}", all.join(", ")));
    }
    let short = Cell::left_out(settings);
    if !short.is_empty() {
        notes.push(format!("left out, an l above n: {}", short.join(", ")));
    }
    notes
}

/// What agreed with what before it was timed.
fn gate(sweep: &Sweep) -> Option<String> {
    let timed = || sweep.cells.iter().filter(|one| !one.times.is_empty());
    let asked = || timed().filter_map(|one| one.gate).filter(|found| found.refusal().is_none());
    let worst = |of: fn(&Agreement) -> Option<f64>| asked().filter_map(|found| of(&found)).reduce(f64::max);
    let output = worst(|found| Some(found.output))?;
    let gradients = worst(|found| found.gradients);
    let gradients = gradients.map_or(String::new(), |off| format!(", gradients of {off:.0e}"));
    Some(format!(
        "checked before it was timed: the code of every timed row, on a smaller input, against a reference implementation; \
         largest relative difference of outputs {output:.0e}{gradients}"
    ))
}

/// What an interrupted sweep reached.
pub(super) fn interrupted(sweep: &Sweep) -> String {
    let (all, run) = (sweep.cells.len(), sweep.cells.iter().filter(|one| one.probe.is_some()).count());
    format!(
        "interrupted: not everything that was asked for is in this result; {run} of {all} cells were run, in {} rounds. \
         What follows is about those only",
        rounds(sweep)
    )
}

/// What memory is of.
fn memory(sweep: &Sweep, settings: &Settings, notes: &mut Vec<String>) {
    let what = if settings.unit != Unit::Core && settings.pass == Pass::Train {
        "memory: the most that is allocated at once, on all threads: what the layers keep between the passes, work space, \
         both copies of the upstream gradient, the output and the gradient of the input"
    } else {
        "memory: what the pass allocates beyond its inputs and its output, on all threads (work space of the blocks; \
         the matrices of n x n)"
    };
    notes.push(what.into());
    if sweep.cells.iter().all(|one| one.probe.as_ref().is_none_or(|probe| probe.extra_bytes.is_none())) {
        notes.push(
            "allocations were not counted (another allocator is in place): memory is the closed form".into(),
        );
    }
    let causal_luna = sweep.cells.iter().any(|one| one.cell.kind.name == "luna-causal");
    let several = rayon::current_num_threads() > 1;
    if several && settings.unit != Unit::Core && (settings.pass == Pass::Train || causal_luna) {
        let of = if settings.pass == Pass::Train { "layers both ways" } else { "luna-causal's layers" };
        notes.push(format!(
            "memory of {of}: the closed form takes all threads to be at work at once, each with its own space; where they are \
             not, less is allocated"
        ));
    }
}
