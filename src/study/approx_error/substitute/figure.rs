//! The figure of a substitution.

use super::group::{Groups, is_language_model, perplexity};
use super::rows::Measured;
use crate::report::Figure;
use crate::stats;
use crate::study::approx_error::candidate::Candidate;
use crate::study::approx_error::curves::{Apart, Axis, Point, against_l};
use crate::study::input::{Source, Trained};

/// Perplexity (of an encoder: the drift of the hidden states) against l, or of every mechanism where there is one l.
pub(super) fn figure(source: &Trained, candidates: &[Candidate], groups: &Groups<'_>) -> Option<Figure> {
    let n = groups.keys().map(|(n, _)| *n).max()?;
    let language = is_language_model(groups);
    let groups: Vec<(&Candidate, &Vec<&Measured>)> = groups
        .iter()
        .filter(|((length, _), _)| *length == n)
        .map(|((_, at), group)| (&candidates[*at], group))
        .collect();
    let softmax = groups.first().and_then(|(_, group)| perplexity(group, |p| p.nll_exact));
    let label = if language { "perplexity" } else { "relative drift of the last hidden states" };
    let title = format!("{} with its attention replaced, n = {n}", source.name());
    let points = groups.iter().filter_map(|(candidate, group)| {
        let values: Option<Vec<f64>> = if language {
            group.iter().map(|one| one.drift.prediction.map(|p| p.nll)).collect()
        } else {
            group.iter().map(|one| Some(one.drift.hidden_rel_fro)).collect()
        };
        let values = values?;
        let shown = |value: f64| if language { value.exp() } else { value };
        let ends = stats::student_mean(&values).map(|ends| (shown(ends.low), shown(ends.high)));
        let label = candidate.name.clone();
        Some(Point { label, l: candidate.l, value: shown(stats::mean(&values)), ends, apart: Apart::No })
    });
    let marks = softmax.map(|at| (at, "softmax".to_string())).into_iter().collect();
    let axis = Axis { value: label.into(), log: true, marks };
    Some(Figure { name: "substitution".into(), title, kind: against_l(points.collect(), axis) })
}
