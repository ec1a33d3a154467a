//! What is shown of an allocation.

use super::results::Results;
use super::{front, notes, rows, tables};
use crate::report::Report;

/// The report.
pub(super) fn report(results: &Results<'_>) -> Report {
    let mut report = Report { rows: rows::table(results), ..Report::default() };
    report.views =
        vec![("summary".into(), tables::summary(results)), ("layers".into(), tables::layers(results))];
    report.tables =
        vec![("heads".into(), tables::heads(results)), ("checks".into(), tables::checks(results))];
    report.figures = front::figures(results);
    report.notes = notes::all(results);
    report
}
