//! What the budget has room for.

use super::Measure;
use super::settings::Settings;
use crate::profile::clock::Stopwatch;
use crate::profile::rounds::Piece;

/// Rounds that the plan leaves time for: of fewer, a median has no interval.
const FEWEST: usize = 6;

/// What is left of the budget.
pub(super) struct Plan<'a> {
    pub(super) watch: Stopwatch,
    pub(super) settings: &'a Settings,
    /// Seconds of one round of what is planned so far.
    pub(super) rounds: f64,
}

impl Plan<'_> {
    /// Whether a cell of so many seconds can still be run by itself and in the fewest rounds.
    pub(super) fn has_time_for(&self, cell: f64, timed: bool) -> bool {
        let children = if self.settings.measures(Measure::Memory) { 1.0 } else { 0.0 };
        let rounds = if timed { self.fewest() as f64 } else { 0.0 };
        let alone = cell * (2.0 + children);
        let planned = self.watch.seconds() + alone + rounds * (self.rounds + Piece::sample_seconds(cell));
        planned <= self.settings.budget
    }

    pub(super) fn fewest(&self) -> usize {
        FEWEST.min(self.settings.rounds)
    }
}
