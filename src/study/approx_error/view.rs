//! What is shown of a comparison: rows, tables, notes and the figure.

use super::Config;
use super::group::Group;
use super::measure::{Job, Measured};
use super::{aggregated, curves, differences, notes, own, reach, rows, slots_view, summary};
use crate::report::Report;
use crate::study::Aggregate;
use crate::study::input::Source;

/// The report on measurements that are sorted by head and window.
pub(super) fn report(config: &Config, source: &dyn Source, job: &Job<'_>, measured: &[Measured]) -> Report {
    let groups = Group::all(job, measured);
    let rows = match config.aggregate {
        Aggregate::Yes => aggregated::table(source, job, &groups),
        Aggregate::Auto | Aggregate::No => rows::table(source, job.candidates, measured),
    };
    let mut report = Report { rows, ..Report::default() };
    report.notes = notes::all(source, job, measured);
    for n in source.lengths() {
        report.views.push((format!("summary_n{n}"), summary::table(source, job, &groups, *n)));
        if let Some((table, note)) = differences::view(source, job, &groups, *n, config.baseline.as_deref()) {
            report.views.push((format!("differences_n{n}"), table));
            report.notes.push(note);
        }
    }
    if let Some(targets) = &config.target_error {
        report.views.push(("reach".into(), reach::table(targets, job, &groups)));
    }
    report.notes.extend(own::note(source));
    let mut slot_figures = Vec::new();
    if let Some(slots) = slots_view::Slots::of(measured) {
        report.views.push(("slots".into(), slots.view(source)));
        report.tables.push(("slot_usage".into(), slots.rows(source)));
        report.notes.extend(slots.notes());
        (slot_figures, report.arrays) = (slots.figures(), slots.arrays());
    }
    report.figures =
        curves::figures(source, job, &groups, config.target_error.as_deref().unwrap_or_default());
    report.figures.extend(slot_figures);
    if config.aggregate == Aggregate::No {
        report.views.clear();
    }
    report
}
