//! Windows of one mechanism at one length, and means over them.

use std::collections::BTreeMap;

use super::drift::Prediction;
use super::rows::Measured;
use crate::stats;

/// Measurements of one mechanism at one length.
pub(super) type Groups<'a> = BTreeMap<(usize, usize), Vec<&'a Measured>>;

/// Groups measurements by length and mechanism.
pub(super) fn groups(measured: &[Measured]) -> Groups<'_> {
    let mut groups = Groups::new();
    for one in measured {
        groups.entry((one.n, one.candidate)).or_default().push(one);
    }
    groups
}

/// The mean over windows, where all windows have the value.
pub(super) fn mean(group: &[&Measured], value: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
    let values: Option<Vec<f64>> = group.iter().map(|one| value(one)).collect();
    values.map(|values| stats::mean(&values))
}

/// The perplexity over all windows: of the mean negative log likelihood.
pub(super) fn perplexity(group: &[&Measured], value: fn(&Prediction) -> f64) -> Option<f64> {
    mean(group, |one| one.drift.prediction.as_ref().map(value)).map(f64::exp)
}

/// What a mechanism is judged by on a window: how much less likely it makes the text; of an encoder, how far hidden
/// states are off.
pub(super) fn judged(one: &Measured, language: bool) -> Option<f64> {
    if language { one.drift.prediction.map(|p| p.nll - p.nll_exact) } else { Some(one.drift.hidden_rel_fro) }
}

/// Whether the model predicts next tokens.
pub(super) fn is_language_model(groups: &Groups<'_>) -> bool {
    groups.values().flatten().any(|one| one.drift.prediction.is_some())
}
