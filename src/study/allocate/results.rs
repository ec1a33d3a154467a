//! Everything that was found, as the tables, figures and notes read it.

use super::budget::{Limit, Unit};
use super::judge::Measured;
use super::offers::Offers;
use super::plan::{Choice, Predicted};
use crate::stats;

/// Everything that was found.
pub(super) struct Results<'a> {
    /// Of the model.
    pub(super) name: &'a str,
    pub(super) n: usize,
    /// Heads that were chosen for.
    pub(super) heads: usize,
    pub(super) unit: Unit,
    pub(super) limits: &'a [Limit],
    pub(super) offers: &'a Offers,
    pub(super) predicted: &'a Predicted,
    pub(super) choices: &'a [Choice],
    pub(super) measured: &'a [Measured],
}

/// A choice with its windows.
pub(super) struct Trial<'a> {
    pub(super) choice: &'a Choice,
    pub(super) chosen_on: Vec<&'a Measured>,
    pub(super) judged_on: Vec<&'a Measured>,
}

impl Trial<'_> {
    /// Its losses on the windows to judge on.
    pub(super) fn losses(&self) -> Vec<f64> {
        self.judged_on.iter().map(|one| loss(one)).collect()
    }

    /// Its mean loss on the windows that were chosen on.
    fn before(&self) -> f64 {
        stats::mean(&self.chosen_on.iter().map(|one| loss(one)).collect::<Vec<_>>())
    }

    /// Means over the windows to judge on.
    pub(super) fn mean(&self, value: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> = self.judged_on.iter().map(|one| value(one)).collect();
        values.filter(|values| !values.is_empty()).map(|values| stats::mean(&values))
    }
}

impl<'a> Results<'a> {
    /// A cost of all heads as people read it.
    pub(super) fn shown(&self, cost: u64) -> f64 {
        self.unit.shown(cost, self.heads, self.n)
    }

    /// The choices of a budget: the allocation, then the uniform ones, that of the least loss on the windows that were
    /// chosen on first.
    pub(super) fn of(&self, budget: usize) -> Vec<Trial<'a>> {
        let windows = |choice: usize, judged: bool| {
            let own = self.measured.iter().filter(|one| one.of.choice == choice && one.of.judged == judged);
            own.collect::<Vec<_>>()
        };
        let own = self.choices.iter().enumerate().filter(|(_, choice)| choice.budget == budget);
        let mut all: Vec<Trial<'a>> = own
            .map(|(at, choice)| Trial { choice, chosen_on: windows(at, false), judged_on: windows(at, true) })
            .collect();
        all.sort_by(|a, b| {
            let key = |one: &Trial<'_>| one.choice.mechanism.is_some();
            key(a).cmp(&key(b)).then(a.before().total_cmp(&b.before()))
        });
        all
    }

    /// Whether the model predicts next tokens.
    pub(super) fn is_language_model(&self) -> bool {
        self.measured.iter().any(|one| one.drift.prediction.is_some())
    }
}

/// What a choice loses over a window: nats a token, or the relative drift of the hidden states where nothing is predicted.
pub(super) fn loss(one: &Measured) -> f64 {
    one.drift.prediction.map_or(one.drift.hidden_rel_fro, |p| p.nll - p.nll_exact)
}
