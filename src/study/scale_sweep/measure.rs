//! Counting, weighing and timing the cells: each once by itself, then all of them in rounds.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Measure;
use super::alone::{Again, in_child};
use super::asked::Asked;
use super::cell::{Cell, Form};
use super::gate::{self, Agreement};
use super::journal::{Journal, Probe};
use super::plan::Plan;
use super::settings::Settings;
use super::subject::{self, Facts, Shared, Subject};
use crate::cost::Tally;
use crate::error::Result;
use crate::linalg::gemm::{self, Threads};
use crate::profile::calibrate::{Product, Triad};
use crate::profile::clock::{Stopwatch, timed};
use crate::profile::rounds::{Piece, order, warm_up};
use crate::profile::{memory, ram};
use crate::rng::stream;
use crate::study::Context;

/// Rows of the product, and numbers of the triad's arrays, that stand for the machine in every round.
const PRODUCT: usize = 1024;
const TRIAD: usize = 1 << 24;
/// Names of the machine's own pieces in a round.
const GEMM: &str = "sgemm";
const APART: &str = "sgemm on each thread";
const STREAM: &str = "triad";

/// How a figure of time came about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Timed in rounds.
    Measured,
    /// There was time for one run only.
    Once,
    /// Not run, and why; a time may be predicted from shorter lengths.
    Skipped(String),
    /// Nobody asked for times.
    Counted,
    /// The sweep was stopped before.
    NotReached,
}

/// One cell with everything that was found.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) cell: Cell,
    pub(super) facts: Facts,
    pub(super) state: State,
    /// How near the code that is timed was to its reference implementation, if it was asked.
    pub(super) gate: Option<Agreement>,
    /// What the run by itself found.
    pub(super) probe: Option<Probe>,
    /// Seconds, by round.
    pub(super) times: BTreeMap<usize, f64>,
}

/// Everything that a sweep measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweep {
    pub(super) cells: Vec<Measured>,
    /// Cells that cannot run, each with its reason, and mechanisms that cannot.
    pub(super) impossible: Vec<(Cell, String)>,
    pub(super) unusable: Vec<(String, String)>,
    /// Seconds by round of the machine's product on all threads, of one product on each thread, and of its triad.
    pub(super) gemm: BTreeMap<usize, f64>,
    pub(super) apart: BTreeMap<usize, f64>,
    pub(super) triad: BTreeMap<usize, f64>,
    /// A second copy of the cheapest cell of each length: its place among the cells, and its seconds by round.
    pub(super) twins: Vec<(usize, BTreeMap<usize, f64>)>,
    /// FLOPs of the machine's product, and bytes of its triad.
    pub(super) gemm_flops: f64,
    pub(super) triad_bytes: f64,
    pub(super) complete: bool,
}

impl Sweep {
    /// GFLOP/s of the machine's own products: the fastest round, whichever way they were shared among the threads.
    pub(super) fn peak(&self) -> Option<f64> {
        let fastest = |times: &BTreeMap<usize, f64>| times.values().copied().reduce(f64::min);
        let all = fastest(&self.gemm).map(|seconds| self.gemm_flops / seconds);
        let apart = fastest(&self.apart)
            .map(|seconds| rayon::current_num_threads() as f64 * self.gemm_flops / seconds);
        all.into_iter().chain(apart).reduce(f64::max).map(|rate| rate / 1e9)
    }
}

/// Measures all cells, as far as the budget goes.
pub(super) fn run(
    asked: Asked,
    settings: &Settings,
    again: Option<Again>,
    journal: &mut Journal,
    (watch, context): (Stopwatch, Context<'_>),
) -> Result<Sweep> {
    let Asked { cells, impossible, unusable } = asked;
    let mut sweep = Sweep { complete: true, impossible, unusable, ..Sweep::default() };
    for cell in cells {
        let facts = subject::facts(&cell, settings)?;
        sweep.cells.push(Measured {
            cell,
            facts,
            state: State::NotReached,
            gate: None,
            probe: None,
            times: BTreeMap::new(),
        });
    }
    let timed = settings.measures(Measure::Time);
    let runs = timed || [Measure::Flops, Measure::Memory].iter().any(|what| settings.measures(*what));
    if !runs {
        sweep.cells.iter_mut().for_each(|one| one.state = State::Counted);
        return Ok(sweep);
    }
    require(&sweep, settings)?;
    // In a round every cell runs again, the quickest of each length twice, and the machine's own two pieces.
    let round = sweep.cells.len() + settings.seq_len.len() + 3;
    context.watch.begin(sweep.cells.len() + if timed { settings.rounds * round } else { 0 }, "runs");

    gemm::warm_up();
    let shared = lengths(settings, context.seed);
    let mut subjects: BTreeMap<usize, Box<dyn Subject + '_>> = BTreeMap::new();
    let mut plan = Plan { watch, settings, rounds: 0.0 };
    let mut gates: BTreeMap<String, Agreement> = BTreeMap::new();
    // The cheapest first, so that a budget goes as far as it can; lines are met in the order of their lengths.
    let mut order: Vec<usize> = (0..sweep.cells.len()).collect();
    order.sort_by_key(|at| (effort(&sweep.cells[*at], settings), *at));
    for at in order {
        if context.watch.stopped() {
            sweep.complete = false;
            break;
        }
        let key = sweep.cells[at].cell.key();
        let guess = guess(&sweep, at);
        let state = match refusal(&mut sweep.cells[at], settings, &mut gates, context.seed)? {
            Some(reason) => State::Skipped(reason),
            None if journal.probe(&key).is_none() && !plan.has_time_for(guess, timed) => {
                State::Skipped(format!("--budget: about {}", seconds(guess)))
            }
            None => {
                let cell = &sweep.cells[at].cell;
                let mut subject = subject::build(cell, settings, &shared[&cell.n], context.seed)?;
                let probe = if let Some(probe) = journal.probe(&key) {
                    probe
                } else {
                    let probe = probe(subject.as_mut(), cell, settings, again)?;
                    // Who asks to stop stops the child too: what it did not say would be missed for ever.
                    if context.watch.stopped() {
                        sweep.complete = false;
                        break;
                    }
                    journal.write_probe(&key, &probe)?;
                    probe
                };
                plan.rounds += Piece::sample_seconds(probe.first_s);
                sweep.cells[at].probe = Some(probe);
                subjects.insert(at, subject);
                if timed { State::Once } else { State::Counted }
            }
        };
        sweep.cells[at].state = state;
        context.watch.step(1, &key);
    }
    if timed && !subjects.is_empty() {
        rounds(&mut sweep, subjects, &plan, journal, context)?;
    }
    Ok(sweep)
}

fn lengths(settings: &Settings, seed: u64) -> BTreeMap<usize, Shared> {
    settings.seq_len.iter().map(|n| (*n, Shared::new(*n, settings, seed))).collect()
}

/// Refuses a sweep whose inputs alone do not fit in memory.
fn require(sweep: &Sweep, settings: &Settings) -> Result<()> {
    let mut held: BTreeMap<usize, u64> = BTreeMap::new();
    let mut own = 0;
    for one in sweep.cells.iter().filter(|one| one.cell.form != Form::Reference) {
        let most = held.entry(one.cell.n).or_default();
        *most = (*most).max(one.facts.shared_bytes);
        own += one.facts.own_bytes;
    }
    let n = settings.seq_len.last().copied().unwrap_or(0);
    let instead = "a smaller --seq-len, --heads or --batch needs less";
    ram::require(format!("inputs and outputs up to n = {n}"), held.values().sum::<u64>() + own, instead)
}

/// Why a cell cannot be run at all, or is not timed because its code does not agree with its reference implementation.
fn refusal(
    one: &mut Measured,
    settings: &Settings,
    gates: &mut BTreeMap<String, Agreement>,
    seed: u64,
) -> Result<Option<String>> {
    let cell = &one.cell;
    if cell.form == Form::Reference {
        return Ok(Some("only its obvious form is here: counted, not timed".into()));
    }
    if let (Some(extra), Some(available)) = (one.facts.extra_bytes, ram::available())
        && extra > available
    {
        let [extra, available] = [extra, available].map(|bytes| bytes as f64 / f64::from(1 << 30));
        return Ok(Some(format!("would need {extra:.1} GiB, {available:.1} are available")));
    }
    // The length of the input is the gate's own: a line is asked once.
    let line = format!("{} {}", cell.spec, cell.form.name());
    let agreement = match gates.get(&line) {
        Some(agreement) => *agreement,
        None => gate::ask(cell, settings, seed)?,
    };
    gates.insert(line, agreement);
    one.gate = Some(agreement);
    Ok(agreement.refusal())
}

/// What a cell takes before it is timed, in units that only their order matters of: a multiply-add is one, and a number
/// of its inputs as much as a few thousand of them where a child process has to draw them anew.
fn effort(one: &Measured, settings: &Settings) -> u64 {
    const A_NUMBER: u64 = 2000;
    let numbers = (one.facts.shared_bytes + one.facts.own_bytes) / size_of::<f32>() as u64;
    one.facts.cost.macs + if settings.measures(Measure::Memory) { A_NUMBER * numbers } else { 0 }
}

/// Seconds that one run will take, from the same line at a shorter length, or from its FLOPs at a slow rate.
fn guess(sweep: &Sweep, at: usize) -> f64 {
    const SLOW: f64 = 2e10;
    let own = &sweep.cells[at];
    let before =
        sweep.cells[..at].iter().rev().find(|one| one.cell.is_beside(&own.cell) && one.probe.is_some());
    match before.and_then(|one| Some((one, one.probe.as_ref()?.first_s))) {
        Some((one, seconds)) => {
            let macs = |one: &Measured| one.facts.cost.macs.max(1) as f64;
            // No faster than its length grows: small cells wait for memory and threads.
            seconds * (macs(own) / macs(one)).max(own.cell.n as f64 / one.cell.n as f64)
        }
        None => own.facts.cost.flops() as f64 / SLOW,
    }
}

/// Seconds for a person.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} us", 1e6 * s),
        s if s < 1.0 => format!("{:.1} ms", 1e3 * s),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

/// One run by itself: what it allocates, what it counts, how long it takes.
fn probe(subject: &mut dyn Subject, cell: &Cell, settings: &Settings, again: Option<Again>) -> Result<Probe> {
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
    let weigh = settings.measures(Measure::Memory);
    let rss_growth = again.filter(|_| weigh).and_then(|again| in_child(again, cell, settings));
    let extra_bytes = extra.filter(|_| weigh);
    Ok(Probe { first_s, macs: tally.macs(), extra_bytes, rss_growth })
}

/// Times everything that was run, round by round, until the rounds or the budget are used up.
fn rounds<'a>(
    sweep: &mut Sweep,
    subjects: BTreeMap<usize, Box<dyn Subject + 'a>>,
    plan: &Plan<'_>,
    journal: &mut Journal,
    context: Context<'_>,
) -> Result<()> {
    let (mut product, mut triad) = (Product::<f32>::new(PRODUCT), Triad::new(TRIAD));
    let mut products: Vec<_> =
        (0..rayon::current_num_threads()).map(|_| Product::<f32>::new(PRODUCT)).collect();
    (sweep.gemm_flops, sweep.triad_bytes) = (product.flops(), triad.bytes());
    let gemm_s = warm_up(0.2, || product.run(Threads::All));
    let triad_s = warm_up(0.1, || triad.run());

    let places: Vec<usize> = subjects.keys().copied().collect();
    // A cell and its second copy are the same subject.
    let subjects: Vec<_> = subjects.into_values().map(RefCell::new).collect();
    let failed = RefCell::new(None);
    let run = |i: usize| {
        if let Err(error) = subjects[i].borrow_mut().run(None) {
            failed.replace(Some(error));
        }
    };
    let run = &run;
    let first = |at: usize| sweep.cells[at].probe.as_ref().map_or(1.0, |probe| probe.first_s);
    let mut pieces: Vec<(String, Piece<'_>)> = Vec::new();
    for (i, at) in places.iter().enumerate() {
        pieces.push((sweep.cells[*at].cell.key(), Piece::new(move || run(i), first(*at))));
    }
    let twins = twins(sweep, &places);
    for i in &twins {
        let (i, at) = (*i, places[*i]);
        let name = format!("second {}", sweep.cells[at].cell.key());
        pieces.push((name, Piece::new(move || run(i), first(at))));
    }
    pieces.push((GEMM.into(), Piece::new(|| product.run(Threads::All), gemm_s)));
    let apart = || products.par_iter_mut().with_max_len(1).for_each(|product| product.run(Threads::One));
    pieces.push((APART.into(), Piece::new(apart, gemm_s)));
    pieces.push((STREAM.into(), Piece::new(|| triad.run(), triad_s)));

    let mut rng = stream(context.seed, "scale-sweep order");
    // A round of before counts if it has everything that is timed now.
    let has_all = |times: &BTreeMap<String, f64>| pieces.iter().all(|(name, _)| times.contains_key(name));
    let known: Vec<usize> =
        journal.rounds().iter().filter(|(_, times)| has_all(times)).map(|(round, _)| *round).collect();
    let mut slowest: f64 = 0.0;
    for round in 0..plan.settings.rounds {
        let order = order(pieces.len(), &mut rng);
        if known.contains(&round) {
            context.watch.skip(pieces.len());
            continue;
        }
        let left = plan.settings.budget - plan.watch.seconds();
        let enough = round >= plan.fewest();
        if enough && left < slowest {
            break;
        }
        let (done, seconds) = timed(|| {
            let mut times = BTreeMap::new();
            for at in order {
                if context.watch.stopped() {
                    return None;
                }
                let (name, piece) = &mut pieces[at];
                times.insert(name.clone(), piece.sample());
                context.watch.step(1, &format!("round {}", round + 1));
            }
            Some(times)
        });
        let Some(times) = done else {
            sweep.complete = false;
            break;
        };
        slowest = slowest.max(seconds);
        journal.write_round(round, times)?;
    }
    if let Some(error) = failed.take() {
        return Err(error);
    }
    sweep.twins = twins.iter().map(|i| (places[*i], BTreeMap::new())).collect();
    for (round, times) in journal.rounds() {
        for one in &mut sweep.cells {
            if let Some(seconds) = times.get(&one.cell.key()) {
                one.times.insert(*round, *seconds);
                one.state = State::Measured;
            }
        }
        for (at, twin) in &mut sweep.twins {
            let name = format!("second {}", sweep.cells[*at].cell.key());
            twin.extend(times.get(&name).map(|seconds| (*round, *seconds)));
        }
        sweep.gemm.extend(times.get(GEMM).map(|seconds| (*round, *seconds)));
        sweep.apart.extend(times.get(APART).map(|seconds| (*round, *seconds)));
        sweep.triad.extend(times.get(STREAM).map(|seconds| (*round, *seconds)));
    }
    Ok(())
}

/// The quickest cell of each length, as places among those that are timed: a second copy of it shows the noise, which is
/// worst where times are shortest.
fn twins(sweep: &Sweep, places: &[usize]) -> Vec<usize> {
    let mut quickest: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
    for (i, at) in places.iter().enumerate() {
        let one = &sweep.cells[*at];
        let Some(probe) = &one.probe else { continue };
        let best = quickest.entry(one.cell.n).or_insert((probe.first_s, i));
        if probe.first_s < best.0 {
            *best = (probe.first_s, i);
        }
    }
    quickest.into_values().map(|(_, i)| i).collect()
}
