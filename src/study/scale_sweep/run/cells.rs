//! Each cell alone: checked, counted, weighed and run once, the cheapest first, as far as the budget goes.

use std::collections::BTreeMap;

use super::super::agree;
use super::super::build::{self, Shared};
use super::super::cell::{Cell, Form};
use super::super::config::Spawn;
use super::super::gate::Agreement;
use super::super::options::Measure;
use super::super::plan::{Budget, Plan, effort};
use super::super::record::{CellRecord, MachineRecord, Probe, Records, State};
use super::super::settings::Settings;
use super::super::subject::{Facts, Subject};
use super::child;
use super::journal::Journal;
use super::rounds::{self, Ready};
use crate::cost::Tally;
use crate::error::Result;
use crate::linalg::gemm;
use crate::profile::clock::{Stopwatch, timed};
use crate::profile::rounds::Piece;
use crate::profile::{memory, ram};
use crate::study::Context;

/// Measures the cells of the plan, as far as the budget goes.
pub(in super::super) fn measure(
    plan: &Plan,
    settings: &Settings,
    spawn: Option<Spawn>,
    journal: &mut Journal,
    (watch, context): (Stopwatch, Context<'_>),
) -> Result<Records> {
    let facts = plan.cells.iter().map(|cell| build::facts(cell, settings)).collect::<Result<Vec<_>>>()?;
    let mut found = vec![CellRecord::default(); plan.cells.len()];
    let mut records = Records { complete: true, ..Records::default() };
    if settings.measure.iter().all(|what| *what == Measure::Error) {
        for one in &mut found {
            one.state = State::Counted;
        }
    } else {
        require_memory(plan, &facts, settings)?;
        let alone = Alone { plan, settings, facts: &facts, spawn, context };
        alone.run(&mut found, &mut records, journal, watch)?;
    }
    records.cells = plan.cells.iter().map(Cell::key).zip(found).collect();
    journal.fill(&mut records);
    Ok(records)
}

/// Refuses a sweep whose inputs alone do not fit in memory.
fn require_memory(plan: &Plan, facts: &[Facts], settings: &Settings) -> Result<()> {
    let mut shared: BTreeMap<usize, u64> = BTreeMap::new();
    let mut own = 0;
    for (cell, facts) in plan.cells.iter().zip(facts).filter(|(cell, _)| cell.form != Form::Reference) {
        let max = shared.entry(cell.n).or_default();
        *max = (*max).max(facts.shared_bytes);
        own += facts.own_bytes;
    }
    let n = settings.seq_len.last().copied().unwrap_or(0);
    let instead = "a smaller --seq-len, --num-heads or --batch needs less";
    ram::require(format!("inputs and outputs up to n = {n}"), shared.values().sum::<u64>() + own, instead)
}

/// The cells of a plan, to be run one by one.
struct Alone<'a> {
    plan: &'a Plan,
    settings: &'a Settings,
    facts: &'a [Facts],
    spawn: Option<Spawn>,
    context: Context<'a>,
}

impl Alone<'_> {
    /// Runs every cell alone, then all of them in rounds.
    fn run(
        &self,
        found: &mut [CellRecord],
        records: &mut Records,
        journal: &mut Journal,
        watch: Stopwatch,
    ) -> Result<()> {
        let Self { plan, settings, context, .. } = self;
        let timed = settings.measures(Measure::Time);
        // Beside the cells, a round has a second copy for each length and three pieces of the machine's own.
        let round = plan.cells.len() + settings.seq_len.len() + 3;
        context.watch.begin(plan.cells.len() + if timed { settings.rounds * round } else { 0 }, "runs");
        gemm::warm_up();
        let of_length = |n: &usize| (*n, Shared::new(*n, settings, context.seed));
        let shared: BTreeMap<usize, Shared> = settings.seq_len.iter().map(of_length).collect();
        let mut ready: BTreeMap<usize, Ready<'_>> = BTreeMap::new();
        let mut budget = Budget { watch, settings, round_s: 0.0 };
        let mut gates: BTreeMap<String, Agreement> = BTreeMap::new();
        // The cheapest first, so that the budget reaches as far as possible; curves are met by ascending length.
        let mut order: Vec<usize> = (0..plan.cells.len()).collect();
        order.sort_by_key(|at| (effort(&self.facts[*at], settings), *at));
        for at in order {
            if context.watch.stopped() {
                records.complete = false;
                break;
            }
            let cell = &plan.cells[at];
            let key = cell.key();
            let guess = self.guess(found, at);
            if let Some(why) = self.refusal(at, &mut found[at], &mut gates)? {
                found[at].state = State::Skipped(why);
            } else if journal.probe(&key).is_none() && !budget.has_time_for(guess) {
                found[at].state = State::Skipped(format!("--budget: about {}", duration(guess)));
            } else {
                let mut subject = build::subject(cell, settings, &shared[&cell.n], context.seed)?;
                let probe = if let Some(probe) = journal.probe(&key) {
                    probe
                } else {
                    let probe = self.probe(subject.as_mut(), cell)?;
                    // A stop ends the child process too, and its figure would be missing for ever.
                    if context.watch.stopped() {
                        records.complete = false;
                        break;
                    }
                    journal.write_probe(&key, &probe)?;
                    probe
                };
                budget.round_s += Piece::sample_seconds(probe.first_s);
                ready.insert(at, Ready { key: key.clone(), n: cell.n, subject, first_s: probe.first_s });
                found[at].probe = Some(probe);
                found[at].state = if timed { State::Once } else { State::Counted };
            }
            context.watch.step(1, &key);
        }
        if timed && !ready.is_empty() {
            let ended = rounds::run(ready.into_values().collect(), &budget, journal, *context)?;
            records.complete &= ended.complete;
            records.copies = ended.copies.into_iter().map(|key| (key, BTreeMap::new())).collect();
            records.machine = MachineRecord { threads: rayon::current_num_threads(), ..ended.machine };
        }
        Ok(())
    }

    /// Why a cell cannot run, or is not timed because its code does not agree with its reference implementation.
    fn refusal(
        &self,
        at: usize,
        found: &mut CellRecord,
        gates: &mut BTreeMap<String, Agreement>,
    ) -> Result<Option<String>> {
        let cell = &self.plan.cells[at];
        if cell.form == Form::Reference {
            return Ok(Some("reference implementation only: counted, not timed".into()));
        }
        if let (Some(extra), Some(available)) = (self.facts[at].extra_bytes, ram::available())
            && extra > available
        {
            let [extra, available] = [extra, available].map(|bytes| bytes as f64 / f64::from(1 << 30));
            return Ok(Some(format!("would need {extra:.1} GiB, {available:.1} are available")));
        }
        // The check has a length of its own: one suffices for all lengths.
        let agreement = match gates.get(&cell.curve()) {
            Some(agreement) => *agreement,
            None => agree::check(cell, self.settings, self.context.seed)?,
        };
        gates.insert(cell.curve(), agreement);
        found.gate = Some(agreement);
        Ok(agreement.refusal())
    }

    /// Predicted seconds of one run: scaled from the same curve at a shorter length, or from the FLOPs at a slow rate.
    fn guess(&self, found: &[CellRecord], at: usize) -> f64 {
        const SLOW_FLOP_PER_S: f64 = 2e10;
        let (cells, facts) = (&self.plan.cells, &self.facts);
        let shorter = (0..at)
            .rev()
            .filter(|other| cells[*other].same_curve(&cells[at]))
            .find_map(|other| Some((other, found[other].probe.as_ref()?.first_s)));
        match shorter {
            Some((other, seconds)) => {
                let macs = |at: usize| facts[at].cost.macs.max(1) as f64;
                // At least linear in n: small cells are bound by memory and threads.
                seconds * (macs(at) / macs(other)).max(cells[at].n as f64 / cells[other].n as f64)
            }
            None => facts[at].cost.flops() as f64 / SLOW_FLOP_PER_S,
        }
    }

    /// One run alone: what it allocates, what it counts, how long it takes.
    fn probe(&self, subject: &mut dyn Subject, cell: &Cell) -> Result<Probe> {
        let tally = Tally::default();
        let ((ran, first), extra) = memory::peak_of(|| timed(|| subject.run(Some(&tally))));
        ran?;
        let mut first_s = first;
        if first < 0.5 {
            // The first run fills caches and starts threads.
            let (again, seconds) = timed(|| subject.run(None));
            again?;
            first_s = first.min(seconds);
        }
        let weighs = self.settings.measures(Measure::Memory);
        let spawn = self.spawn.filter(|_| weighs);
        Ok(Probe {
            first_s,
            macs: tally.macs(),
            extra_bytes: extra.filter(|_| weighs),
            rss_growth: spawn.and_then(|spawn| child::run(spawn, cell, self.settings)),
        })
    }
}

/// Seconds with a unit.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} us", 1e6 * s),
        s if s < 1.0 => format!("{:.1} ms", 1e3 * s),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}
