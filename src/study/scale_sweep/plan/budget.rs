//! What fits into the budget, and in which order mechanisms run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::super::cell::{Cell, Form};
use super::super::options::Measure;
use super::super::settings::Settings;
use super::super::subject::Facts;
use crate::profile::clock::Stopwatch;
use crate::profile::rounds::Piece;

/// The number of rounds that must fit: a median of fewer has no interval.
const MIN_ROUNDS: usize = 6;

/// Seconds that the machine's own work takes at one length, warm-up and the minimum number of rounds.
const MACHINE_S: f64 = 1.0;

/// The time that is left, and what is planned for it. Mechanisms are named by their place in the plan.
pub(in super::super) struct Budget<'a> {
    watch: Stopwatch,
    settings: &'a Settings,
    cells: &'a [Cell],
    facts: &'a [Facts],
    /// Seconds of one run, of those that have run.
    seconds: Mutex<BTreeMap<usize, f64>>,
}

impl<'a> Budget<'a> {
    /// A budget that `watch` uses up.
    pub(in super::super) fn new(
        watch: Stopwatch,
        settings: &'a Settings,
        cells: &'a [Cell],
        facts: &'a [Facts],
    ) -> Self {
        Self { watch, settings, cells, facts, seconds: Mutex::default() }
    }

    /// Remembers how long one run took: longer ones of the same curve are predicted from it.
    pub(in super::super) fn ran(&self, at: usize, seconds: f64) {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner).insert(at, seconds);
    }

    /// Predicted seconds of one run: scaled from the same curve at a shorter length, or from the FLOPs at a slow rate.
    pub(in super::super) fn guess(&self, at: usize) -> f64 {
        const SLOW_FLOP_PER_S: f64 = 2e10;
        let (cells, facts) = (self.cells, self.facts);
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        match seconds.range(..at).rev().find(|(other, _)| cells[**other].same_curve(&cells[at])) {
            Some((other, seconds)) => {
                let macs = |at: usize| facts[at].cost.macs.max(1) as f64;
                // At least linear in n: short runs are bound by memory and threads.
                seconds * (macs(at) / macs(*other)).max(cells[at].n as f64 / cells[*other].n as f64)
            }
            None => facts[at].cost.flops() as f64 / SLOW_FLOP_PER_S,
        }
    }

    /// Whether this one can still run alone and in the minimum number of rounds, each with others of so many seconds: what
    /// is cheaper among those that run later comes first, so that the budget reaches as far as possible.
    pub(in super::super) fn has_time_for(&self, at: usize, round_s: f64, later: &[usize]) -> bool {
        let effort = |at: usize| effort(&self.facts[at], self.settings);
        let cheaper = later.iter().copied().filter(|other| effort(*other) < effort(at));
        let needed = self.least(at) + self.min_rounds() as f64 * round_s + self.least_of(cheaper);
        needed <= self.left()
    }

    /// Whether another round of so many seconds leaves time for those that run later, and for the machine's own work beside
    /// them.
    pub(in super::super) fn has_time_for_round(&self, round_s: f64, later: &[usize]) -> bool {
        let lengths: BTreeSet<usize> = later.iter().map(|at| self.cells[*at].n).collect();
        let beside = MACHINE_S * lengths.len() as f64;
        round_s + beside + self.least_of(later.iter().copied()) <= self.left()
    }

    /// Seconds that these need at least.
    fn least_of(&self, cells: impl Iterator<Item = usize>) -> f64 {
        cells.filter(|at| self.cells[*at].form != Form::Reference).map(|at| self.least(at)).sum()
    }

    /// Seconds of one run alone and of the minimum number of rounds.
    fn least(&self, at: usize) -> f64 {
        let (children, seconds) =
            (f64::from(u8::from(self.settings.measures(Measure::Memory))), self.guess(at));
        let timed = self.settings.measures(Measure::Time);
        let rounds = if timed { self.min_rounds() as f64 * Piece::sample_seconds(seconds) } else { 0.0 };
        seconds * (2.0 + children) + rounds
    }

    /// Seconds that are left.
    fn left(&self) -> f64 {
        self.settings.budget - self.watch.seconds()
    }

    pub(in super::super) fn min_rounds(&self) -> usize {
        MIN_ROUNDS.min(self.settings.rounds)
    }
}

/// What a mechanism costs before it is timed, in arbitrary units that order them: a multiply-add is one, and an input
/// element as much as a few thousand where a child process has to draw it again.
pub(in super::super) fn effort(facts: &Facts, settings: &Settings) -> u64 {
    const ELEMENT: u64 = 2000;
    let elements = (facts.shared_bytes + facts.own_bytes) / size_of::<f32>() as u64;
    facts.cost.macs + if settings.measures(Measure::Memory) { ELEMENT * elements } else { 0 }
}
