//! The sections of a page.

use std::path::Path;

use super::extremes::extremes;
use super::facts::{command, facts, subject};
use super::heads::heads;
use crate::error::{Error, Result};
use crate::report::page::{Page, Part, Section, kept};
use crate::report::{Table, is_figure};
use crate::study::runs::shape::{Shape, shown};
use crate::study::runs::{DiffConfig, Run, names};

/// Rows of a main table that is a finding as it is.
const SHORT: usize = 24;

/// A page about finished runs; `question` says what a command asks.
pub fn compose(runs: &[Run], question: impl Fn(&str) -> Option<String>) -> Result<Page> {
    let Some(first) = runs.first() else { return Err(Error::Refused("report: no run is named".into())) };
    let studies: Vec<&str> = runs.iter().map(|run| names::study(&run.report.stamp)).collect();
    let several = runs.len() > 1;
    let mut title =
        if several { format!("{} runs of luna", runs.len()) } else { first.report.rows.title.clone() };
    if title.is_empty() {
        title = format!("luna {}", studies[0]);
    }
    let mut asked: Vec<String> = Vec::new();
    for study in &studies {
        let one =
            question(study).map_or_else(|| format!("luna {study}"), |about| format!("luna {study}: {about}"));
        if !asked.contains(&one) {
            asked.push(one);
        }
    }
    let mut page = Page { title, question: asked.join(" "), ..Page::default() };
    if several {
        page.sections.push(beside(runs));
    }
    for (number, run) in runs.iter().enumerate() {
        let name = several.then(|| run.name());
        of_run(run, number, name.as_deref(), &mut page)?;
    }
    Ok(page)
}

/// Runs compared with the first of them.
fn beside(runs: &[Run]) -> Section {
    let mut parts: Vec<Part> = Vec::new();
    let facts = runs.iter().map(|run| (run.name(), run.report.rows.title.clone())).collect();
    parts.push(Part::Facts(facts));
    match (DiffConfig::default()).compare(runs) {
        Ok(diff) => {
            parts.extend(diff.report.views.into_iter().map(|(_, table)| Part::Table(table)));
            parts.push(Part::Notes(diff.report.notes));
        }
        Err(error) => {
            parts.push(Part::Notes(vec![format!("These runs have no differences to show: {error}")]));
        }
    }
    Section { title: "Beside each other".into(), parts }
}

/// The sections of one run, and its data.
fn of_run(run: &Run, number: usize, name: Option<&str>, page: &mut Page) -> Result<()> {
    let report = &run.report;
    let of = |title: &str| {
        name.map_or_else(|| title.to_string(), |name| format!("{name}: {}", title.to_lowercase()))
    };
    let mut push = |title: &str, parts: Vec<Part>| {
        if !parts.is_empty() {
            page.sections.push(Section { title: of(title), parts });
        }
    };
    let shape = Shape::of(&report.rows, &run.columns, None)?;
    let verdicts = names::verdicts(&report.stamp, &report.notes);
    let mut findings: Vec<String> = Vec::new();
    if report.stamp.get("interrupted") == Some(&true.into()) {
        findings.push("this run was interrupted: what follows is a part of it".into());
    }
    findings.extend_from_slice(&report.notes[verdicts.clone()]);
    findings.extend(names::has_main_figure(&report.stamp).then(|| main_figure(run, &shape)).flatten());
    let mut parts = vec![Part::Findings(findings)];
    parts.extend(subject(&report.stamp).map(|on| Part::Notes(vec![on])));
    let mut tables: Vec<&Table> = report.readable();
    if tables.first().is_some_and(|main| main.rows.len() <= SHORT) {
        parts.push(Part::Table(tables.remove(0).clone()));
    }
    push("What came out", parts);

    let mut figures = Vec::new();
    for path in run.beside()? {
        if path.extension().is_some_and(|ending| ending == "svg") {
            let svg = crate::file::text(&path)?;
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            figures.push(Part::Figure { svg: whole(&path, svg)?, name, path, run: number });
        }
    }
    let heads = heads(run)?;
    if let Some(heads) = &heads {
        figures.push(Part::Template { svg: heads.template.clone(), run: number });
    }
    push("Figures", figures);

    let mut tables: Vec<Part> = tables.into_iter().cloned().map(Part::Table).collect();
    tables.extend(extremes(run)?.map(Part::Table));
    push("Tables", tables);

    let keys = shape.keys.iter().map(|at| report.rows.columns[*at].name.clone());
    let mut order: Vec<String> = keys.collect();
    let mut main = shown(&report.rows, &report.views, &run.columns, &shape);
    main.retain(|name| !order.contains(name));
    order.extend(main);
    let kept = kept(report, &order);
    let mut sure = [&report.notes[..verdicts.start], &report.notes[verdicts.end..]].concat();
    sure.extend(kept.notes);
    push(
        "How sure it is, and what to mind",
        if sure.is_empty() { Vec::new() } else { vec![Part::Notes(sure)] },
    );

    let [measured, machine] = facts(&report.stamp);
    let mut parts = vec![
        Part::Facts(measured),
        Part::Folded("The program and the machine".into(), vec![Part::Facts(machine)]),
    ];
    if let Some(command) = command(&report.stamp) {
        parts.extend([Part::Heading("The command, to repeat it".into()), Part::Command(command)]);
    }
    push("What was measured", parts);

    let all =
        format!("{} rows of {} columns", report.rows.rows.len(), report.rows.columns.len() - kept.left_out);
    push("All data", vec![Part::Folded(all, vec![Part::Rows(number)])]);
    page.data.push((format!("run-{number}"), kept.json));
    page.data.extend(heads.map(|heads| (format!("heads-{number}"), heads.json)));
    Ok(())
}

/// The first column of the main table as one number with its interval, where rows are of one kind.
fn main_figure(run: &Run, shape: &Shape) -> Option<String> {
    let rows = &run.report.rows;
    let main = shown(rows, &run.report.views, &run.columns, shape).into_iter().next()?;
    let means = shape.averaged(rows);
    let [row] = &means.rows[..] else { return None };
    let of = |name: &str| {
        let at = means.columns.iter().position(|column| column.name == name)?;
        row[at].number().map(|value| means.columns[at].digits.show(value))
    };
    let about = &rows.column(&main).ok()?.about;
    let ends = of(&format!("{main}_low")).zip(of(&format!("{main}_high")));
    let ends = ends.map_or_else(String::new, |(low, high)| {
        let units = shape.units(rows).and_then(|units| Some(format!(", over {} {units}", of(&units)?)));
        format!(" (95 %: {low} to {high}{})", units.unwrap_or_default())
    });
    Some(format!("{main} ({about}): {}{ends}, the mean of {} rows", of(&main)?, rows.rows.len()))
}

/// Refuses what would run on the page.
fn whole(path: &Path, svg: String) -> Result<String> {
    if is_figure(&svg) {
        return Ok(svg);
    }
    Err(Error::malformed(path, "is not a figure that luna drew", "the SVG that --out writes"))
}
