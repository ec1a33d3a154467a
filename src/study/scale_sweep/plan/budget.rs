//! What fits into the budget, and in which order cells run.

use super::super::options::Measure;
use super::super::settings::Settings;
use super::super::subject::Facts;
use crate::profile::clock::Stopwatch;
use crate::profile::rounds::Piece;

/// The number of rounds that must fit: a median of fewer has no interval.
const MIN_ROUNDS: usize = 6;

/// The time that is left, and what is planned for it.
pub(in super::super) struct Budget<'a> {
    pub(in super::super) watch: Stopwatch,
    pub(in super::super) settings: &'a Settings,
    /// Seconds of one round of the cells accepted so far.
    pub(in super::super) round_s: f64,
}

impl Budget<'_> {
    /// Whether a cell of so many seconds can still run alone and in the minimum number of rounds.
    pub(in super::super) fn has_time_for(&self, cell_s: f64) -> bool {
        let children = if self.settings.measures(Measure::Memory) { 1.0 } else { 0.0 };
        let timed = self.settings.measures(Measure::Time);
        let rounds = if timed { self.min_rounds() as f64 } else { 0.0 };
        let alone = cell_s * (2.0 + children);
        let planned = self.watch.seconds() + alone + rounds * (self.round_s + Piece::sample_seconds(cell_s));
        planned <= self.settings.budget
    }

    /// Seconds that are left.
    pub(in super::super) fn left(&self) -> f64 {
        self.settings.budget - self.watch.seconds()
    }

    pub(in super::super) fn min_rounds(&self) -> usize {
        MIN_ROUNDS.min(self.settings.rounds)
    }
}

/// What a cell costs before it is timed, in arbitrary units that order cells: a multiply-add is one, and an input element
/// as much as a few thousand where a child process has to draw it again.
pub(in super::super) fn effort(facts: &Facts, settings: &Settings) -> u64 {
    const ELEMENT: u64 = 2000;
    let elements = (facts.shared_bytes + facts.own_bytes) / size_of::<f32>() as u64;
    facts.cost.macs + if settings.measures(Measure::Memory) { ELEMENT * elements } else { 0 }
}
