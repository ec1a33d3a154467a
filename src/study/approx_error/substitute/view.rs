//! What is shown of a substitution.

use super::group::groups;
use super::rows::Measured;
use super::{figure, notes, rows, tables};
use crate::report::Report;
use crate::study::approx_error::candidate::Candidate;
use crate::study::approx_error::fits::Fits;
use crate::study::input::{Source, Trained};

/// Everything that was measured, and what people read of it.
pub(super) fn report(
    source: &Trained,
    candidates: &[Candidate],
    layers: &[usize],
    fits: &Fits,
    measured: &[Measured],
    baseline: Option<&str>,
) -> Report {
    let mut report = Report { rows: rows::table(source, candidates, layers, measured), ..Report::default() };
    let groups = groups(measured);
    report.notes = notes::all(source, candidates, fits, measured);
    for n in source.lengths() {
        report.views.push((format!("summary_n{n}"), tables::summary(source, candidates, &groups, *n)));
        if let Some((table, note)) = tables::differences(source, candidates, &groups, *n, baseline) {
            report.views.push((format!("differences_n{n}"), table));
            report.notes.push(note);
        }
    }
    report.figures = figure::figure(source, candidates, &groups).into_iter().collect();
    report
}
