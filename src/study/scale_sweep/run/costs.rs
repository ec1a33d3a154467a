//! Mechanisms of one length: each is checked, counted, weighed and run once alone, the cheapest first, as far as the budget
//! goes; then all of them run in rounds.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::super::agree;
use super::super::build::{self, Shared};
use super::super::cell::{Cell, Form};
use super::super::config::Spawn;
use super::super::gate::Agreement;
use super::super::options::Measure;
use super::super::plan::{Budget, Plan, effort};
use super::super::record::{CellRecord, LengthRecord, Probe, Records, State};
use super::super::settings::Settings;
use super::super::subject::{Facts, Subject};
use super::child;
use super::rounds::{self, Ready};
use crate::cost::Tally;
use crate::error::Result;
use crate::linalg::gemm;
use crate::profile::clock::{Stopwatch, timed};
use crate::profile::rounds::Piece;
use crate::profile::{memory, ram};
use crate::study::Context;
use crate::sweep::{self, Hand, Journal, Study};

/// Measures what the journal does not hold, as far as the budget goes.
pub(in super::super) fn measure(
    plan: &Plan,
    settings: &Settings,
    spawn: Option<Spawn>,
    journal: &Journal,
    (watch, context): (Stopwatch, Context<'_>),
) -> Result<Records> {
    let facts = plan.cells.iter().map(|cell| build::facts(cell, settings)).collect::<Result<Vec<_>>>()?;
    if journal.runs_cells() {
        require_memory(plan, &facts, settings)?;
        gemm::warm_up();
    }
    let budget = Budget::new(watch, settings, &plan.cells, &facts);
    let cells = &plan.cells;
    let study = Costs { cells, settings, facts: &facts, spawn, context, budget, gates: Mutex::default() };
    let (records, complete) = sweep::run(&study, journal, context.watch)?;
    Ok(Records { complete, ..records })
}

/// Refuses a sweep of which the inputs of one length alone do not fit in memory.
fn require_memory(plan: &Plan, facts: &[Facts], settings: &Settings) -> Result<()> {
    let mut of_length: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for (cell, facts) in plan.cells.iter().zip(facts).filter(|(cell, _)| cell.form != Form::Reference) {
        let (shared, own) = of_length.entry(cell.n).or_default();
        *shared = (*shared).max(facts.shared_bytes);
        *own += facts.own_bytes;
    }
    let n = settings.seq_len.last().copied().unwrap_or(0);
    let needed = of_length.into_values().map(|(shared, own)| shared + own).max().unwrap_or(0);
    let instead = "a smaller --seq-len, --num-heads or --batch needs less";
    ram::require(format!("inputs and outputs up to n = {n}"), needed, instead)
}

/// The study; mechanisms are named by their place in the plan.
struct Costs<'a> {
    cells: &'a [Cell],
    settings: &'a Settings,
    facts: &'a [Facts],
    spawn: Option<Spawn>,
    context: Context<'a>,
    budget: Budget<'a>,
    /// The check has a length of its own: one suffices for all lengths of a curve.
    gates: Mutex<BTreeMap<String, Agreement>>,
}

impl Study for Costs<'_> {
    /// All mechanisms of one length, so that their times are compared within rounds; or one, where times are not asked for.
    type Cell = Vec<usize>;
    /// Mechanisms of the cells that are still to be run after this one.
    type Input = Vec<usize>;
    type Rows = LengthRecord;
    type View = Records;

    fn unit(&self) -> &'static str {
        "runs"
    }

    fn plan(&self) -> Vec<sweep::Cell<Vec<usize>>> {
        let mut order: Vec<usize> = (0..self.cells.len()).collect();
        order.sort_by_key(|at| (effort(&self.facts[*at], self.settings), *at));
        let n_of = |at: &usize| self.cells[*at].n;
        if self.settings.measures(Measure::Time) {
            order.sort_by_key(n_of);
        }
        let together = |a: &usize, b: &usize| self.settings.measures(Measure::Time) && n_of(a) == n_of(b);
        let cell = |of: &[usize]| {
            let first = &self.cells[of[0]];
            let timed = self.settings.measures(Measure::Time);
            let macs: f64 = of.iter().map(|at| self.facts[*at].cost.macs as f64).sum();
            sweep::Cell {
                key: if timed { format!("n = {}", first.n) } else { first.key() },
                steps: self.steps(of),
                cost: macs * self.settings.rounds as f64,
                of: of.to_vec(),
            }
        };
        order.chunk_by(together).map(cell).collect()
    }

    fn inputs(&self, cells: &[(usize, &Vec<usize>)], hand: &mut Hand<'_, Vec<usize>>) -> Result<()> {
        let later = |at: usize| cells[at + 1..].iter().flat_map(|(_, of)| of.iter().copied()).collect();
        cells.iter().enumerate().try_for_each(|(at, (number, _))| hand(*number, later(at)))
    }

    fn suffices(&self, rows: &LengthRecord) -> bool {
        rows.suffices(self.settings)
    }

    fn run(&self, of: &Vec<usize>, later: &Vec<usize>) -> Result<LengthRecord> {
        let Self { settings, context, budget, .. } = self;
        let mut record = LengthRecord { rounds: settings.rounds, ..LengthRecord::default() };
        let n = self.cells[of[0]].n;
        let shared = Shared::new(n, settings, context.seed);
        let mut ready: Vec<Ready<'_>> = Vec::new();
        let mut round_s = 0.0;
        for at in of.iter().copied() {
            context.watch.check()?;
            let (cell, mut found) = (&self.cells[at], CellRecord::default());
            found.state = if let Some(why) = self.refusal(at, &mut found)? {
                State::Skipped(why)
            } else if !budget.has_time_for(at, round_s, later) {
                record.cut_at = Some(settings.budget);
                State::Skipped(format!("--time-limit: about {}", duration(budget.guess(at))))
            } else {
                let mut subject = build::subject(cell, settings, &shared, context.seed)?;
                let probe = self.probe(subject.as_mut(), cell)?;
                // A stop ends the child process too, and its figure would be missing for ever.
                context.watch.check()?;
                let first_s = probe.first_s;
                budget.ran(at, first_s);
                round_s += Piece::sample_seconds(first_s);
                ready.push(Ready { key: cell.key(), subject, first_s });
                found.probe = Some(probe);
                if settings.measures(Measure::Time) { State::Once } else { State::Counted }
            };
            record.cells.insert(cell.key(), found);
            context.watch.step(1, &cell.key());
        }
        let mut steps = of.len();
        if settings.measures(Measure::Time) && !ready.is_empty() {
            steps += rounds::run(ready, n, &mut record, (budget, settings, later), *context)?;
        }
        context.watch.skip(self.steps(of) - steps);
        Ok(record)
    }

    fn view(&self, rows: Vec<(Vec<usize>, LengthRecord)>) -> Result<Records> {
        let mut records = Records::default();
        for (_, LengthRecord { cells, machine, .. }) in rows {
            records.cells.extend(cells);
            records.machine.gemm.extend(machine.gemm);
            records.machine.gemm_per_thread.extend(machine.gemm_per_thread);
            records.machine.triad.extend(machine.triad);
        }
        Ok(records)
    }
}

impl Costs<'_> {
    /// Runs of a cell: each alone, and where times are measured each in every round, with those beside them.
    fn steps(&self, of: &[usize]) -> usize {
        let timed = self.settings.measures(Measure::Time);
        of.len() + if timed { self.settings.rounds * (of.len() + rounds::BESIDE) } else { 0 }
    }

    /// Why a mechanism cannot run, or is not timed because its code does not agree with its reference implementation.
    fn refusal(&self, at: usize, found: &mut CellRecord) -> Result<Option<String>> {
        let cell = &self.cells[at];
        if cell.form == Form::Reference {
            return Ok(Some("reference implementation only: counted, not timed".into()));
        }
        if let (Some(extra), Some(available)) = (self.facts[at].extra_bytes, ram::available())
            && extra > available
        {
            let [extra, available] = [extra, available].map(|bytes| bytes as f64 / f64::from(1 << 30));
            return Ok(Some(format!("would need {extra:.1} GiB, {available:.1} are available")));
        }
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let agreement = match gates.get(&cell.curve()) {
            Some(agreement) => *agreement,
            None => agree::check(cell, self.settings, self.context.seed)?,
        };
        gates.insert(cell.curve(), agreement);
        found.gate = Some(agreement);
        Ok(agreement.refusal())
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
