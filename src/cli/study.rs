//! Runs a study: options in, progress while it works, the result to stdout and into a folder.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::progress::{Progress, Show};
use super::{Failure, Global, interrupt, signal};
use crate::error::{Error, Result};
use crate::linalg::engine::Engine;
use crate::profile::{clock, machine::Machine};
use crate::report::{self, Figure, Format, Plot, Report, Stamp, Style};
use crate::study::runs::View;
use crate::study::{Aggregate, Columns, Context, Outcome, Watch};
use crate::sweep::RunFolder;

/// Said where neither a model nor other heads were named.
const HINT: &str = "luna: no model named: these are heads of a built-in model; for those of your own model add\n      \
                    --model DIR --text FILE (a folder with config.json, model.safetensors and tokenizer.json, or a hub id)";
/// Rows of a plot of curves in the terminal.
const PLOT_HEIGHT: usize = 20;

/// What every study takes beside its own configuration: where its result goes, and in which form.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// How to write the result: table, json, csv, jsonl, markdown or latex
    #[arg(long, value_name = "NAME", default_value = "table", value_parser = format)]
    pub format: &'static Format,
    /// Folder for result.json, result.csv, figures and arrays, and the journal of finished cells
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Draw the figures in the terminal, below the table (of a figure with heat maps the last of them)
    #[arg(long)]
    pub plot: bool,
    /// What is printed of it.
    #[command(flatten)]
    pub view: View,
}

impl OutputArgs {
    /// Where the result goes, of a command that continues none.
    pub(super) fn folder(&self) -> RunFolder {
        RunFolder { path: self.out.clone(), ..RunFolder::default() }
    }

    /// What `--aggregate` is beside these options: chosen columns are shown as tables are.
    pub(super) fn aggregate(&self, asked: Aggregate) -> Aggregate {
        let is_table = matches!(self.format.name, "table" | "markdown");
        // Means by a key are over the rows of each window.
        let is_of_columns = self.view.columns.is_some() && self.view.by.is_none();
        if is_of_columns { asked.of_columns(is_table) } else { asked }
    }
}

pub(super) fn format(name: &str) -> Result<&'static Format> {
    Format::find(name)
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Runs `study` and writes what it found; `folder` is where it is recorded, `embedded` if neither a model nor other heads were
/// named, `columns` those that can be chosen from.
pub(super) fn run(
    global: &Global,
    output: &OutputArgs,
    (folder, embedded): (&RunFolder, bool),
    columns: impl Into<Columns>,
    out: &mut dyn Write,
    study: impl FnOnce(Context<'_>) -> Result<Outcome>,
) -> Result<(), Failure> {
    let columns = columns.into();
    // A picture after JSON or CSV would be read as part of it.
    if output.plot && output.format.name != "table" {
        let accepted = "--format table (--out holds the figure as SVG)";
        return Err(Error::value("--plot", output.format.name, accepted).into());
    }
    refuse_binary(output.format)?;
    output.view.check(&columns)?;
    folder.refuse_used()?;
    if let Some(dir) = &output.out {
        report::folder::prepare(dir)?;
    }
    let watch = Terminal::new(global.quiet, embedded);
    let context = Context { seed: global.seed, engine: Engine::default(), watch: &watch };
    let ran = study(context);
    watch.finish();
    let Outcome { mut report, complete } = match (ran, &folder.shard) {
        (Err(Error::ShardDone), Some(shard)) => {
            let dir = folder.path.clone().unwrap_or_default();
            let whole = if RunFolder::has_journal(&dir) {
                "luna merge shows all shards as one"
            } else {
                "the same command with --resume in the place of --shard shows all shards as one"
            };
            writeln!(out, "shard {shard} is done: its cells are in '{}'; {whole}", dir.display())?;
            return Ok(());
        }
        (Err(Error::Listed(cells)), _) => {
            let list = serde_json::to_string(&cells).map_err(io::Error::other)?;
            return Ok(writeln!(out, "{list}")?);
        }
        (ran, _) => ran?,
    };
    report.make_printable();
    report.stamp = stamp(global).iter().chain(report.stamp.iter()).map(own).collect();
    report.stamp.push("interrupted", !complete);
    if let Some(dir) = &output.out {
        watch.say(&write(&report, dir)?);
    }
    print(&mut report, output, &columns, out)?;
    match (complete, &folder.merged) {
        (true, _) => Ok(()),
        (false, Some(_)) => Err(Failure::Partial),
        (false, None) => Err(Error::Interrupted.into()),
    }
}

/// Refuses to fill a terminal with what is not text.
pub(super) fn refuse_binary(format: &Format) -> Result<()> {
    if format.is_binary() && io::stdout().is_terminal() {
        return Err(Error::value(
            "--format",
            format.name,
            "it where standard output is a file: > rows.parquet",
        ));
    }
    Ok(())
}

/// Writes the files of a result in the place of those of an earlier one; returns what there is to say of them.
fn write(report: &Report, dir: &Path) -> Result<String> {
    let before = RunFolder::files(dir);
    let written = report::folder::write(report, dir)?;
    RunFolder::remove_stale(dir, &before, &written)?;
    let names = written.iter().filter_map(|path| path.file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    Ok(format!("wrote {} to '{}'", names.join(", "), dir.display()))
}

fn own((key, value): (&str, &serde_json::Value)) -> (String, serde_json::Value) {
    (key.to_string(), value.clone())
}

/// Prints what was asked for of a report.
pub(super) fn print(
    report: &mut Report,
    output: &OutputArgs,
    columns: &Columns,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let terminal = io::stdout().is_terminal();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = Style { width: width(terminal), colour: terminal && !no_colour };
    output.view.apply(report, columns)?;
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
    let Plot::Panels(panels) = &figure.kind else { return vec![figure] };
    let heat = panels.iter().rev().find(|panel| matches!(panel.kind, Plot::Heat(_)));
    heat.map_or_else(|| panels.iter().collect(), |heat| vec![heat])
}

/// Columns of the terminal; without one, what fits a page.
pub(super) fn width(terminal: bool) -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let found =
        || terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| usize::from(columns));
    asked.or_else(|| found().filter(|_| terminal)).unwrap_or(80).max(40)
}

fn stamp(global: &Global) -> Stamp {
    let machine = Machine::read();
    let mut stamp = Stamp::default();
    stamp.push("version", env!("CARGO_PKG_VERSION"));
    stamp.push("command", global.command.clone());
    stamp.push("date", clock::today());
    stamp.push("seed", global.seed);
    stamp.push("threads", rayon::current_num_threads());
    stamp.push("cpu", machine.cpu.unwrap_or_default());
    stamp.push("cpu_features", machine.features);
    stamp.push("os", machine.os);
    stamp
}

/// Shows a study at the terminal.
struct Terminal {
    show: Show,
    /// Whether to say what is measured where no input was named: once.
    hint: AtomicBool,
    progress: Mutex<Option<Progress>>,
    stop: &'static AtomicBool,
}

impl Terminal {
    fn new(quiet: bool, embedded: bool) -> Self {
        let hint = embedded && !quiet;
        Self {
            show: Show::fitting(quiet),
            hint: AtomicBool::new(hint),
            progress: Mutex::new(None),
            stop: interrupt::watch(),
        }
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
        if self.hint.swap(false, Ordering::Relaxed) {
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

    fn more(&self, steps: usize) {
        self.with(|progress| {
            if let Some(progress) = progress {
                progress.more(steps as u64);
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

    fn has_time(&self, seconds: f64) -> bool {
        let Some(left) = interrupt::seconds_left().filter(|left| *left < seconds) else { return true };
        if signal::first_stop(signal::TRY_AGAIN) {
            let left = left.max(0.0);
            let said = format!(
                "the next cell takes about {seconds:.0} s, and {left:.0} s are left: it is not begun"
            );
            let _ = writeln!(std::io::stderr(), "luna: {said}");
        }
        false
    }

    fn leave(&self) {
        self.finish();
        let said = "interrupted; nothing that was finished is lost";
        let _ = writeln!(std::io::stderr(), "luna: {said}");
        interrupt::leave();
    }
}
