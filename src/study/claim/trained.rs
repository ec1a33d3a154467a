//! Claims that need training: judged by runs that have finished.

use super::drawn::table;
use super::evidence::{Evidence, Rows};
use super::judge::{Figure, Judge};
use super::setting::Setting;
use super::statement::{Claim, On};
use crate::error::{Error, Result};
use crate::report::{Cell, Column, Digits, Table};
use crate::stats::Interval;
use crate::study::runs::Run;

/// Luna on the task "text" of the Long Range Arena.
pub(super) const TEXT: Claim = Claim {
    name: "luna-text",
    about: "on byte-level text Luna-16 is at most a point less accurate than softmax attention",
    source: "Ma et al. 2021, Long Range Arena: 65.74 and 65.21",
    figure: "accuracy of luna:l=16 less that of softmax, by seed",
    published: Some("0.0053"),
    judge: Judge::Above(-0.01),
    on: On::Runs,
    measure: |setting| paired(setting, "text", "test_accuracy", "luna:l=16", "softmax"),
};

/// Luna's ablation: P carried from layer to layer.
pub(super) const CARRIED: Claim = Claim {
    name: "luna-carried-p",
    about: "a P that is carried from layer to layer is better than a P of each layer's own",
    source: "Ma et al. 2021, ablation, in words",
    figure: "accuracy with --p-chain on less that with off, by seed",
    published: None,
    judge: Judge::Above(0.0),
    on: On::Runs,
    measure: carried,
};

/// Luna in machine translation.
pub(super) const TRANSLATION: Claim = Claim {
    name: "luna-translation",
    about: "an encoder-decoder of Luna's attention translates at most one BLEU worse than its softmax twin",
    source: "Ma et al. 2021, WMT'14 English to German: 27.8 (l = 32, untied) and 28.3",
    figure: "BLEU of Luna less that of softmax",
    published: Some("-0.5"),
    judge: Judge::Above(-1.0),
    on: On::Runs,
    measure: translation,
};

/// The runs that the experiments of this project finished.
const FINISHED: [(&str, &str); 1] = [("text", include_str!("../../../experiments/text/result.csv"))];

/// A figure of one mechanism less that of another, seed by seed, over the runs of a task.
fn paired(setting: &Setting<'_>, task: &str, column: &str, one: &str, other: &str) -> Result<Evidence> {
    let (rows, whence) = runs(setting, task)?;
    let values = differences(&rows, column, one, other)?;
    Ok(Evidence { figure: Figure::Sample { of: "seed", values }, rows, command: None, note: Some(whence) })
}

/// A column of one mechanism less that of another, for every seed that both have.
pub(super) fn differences(rows: &Table, column: &str, one: &str, other: &str) -> Result<Vec<f64>> {
    let of = |name: &str| -> Result<Vec<(Cell, f64)>> {
        let mut found = Vec::new();
        for (at, row) in Rows(rows).each().enumerate() {
            if row.is("attention", name)?
                && let Some(value) = row.number(column)?
            {
                found.push((rows.rows[at][rows.index("seed")?].clone(), value));
            }
        }
        Ok(found)
    };
    let (one, other) = (of(one)?, of(other)?);
    let pair =
        |(seed, value): &(Cell, f64)| other.iter().find(|(of, _)| of == seed).map(|(_, less)| value - less);
    Ok(one.iter().filter_map(pair).collect())
}

/// The runs of a task: those that the user names, or else those of this project's experiments.
fn runs(setting: &Setting<'_>, task: &str) -> Result<(Table, String)> {
    let mut all: Option<Table> = None;
    for path in &setting.config.runs {
        let rows = Run::open(path)?.report.rows;
        // Another study's result, or another task's, is evidence of other claims.
        let is_of_task =
            |row: &Vec<Cell>, at: usize| matches!(&row[at], Cell::Text(text) if text.starts_with(task));
        let (Ok(at), Ok(_)) = (rows.index("task"), rows.index("attention")) else { continue };
        let mut rows = rows;
        rows.rows.retain(|row| is_of_task(row, at));
        match &mut all {
            Some(all) if all.columns == rows.columns => all.rows.extend(rows.rows),
            Some(_) => {
                return Err(Error::malformed(
                    path,
                    "has other columns than the run before it",
                    "runs of one version",
                ));
            }
            None => all = Some(rows),
        }
    }
    if let Some(rows) = all.filter(|rows| !rows.rows.is_empty()) {
        return Ok((rows, "the runs of --runs".into()));
    }
    let finished = FINISHED.iter().find(|(name, _)| *name == task).map(|(_, text)| *text);
    match finished {
        Some(text) => Ok((from_csv(text)?, format!("the runs of experiments/{task}"))),
        None => Err(needs_runs(&format!("of luna train {task}"))),
    }
}

/// The error of a claim that no run was given for.
fn needs_runs(what: &str) -> Error {
    Error::Refused(format!("no finished run {what}: name one with --runs DIR"))
}

/// Runs of luna's layers, and whether P was carried.
fn carried(setting: &Setting<'_>) -> Result<Evidence> {
    let mut rows = table(&["task", "attention", "seed", "p_chain", "test_accuracy"]);
    for path in &setting.config.runs {
        let report = Run::open(path)?.report;
        let Some(carried) = report.stamp.get("recipe").and_then(|recipe| recipe["p_chain"].as_bool()) else {
            continue;
        };
        for row in &report.rows.rows {
            let cell = |column: &str| report.rows.index(column).map(|at| row[at].clone());
            let is_luna =
                matches!(cell("attention")?, Cell::Text(name) if name.split(':').next() == Some("luna"));
            if is_luna {
                let [task, attention, seed] = ["task", "attention", "seed"].map(cell);
                rows.push(vec![task?, attention?, seed?, carried.into(), cell("test_accuracy")?]);
            }
        }
    }
    let values = carried_less_own(&rows);
    if values.is_empty() {
        return Err(needs_runs(
            "of luna train with --p-chain on and one with off (the same task, mechanism and seeds)",
        ));
    }
    Ok(Evidence { figure: Figure::Sample { of: "seed", values }, rows, command: None, note: None })
}

/// The figure with a carried P less that of the same task, mechanism and seed without.
pub(super) fn carried_less_own(rows: &Table) -> Vec<f64> {
    let of = |carried: bool| rows.rows.iter().filter(move |row| row[3] == Cell::Bool(carried));
    let pair = |row: &Vec<Cell>| {
        let own = of(false).find(|own| own[..3] == row[..3])?;
        Some(row[4].number()? - own[4].number()?)
    };
    of(true).filter_map(pair).collect()
}

fn translation(setting: &Setting<'_>) -> Result<Evidence> {
    for path in &setting.config.runs {
        let report = Run::open(path)?.report;
        for (_, view) in &report.views {
            if view.index("metric").is_err() || view.index("diff_low").is_err() {
                continue;
            }
            for row in Rows(view).each() {
                let [mid, low, high] = ["diff", "diff_low", "diff_high"].map(|column| row.number(column));
                if row.is("metric", "BLEU")?
                    && let (Some(mid), Some(low), Some(high)) = (mid?, low?, high?)
                {
                    let figure = Figure::Estimate(Interval { mid, low, high });
                    let note =
                        Some("of one training each: the interval is over sentences, not over seeds".into());
                    return Ok(Evidence { figure, rows: view.clone(), command: None, note });
                }
            }
        }
    }
    Err(needs_runs("of luna translate LUNA --reference FILE --against SOFTMAX --out DIR"))
}

/// A table of CSV as this program writes it.
fn from_csv(text: &str) -> Result<Table> {
    let refused = |error: csv::Error| Error::value("CSV", error, "a result of this program");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().map_err(refused)?.clone();
    let columns = names.iter().map(|name| Column::new(name, "", "", Digits::Significant(4))).collect();
    let mut table = Table::new("", columns);
    for record in reader.records() {
        let cell = |text: &str| match (text.parse::<i64>(), text.parse::<f64>()) {
            _ if text.is_empty() => Cell::Missing,
            (Ok(value), _) => value.into(),
            (_, Ok(value)) => value.into(),
            _ => text.into(),
        };
        table.push(record.map_err(refused)?.iter().map(cell).collect());
    }
    Ok(table)
}
