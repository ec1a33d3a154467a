//! What a reader must know beside the numbers of a substitution.

use std::collections::{BTreeMap, BTreeSet};

use super::group::groups;
use super::rows::Measured;
use crate::stats;
use crate::study::approx_error::candidate::Candidate;
use crate::study::approx_error::fits::Fits;
use crate::study::input::{Source, Trained};

/// The notes, the most important first.
pub(super) fn all(
    source: &Trained,
    candidates: &[Candidate],
    fits: &Fits,
    measured: &[Measured],
) -> Vec<String> {
    let mut notes = vec![
        "the model was trained with softmax attention: stand-ins are judged without retraining, not by what it could learn"
            .to_string(),
    ];
    // Every window once, however many mechanisms were measured on it.
    let mut exact: BTreeMap<usize, BTreeMap<usize, f64>> = BTreeMap::new();
    for one in measured {
        if let Some(p) = one.drift.prediction {
            exact.entry(one.n).or_default().insert(one.window, p.nll_exact);
        }
    }
    if exact.is_empty() {
        notes.push("not a causal language model: hidden states only, no likelihood".into());
    }
    for (n, windows) in &exact {
        let mean = stats::mean(&windows.values().copied().collect::<Vec<_>>());
        let at = if exact.len() > 1 { format!(", n = {n}") } else { String::new() };
        notes.push(format!(
            "as trained, with softmax attention{at}: perplexity {:.3} ({mean:.4} nats a token)",
            mean.exp()
        ));
    }
    let counts: BTreeSet<usize> = groups(measured).values().map(Vec::len).collect();
    if let (Some(fewest), Some(most)) = (counts.first(), counts.last())
        && *most > 1
    {
        let what = if exact.is_empty() { "hidden_err" } else { "nll_change" };
        let windows = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        notes.push(format!(
            "intervals: Student's, of {what} over {windows} windows of one text, which are not independent: they are about this \
             text, and too narrow for others"
        ));
    }
    notes.extend(
        Candidate::leaks(candidates, source.mask())
            .into_iter()
            .map(|note| format!("{note}, and those are the tokens to be predicted")),
    );
    if fits.trained_on() > 0 {
        let last = fits.trained_on() - 1;
        notes.push(format!(
            "parts fitted on the heads of windows 0 to {last} under softmax attention, and judged on the other {} windows; after a \
             replaced layer a head meets other inputs",
            source.windows() - fits.trained_on()
        ));
    }
    notes
}
