//! What was found, as tables and notes.

use super::checked::Checked;
use super::judge::Verdict;
use crate::report::Digits::{Significant, Text};
use crate::report::{Cell, Column, Report, Table};
use crate::study::columns::described;

/// The columns of the result.
pub fn columns() -> Vec<Column> {
    let figure = Significant(3);
    described(&[
        ("claim", "", "the claim", Text),
        ("verdict", "", "PASS: the whole interval lies where the claim puts it; FAIL: none of it does", Text),
        ("figure", "", "the figure that decides", figure),
        ("low", "", "lower end of its 95 % interval (Student's over windows, seeds or draws)", figure),
        ("high", "", "upper end of it", figure),
        ("holds_if", "", "where the claim puts the figure", Text),
        ("published", "", "what the source prints of it", Text),
        ("is", "", "what the figure is", Text),
        ("says", "", "the claim in words", Text),
        ("source", "", "who states it, and where", Text),
        ("on", "", "what it was measured on", Text),
        ("found", "", "what else was found", Text),
        ("why", "", "why there is no verdict", Text),
        ("command", "", "what measures it again", Text),
        ("evidence", "", "the table of what it was computed from", Text),
    ])
}

/// What people read of them.
const SHOWN: [&str; 7] = ["claim", "verdict", "figure", "low", "high", "holds_if", "published"];

/// The result; `input` is the name and the length of what was measured, if any was.
pub(super) fn report(input: Option<(&str, usize)>, checked: Vec<Checked>) -> Report {
    let of_input = input.map_or_else(String::new, |(name, n)| format!(": {name}, n = {n}"));
    let mut report = Report {
        rows: Table::new(format!("Published claims{of_input}"), columns()),
        notes: vec![counts(&checked)],
        ..Report::default()
    };
    // The table of a command, which may be the evidence of several claims.
    let mut known: Vec<(String, String)> = Vec::new();
    for Checked { claim, verdict, why, evidence } in checked {
        let (mid, ends) = evidence.as_ref().map_or((None, None), |evidence| {
            let (mid, ends) = evidence.figure.interval();
            (Some(mid), ends)
        });
        let (note, command, rows) = evidence
            .map_or((None, None, None), |evidence| (evidence.note, evidence.command, Some(evidence.rows)));
        let table =
            known.iter().find(|(other, _)| Some(other) == command.as_ref()).map(|(_, table)| table.clone());
        let is_new = table.is_none();
        let table = rows.as_ref().map(|_| table.unwrap_or_else(|| format!("evidence-{}", claim.name)));
        if let (true, Some(table), Some(rows)) = (is_new, &table, rows) {
            known.extend(command.clone().map(|command| (command, table.clone())));
            report.tables.push((table.clone(), rows));
        }
        let said: Vec<&str> = [&note, &why].into_iter().flatten().map(String::as_str).collect();
        if !said.is_empty() {
            report.notes.push(format!("{}: {}", claim.name, said.join("; ")));
        }
        report.rows.push(vec![
            claim.name.into(),
            verdict.name().into(),
            mid.into(),
            ends.map(|ends| ends.low).into(),
            ends.map(|ends| ends.high).into(),
            claim.judge.words().into(),
            claim.published.into(),
            claim.figure.into(),
            claim.about.into(),
            claim.source.into(),
            claim.on().into(),
            note.into(),
            why.into(),
            command.map(|command| format!("luna {command}")).into(),
            table.into(),
        ]);
    }
    if let Ok(claims) = report.rows.select(&SHOWN) {
        report.views.push(("claims".into(), claims));
    }
    report
}

fn counts(checked: &[Checked]) -> String {
    let of = |verdict: Verdict| checked.iter().filter(|one| one.verdict == verdict).count();
    format!(
        "{} of {} pass, {} fail, {} are inconclusive (a figure at its bound passes or fails by chance in 2.5 % of samples \
         each); `luna list claim` has them in words",
        of(Verdict::Pass),
        checked.len(),
        of(Verdict::Fail),
        of(Verdict::Inconclusive)
    )
}

/// The claims of a result that do not hold.
pub fn failed(report: &Report) -> Vec<String> {
    let mut failed = Vec::new();
    for row in &report.rows.rows {
        if let [Cell::Text(claim), Cell::Text(verdict), ..] = row.as_slice()
            && verdict == Verdict::Fail.name()
        {
            failed.push(claim.clone());
        }
    }
    failed
}
