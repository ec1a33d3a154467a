//! How many elements, each of how long.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;

use super::program::Program;
use super::run::{Run, parts};
use crate::cli::{Failure, executable};
use crate::error::{Error, Result};
use crate::profile::clock::Stopwatch;
use crate::sweep::Shard;

/// What planning takes.
#[derive(Args, Clone, Debug)]
pub(super) struct PlanArgs {
    /// Minutes that an element lasts, by the predicted costs of its cells
    #[arg(long, value_name = "M", default_value_t = 30.0)]
    minutes: f64,
    /// Elements, in the place of --minutes
    #[arg(long, value_name = "N")]
    elements: Option<usize>,
    /// Seconds that a cell takes on a node, on average [default: one is run here, and timed]
    #[arg(long, value_name = "S")]
    cell_seconds: Option<f64>,
    /// The study: a command of luna and its options, such as `run study.yaml --text a.txt`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What planning alone takes.
#[derive(Args, Clone, Debug)]
pub(super) struct PlanOnlyArgs {
    /// Write the folder of a run whose elements another system than Slurm starts
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
}

/// A study in elements.
#[derive(Debug)]
pub(super) struct Plan {
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Its cells, with their predicted costs.
    pub(super) cells: Vec<(String, f64)>,
    pub(super) elements: usize,
    /// Seconds that a cell takes on average; none if nobody asked.
    pub(super) cell_seconds: Option<f64>,
}

impl PlanOnlyArgs {
    pub(super) fn run(&self, program: Program, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(dir) = &self.out {
            Run::refuse_used(dir)?;
        }
        let plan = self.plan.plan(program)?;
        plan.show(out)?;
        if let Some(dir) = &self.out {
            let parts = parts(dir);
            std::fs::create_dir_all(&parts).map_err(Error::file(&parts))?;
            plan.run()?.write(dir)?;
            let [dir, parts] = [dir, &parts].map(|path| path.display());
            writeln!(out, "a task is 'luna cluster element {dir}'; all of them, 'luna merge {parts}'")?;
        }
        Ok(())
    }
}

impl PlanArgs {
    pub(super) fn plan(&self, program: Program) -> Result<Plan, Failure> {
        for (flag, value) in [("--minutes", Some(self.minutes)), ("--cell-seconds", self.cell_seconds)] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return Err(Error::value(flag, value, "a finite number above 0").into());
            }
        }
        // As it is typed elsewhere, and as it is meant here.
        let named = usize::from(self.command.first().is_some_and(|word| word == "luna"));
        let command = self.command.iter().skip(named).cloned();
        let arguments = (program.arguments)(std::iter::once("luna".into()).chain(command).collect())?;
        let cells: Vec<(String, f64)> = {
            let list = luna(&[&arguments[..], &["--list-cells".into(), "--quiet".into()]].concat())?;
            let wrong = |error| Error::Refused(format!("cluster: the list of cells is not one: {error}"));
            serde_json::from_str(&list).map_err(wrong)?
        };
        if cells.is_empty() {
            return Err(Error::Refused("cluster: this study has no cells".into()).into());
        }
        if let Some(elements) = self.elements {
            if elements == 0 {
                return Err(Error::value("--elements", elements, "1 or more").into());
            }
            let elements = elements.min(cells.len());
            return Ok(Plan { arguments, cells, elements, cell_seconds: self.cell_seconds });
        }
        let seconds = self.cell_seconds.map_or_else(|| trial(&arguments, &cells), Ok)?;
        let all = seconds * cells.len() as f64;
        let elements = ((all / (60.0 * self.minutes)).ceil() as usize).clamp(1, cells.len());
        Ok(Plan { arguments, cells, elements, cell_seconds: Some(seconds) })
    }
}

impl Plan {
    /// A run of it, of which nothing is submitted.
    pub(super) fn run(&self) -> Result<Run> {
        Ok(Run {
            version: env!("CARGO_PKG_VERSION").into(),
            program: executable::path()?,
            started_in: std::env::current_dir().map_err(Error::file("."))?,
            arguments: self.arguments.clone(),
            shards: self.elements,
            cells: self.cells.len(),
            ..Run::default()
        })
    }

    pub(super) fn show(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (cells, elements) = (self.cells.len(), self.elements);
        let each = |seconds: f64| format!(", each about {}", duration(seconds));
        let cell = self.cell_seconds.map(each).unwrap_or_default();
        let element = self.cell_seconds.map(|seconds| each(seconds * cells as f64 / elements as f64));
        let [cells, elements] = [count(cells, "cell"), count(elements, "element")];
        writeln!(out, "{cells}{cell}; {elements}{}", element.unwrap_or_default())?;
        Ok(())
    }
}

/// Seconds of an average cell: some are run here, in a folder that is removed.
fn trial(arguments: &[String], cells: &[(String, f64)]) -> Result<f64> {
    let folder = tempfile::tempdir().map_err(Error::file(std::env::temp_dir()))?;
    let total: f64 = cells.iter().map(|(_, cost)| cost).sum();
    for (number, shard) in Shard::all(cells.len()).enumerate() {
        let out = folder.path().join(number.to_string());
        let watch = Stopwatch::start();
        let place = ["--shard".into(), shard.to_string(), "--out".into(), out.display().to_string()];
        luna(&[arguments, &place, &["--quiet".into()]].concat())?;
        let seconds = watch.seconds();
        let journal = std::fs::read_to_string(out.join("journal.jsonl")).unwrap_or_default();
        let is_recorded = |(cell, _): &&(String, f64)| {
            let name = serde_json::Value::from(cell.as_str()).to_string();
            journal.contains(&format!("\"cell\":{name},"))
        };
        let cost: f64 = cells.iter().filter(is_recorded).map(|(_, cost)| cost).sum();
        if cost > 0.0 {
            return Ok(seconds * total / cost / cells.len() as f64);
        }
    }
    Err(Error::Refused("cluster: no cell could be timed; --cell-seconds says how long one takes".into()))
}

/// What this program prints with these arguments.
fn luna(arguments: &[String]) -> Result<String> {
    let mut command = Command::new(executable::path()?);
    command.args(arguments).stdin(Stdio::null());
    let ran = command.output().map_err(Error::file("luna"))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let last = said.lines().last().unwrap_or_default();
    Err(Error::Refused(last.trim_start_matches("luna: ").to_string()))
}

/// So many of a thing.
pub(super) fn count(of: usize, what: &str) -> String {
    format!("{of} {what}{}", if of == 1 { "" } else { "s" })
}

/// Seconds with a unit.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
