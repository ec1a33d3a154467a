//! The program: its subcommands, and how one of them is run.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::allocate::Allocate;
use super::approx_error::ApproxError;
use super::cells::{self, CellArgs};
use super::check::Check;
use super::cluster::{Cluster, Program};
use super::completions::Completions;
use super::diff::Diff;
use super::doctor::Doctor;
use super::evaluate::Evaluate;
use super::exit::{self, Failure};
use super::experiment;
use super::generate::Generate;
use super::global::Global;
use super::jobs;
use super::list::{self, List};
use super::merge::Merge;
use super::needed;
use super::numbers;
use super::renamed;
use super::report::Report;
use super::scale_sweep::ScaleSweep;
use super::show::Show;
use super::signal;
use super::svd_spectrum::SvdSpectrum;
use super::train::Train;
use super::translate::Translate;
use crate::error::{Error, Result, one_line};
use crate::report::printable;
use crate::sweep::RunFolder;

/// Is attention low-rank, and what can stand in for it?
#[derive(Clone, Debug, Parser)]
#[command(
    name = "luna",
    version,
    arg_required_else_help = true,
    args_override_self = true,
    max_term_width = 100
)]
pub struct App {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl App {
    /// The program's arguments, the first of which is its name.
    pub fn parse<T: Into<OsString> + Clone>(argv: impl IntoIterator<Item = T>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let mut matches = command.try_get_matches_from_mut(argv).map_err(numbers::in_words)?;
        if let Some((name, typed)) = matches.subcommand()
            && let Some(named) = command.find_subcommand(name)
        {
            needed::check(named, typed)?;
        }
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }
}

/// The subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Singular values of attention matrices beside null models: is attention low-rank?
    #[command(after_help = "Examples and definitions: docs/svd-spectrum.md")]
    SvdSpectrum(Box<SvdSpectrum>),
    /// Errors of efficient attention in the place of softmax, beside the best matrix of the same rank
    #[command(after_help = "Examples and definitions: docs/approx-error.md")]
    ApproxError(Box<ApproxError>),
    /// A budget of attention spent head by head: which mechanism and l each head of a model gets
    #[command(after_help = "Examples and definitions: docs/allocate.md")]
    Allocate(Box<Allocate>),
    /// FLOPs, time and memory of attention over the sequence length and the projected length
    #[command(after_help = "Examples and definitions: docs/scale-sweep.md")]
    ScaleSweep(Box<ScaleSweep>),
    /// Train Transformer, Linformer, Luna and others on the papers' tasks, with the same batches
    #[command(after_help = "Examples and definitions: docs/train.md")]
    Train(Box<Train>),
    /// Published claims as tests: PASS, FAIL or INCONCLUSIVE, with figures and intervals
    #[command(after_help = "Examples: docs/check.md")]
    Check(Box<Check>),
    /// Evaluate a trained network on another file
    #[command(after_help = "Examples and definitions: docs/train.md")]
    Evaluate(Box<Evaluate>),
    /// Write text with a trained language model
    #[command(after_help = "Examples and definitions: docs/train.md")]
    Generate(Box<Generate>),
    /// Translate lines with a trained encoder-decoder
    #[command(after_help = "Examples and definitions: docs/train.md")]
    Translate(Box<Translate>),
    /// Run an experiment file: a command and its flags, in YAML
    Run {
        /// The file; flags after it override it
        file: PathBuf,
    },
    /// Show the cells of several runs, such as shards, as one run
    #[command(after_help = "Examples: docs/results.md")]
    Merge(Box<Merge>),
    /// Print the table of a finished run again, by layer or head, sorted, or some rows of it
    #[command(after_help = "Examples: docs/results.md")]
    Show(Box<Show>),
    /// Compare finished runs: what differs in how they were produced, and by how much their results do
    #[command(after_help = "Examples: docs/results.md")]
    Diff(Box<Diff>),
    /// Write finished runs as one page: findings, figures and tables that answer to the pointer, and the data
    #[command(after_help = "Examples: docs/results.md")]
    Report(Box<Report>),
    /// Run a study as an array job of Slurm: plan, submit, status, resubmit, cancel
    #[command(after_help = "Examples: docs/cluster.md")]
    Cluster(Box<Cluster>),
    /// List the names that flags accept
    List(List),
    /// Show this build and this machine
    Doctor(Doctor),
    /// Print a shell script that completes commands, flags and values
    Completions(Completions),
}

impl Command {
    /// Whether it is a study whose cells run apart.
    fn has_cells(&self) -> bool {
        matches!(self, Self::SvdSpectrum(_) | Self::ApproxError(_) | Self::ScaleSweep(_))
    }

    /// How the cells of a study are run, and the folder of its result. Refuses times that would be measured beside others.
    fn in_cells(&self) -> Result<Option<(&CellArgs, Option<&Path>)>, Failure> {
        Ok(match self {
            Self::SvdSpectrum(study) => Some(study.in_cells()),
            Self::ApproxError(study) => Some(study.in_cells()),
            Self::ScaleSweep(study) => Some(study.in_cells()?),
            _ => None,
        })
    }
}

/// Parses the arguments, runs the command and returns the exit code.
pub fn main(argv: Vec<OsString>) -> u8 {
    signal::ignore_file_limits();
    let command = cells::what_is_measured(argv.get(1..).unwrap_or_default());
    let argv = match experiment::expand(argv, &App::command()) {
        Ok(argv) => argv,
        Err(error) => return exit::code(Err(error.into())),
    };
    let controls = argv.iter().any(|arg| arg.to_string_lossy().chars().any(char::is_control));
    match App::parse(&argv) {
        Ok(mut app) => {
            app.global.arguments = cells::what_is_measured(&argv[1..]);
            app.global.command = command;
            if !app.global.quiet {
                renamed::say(&argv, &App::command());
            }
            exit::code(run(&app))
        }
        Err(message) => {
            // Help and version go to stdout. Misuse goes to stderr: a failure to write there cannot be reported.
            let plain = controls && message.use_stderr();
            let printed = if plain { print_plainly(&message) } else { message.print() };
            match printed {
                Err(error) if !message.use_stderr() => exit::code(Err(error.into())),
                _ => u8::try_from(message.exit_code()).unwrap_or(2),
            }
        }
    }
}

/// Prints clap's message about arguments with control characters, which clap would print as they are.
fn print_plainly(message: &clap::Error) -> io::Result<()> {
    let text = message.to_string();
    text.lines().try_for_each(|line| writeln!(io::stderr(), "{}", printable(line)))
}

/// The study that a merge shows the cells of.
fn merged(merge: &Merge, global: &Global) -> Result<App, Failure> {
    let (argv, origin) = merge.expand(global.quiet)?;
    let malformed = |error: clap::Error| {
        Error::Refused(format!("the command of these runs is not one of this version: {}", one_line(&error)))
    };
    let mut app = App::parse(argv).map_err(malformed)?;
    // Its result says what one run would say.
    app.global = Global { command: origin.command, arguments: origin.arguments, ..app.global };
    Ok(app)
}

/// The arguments of a study whose cells run apart, with those of an experiment file in its place.
fn study_arguments(argv: Vec<OsString>) -> Result<Vec<String>> {
    let argv = experiment::expand(argv, &App::command())?;
    let app = App::parse(&argv).map_err(|error| Error::Refused(one_line(&error)))?;
    if !app.command.has_cells() {
        let accepted = "cluster: only svd-spectrum, approx-error and scale-sweep have cells that run apart";
        return Err(Error::Refused(accepted.into()));
    }
    Ok(cells::what_is_measured(&argv[1..]))
}

/// Runs the part of a study that more arguments name.
fn run_part(arguments: &[String], more: &[OsString], global: &Global) -> Result<(), Failure> {
    let words = arguments.iter().map(OsString::from).chain(more.iter().cloned());
    let wrong = |error: clap::Error| Error::Refused(one_line(&error));
    let mut app = App::parse(std::iter::once("luna".into()).chain(words)).map_err(wrong)?;
    app.global = Global {
        command: arguments.to_vec(),
        arguments: arguments.to_vec(),
        threads: global.threads.or(app.global.threads),
        quiet: global.quiet || app.global.quiet,
        ..app.global
    };
    run(&app)
}

/// Runs the shards of a study in processes of their own; the study that merges them.
fn in_jobs(jobs: usize, (out, resume): (&Path, bool), global: &Global) -> Result<App, Failure> {
    RunFolder { path: Some(out.into()), resume, ..RunFolder::default() }.refuse_used()?;
    let parts = jobs::run(jobs, out, resume, global)?;
    let mut argv: Vec<OsString> = vec!["luna".into()];
    argv.extend(global.arguments.iter().map(OsString::from));
    argv.extend(jobs::merge(parts, out));
    let mut app = App::parse(argv).map_err(|error| Error::Refused(one_line(&error)))?;
    app.global =
        Global { command: global.command.clone(), arguments: global.arguments.clone(), ..app.global };
    Ok(app)
}

fn run(app: &App) -> Result<(), Failure> {
    if let Command::Merge(merge) = &app.command {
        return run(&merged(merge, &app.global)?);
    }
    if let Some((cells, out)) = app.command.in_cells()? {
        if let (Some(jobs), Some(out)) = (cells.jobs, out) {
            return run(&in_jobs(usize::from(jobs), (out, cells.resume), &app.global)?);
        }
        if cells.while_stdin {
            jobs::end_with_stdin();
        }
    }
    // An element starts the study's own.
    if !matches!(app.command, Command::Cluster(_)) {
        app.global.start_threads()?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    dispatch(app, &mut out)?;
    Ok(out.flush()?)
}

/// What the command of this name asks, as its help says.
fn question(study: &str) -> Option<String> {
    App::command().find_subcommand(study).and_then(|command| command.get_about().map(ToString::to_string))
}

fn dispatch(app: &App, out: &mut dyn Write) -> Result<(), Failure> {
    match &app.command {
        Command::SvdSpectrum(study) => study.run(&app.global, out),
        Command::ApproxError(study) => study.run(&app.global, out),
        Command::Allocate(study) => study.run(&app.global, out),
        Command::ScaleSweep(study) => study.run(&app.global, out),
        Command::Train(study) => study.run(&app.global, out),
        Command::Check(check) => check.run(&app.global, out),
        Command::Evaluate(study) => study.run(&app.global, out),
        Command::Generate(generate) => generate.run(&app.global, out),
        Command::Translate(translate) => translate.run(&app.global, out),
        // An experiment file replaces `run` before clap parses the arguments, unless other words stand between.
        Command::Run { file } => {
            Err(Error::Refused(format!("run: '{}' must follow 'run' directly", file.display())).into())
        }
        // Replaced by the study that it shows, in `run`.
        Command::Merge(_) => Err(Error::Refused("merge: these runs are of a merge".into()).into()),
        Command::Show(show) => show.run(out),
        Command::Diff(diff) => diff.run(&app.global, out),
        Command::Report(report) => report.run(&question, out),
        Command::Cluster(cluster) => {
            let program = Program { arguments: study_arguments, run: run_part };
            cluster.run(program, &app.global, out)
        }
        Command::List(list) => list.run(&list::registries(), out),
        Command::Doctor(doctor) => doctor.run(out),
        Command::Completions(completions) => Ok(completions.run(App::command(), out)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(typed: &[&str]) -> Result<App, clap::Error> {
        App::parse([&["luna"], typed].concat())
    }

    #[test]
    fn the_arguments_are_well_formed() {
        App::command().debug_assert();
    }

    #[test]
    fn the_last_of_repeated_flags_counts() {
        let app = parsed(&["--seed", "1", "list", "--seed", "2", "--format", "json", "--format", "table"]);
        assert_eq!(app.unwrap().global.seed, 2);
    }

    #[test]
    fn misuse_and_help_have_different_codes() {
        assert_eq!(parsed(&["--help"]).unwrap_err().exit_code(), 0);
        let help = parsed(&["help", "svd-spectrum"]).unwrap_err();
        assert_eq!((help.exit_code(), help.to_string().contains("--seq-len")), (0, true));
        assert_eq!(parsed(&[]).unwrap_err().exit_code(), 2);
        let misused = parsed(&["list", "--formt", "json"]).unwrap_err();
        assert_eq!(misused.exit_code(), 2);
        assert!(misused.to_string().contains("--format"), "{misused}");
        assert!(parsed(&["list", "--threads", "0"]).is_err());
    }

    #[test]
    fn a_value_that_is_no_number_says_what_is_accepted() {
        for (typed, expected) in [
            ("--steps x", "invalid value 'x' for '--steps <N>': accepted: a whole number\n"),
            ("--steps 1.5", "accepted: a whole number\n"),
            ("--steps 99999999999999999999999", "accepted: a whole number of 64 bits\n"),
            ("--rate-p abc", "invalid value 'abc' for '--rate-p <FACTOR>': accepted: a number\n"),
            ("--dropout=", "accepted: a number\n"),
        ] {
            let typed = ["train --task recall", typed].join(" ");
            let error = parsed(&typed.split(' ').collect::<Vec<_>>()).unwrap_err();
            let message = error.to_string();
            assert!(message.starts_with("error: invalid value ") && message.contains(expected), "{message}");
            assert!(message.contains("try '--help'"), "{message}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn an_option_that_needs_another_is_refused_beside_what_excludes_that() {
        for (typed, needed) in [
            ("approx-error --eps 0.5 --mechanism linear", "--check"),
            ("approx-error --draws 3 --substitute all", "--check"),
            ("approx-error --allocation a.json --synthetic iid", "--substitute"),
            ("approx-error --qkv-scale=1 --model m", "--qkv"),
            ("svd-spectrum --pixels p.npy --axes batch", "--model"),
            ("scale-sweep --text t --synthetic iid", "--model"),
            ("allocate --offline", "--model"),
            ("approx-error --resume", "--out"),
        ] {
            let error = parsed(&typed.split(' ').collect::<Vec<_>>()).unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains("required") && message.contains(&format!("{needed} ")),
                "{typed}: {message}"
            );
            assert!(
                message.contains(&format!("Usage: luna {}", typed.split(' ').next().unwrap())),
                "{message}"
            );
        }
        let whole =
            "approx-error --eps 0.5,0.25 --check linformer-theorem-1 --out a --resume --model m --offline";
        assert!(parsed(&whole.split(' ').collect::<Vec<_>>()).is_ok());
    }
}
