//! Runs a study: options in, progress while it works, the result to stdout and into a folder.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::progress::{Progress, Show};
use super::{Failure, Global, interrupt};
use crate::error::{Error, Result};
use crate::linalg::engine::Engine;
use crate::name::List;
use crate::profile::{clock, machine::Machine};
use crate::report::{self, Column, Figure, Format, Kind, Report, Stamp, Style, Table};
use crate::study::{Context, Outcome, Watch};

/// Said where neither a model nor other heads were named.
const HINT: &str = "luna: no model named: these are heads that the program carries; for those of a model of yours add\n      \
                    --model DIR --text FILE (a folder with config.json, model.safetensors and tokenizer.json, or a hub id)";
/// Rows of a plot of curves in the terminal.
const PLOT_HEIGHT: usize = 20;

/// How every study writes its result.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// How to write the result: table, json, csv or markdown
    #[arg(long, value_name = "NAME", default_value = "table", value_parser = format)]
    pub format: &'static Format,
    /// Folder for result.json, result.csv, figures and arrays
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Draw the figures in the terminal, below the table (of a figure with heat maps the last of them)
    #[arg(long)]
    pub plot: bool,
    /// Columns of the result to print instead of the tables, such as `layer,head,stable_rank` (all: every one)
    #[arg(long, value_name = "NAME,...")]
    pub columns: Option<List<String>>,
}

fn format(name: &str) -> Result<&'static Format> {
    Format::find(name)
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Runs `study` and writes what it found; `embedded` if neither a model nor other heads were named, `columns` those that
/// it will have, if that is known.
pub(super) fn run(
    global: &Global,
    output: &OutputArgs,
    embedded: bool,
    columns: Option<Vec<Column>>,
    out: &mut dyn Write,
    study: impl FnOnce(Context<'_>) -> Result<Outcome>,
) -> Result<(), Failure> {
    // A picture after JSON or CSV would be read as part of it.
    if output.plot && output.format.name != "table" {
        return Err(Error::value(
            "--plot",
            output.format.name,
            "--format table (--out holds the figure as SVG)",
        )
        .into());
    }
    // A name that no column has would be found after the work, and lose it.
    if let (Some(known), Some(asked)) = (columns, &output.columns)
        && asked.iter().ne(["all"])
    {
        Table::new("", known).select(asked)?;
    }
    if let Some(dir) = &output.out {
        report::folder::prepare(dir)?;
    }
    let watch = Terminal::new(global.quiet, embedded);
    let context = Context { seed: global.seed, engine: Engine::default(), watch: &watch };
    let Outcome { mut report, complete } = study(context)?;
    watch.finish();
    report.make_printable();
    report.stamp = stamp(global).iter().chain(report.stamp.iter()).map(own).collect();
    report.stamp.push("interrupted", !complete);
    if let Some(dir) = &output.out {
        report::folder::write(&report, dir)?;
    }
    let terminal = std::io::stdout().is_terminal();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = Style { width: width(terminal), colour: terminal && !no_colour };
    print(&mut report, output, style, out)?;
    if complete { Ok(()) } else { Err(Error::Interrupted.into()) }
}

fn own((key, value): (&str, &serde_json::Value)) -> (String, serde_json::Value) {
    (key.to_string(), value.clone())
}

fn print(report: &mut Report, output: &OutputArgs, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(columns) = &output.columns {
        if columns.iter().ne(["all"]) {
            report.rows = report.rows.select(columns)?;
        }
        report.views.clear();
    }
    output.format.write(report, style, out)?;
    if output.plot {
        for plot in report.figures.iter().flat_map(plots) {
            writeln!(out, "\n{}", report::to_terminal(plot, style, PLOT_HEIGHT))?;
        }
    }
    Ok(())
}

/// What is drawn of a figure: the last of its heat maps, or all of its curves.
fn plots(figure: &Figure) -> Vec<&Figure> {
    let Kind::Panels(panels) = &figure.kind else { return vec![figure] };
    let heat = panels.iter().rev().find(|panel| matches!(panel.kind, Kind::Heat(_)));
    heat.map_or_else(|| panels.iter().collect(), |heat| vec![heat])
}

/// Columns of the terminal; without one, what fits a page.
pub(super) fn width(terminal: bool) -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let found =
        || terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| usize::from(columns));
    asked.or_else(|| found().filter(|_| terminal)).unwrap_or(if terminal { 80 } else { 100 }).max(40)
}

fn stamp(global: &Global) -> Stamp {
    let machine = Machine::read();
    let command: Vec<String> = std::env::args_os().skip(1).map(lossy).collect();
    let mut stamp = Stamp::default();
    stamp.push("version", env!("CARGO_PKG_VERSION"));
    stamp.push("command", command);
    stamp.push("date", clock::today());
    stamp.push("seed", global.seed);
    stamp.push("threads", rayon::current_num_threads());
    stamp.push("cpu", machine.cpu.unwrap_or_default());
    stamp.push("cpu_features", machine.features);
    stamp.push("os", machine.os);
    stamp
}

fn lossy(text: OsString) -> String {
    text.to_string_lossy().into_owned()
}

/// Follows a study for whoever sits at the terminal.
struct Terminal {
    show: Show,
    /// Whether to say what is measured where no input was named.
    hint: bool,
    progress: Mutex<Option<Progress>>,
    stop: &'static AtomicBool,
}

impl Terminal {
    fn new(quiet: bool, embedded: bool) -> Self {
        let hint = embedded && !quiet;
        Self { show: Show::fitting(quiet), hint, progress: Mutex::new(None), stop: interrupt::watch() }
    }

    fn with(&self, act: impl FnOnce(&mut Option<Progress>)) {
        // A thread that panicked while it showed progress has harmed the progress only.
        act(&mut self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn finish(&self) {
        self.with(|progress| *progress = None);
    }
}

impl Watch for Terminal {
    fn begin(&self, total: usize, what: &str) {
        // Only now: a refusal is one line, and a closed stderr loses a hint and nothing else.
        if self.hint {
            let _ = writeln!(std::io::stderr(), "{HINT}");
        }
        self.with(|progress| *progress = Some(Progress::start(self.show, total as u64, what)));
    }

    fn step(&self, steps: usize, message: &str) {
        self.with(|progress| {
            if let Some(progress) = progress {
                progress.tick(steps as u64, message);
            }
        });
    }

    fn skip(&self, steps: usize) {
        self.with(|progress| {
            if let Some(progress) = progress {
                progress.skip(steps as u64);
            }
        });
    }

    fn say(&self, message: &str) {
        if self.show != Show::Nothing {
            let _ = writeln!(std::io::stderr(), "luna: {message}");
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
