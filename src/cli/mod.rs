//! The roof: arguments in, exit code out. The only floor that talks.
//!
//! # How to add a subcommand
//!
//! A file with its `Args`, a line in [`Command`] and its arm in `dispatch`; experiment files, completions and help
//! know it from there.

mod approx_error;
mod completions;
pub mod doctor;
mod evaluate;
mod exit;
pub mod experiment;
mod generate;
pub mod interrupt;
pub mod list;
pub mod progress;
mod scale_sweep;
mod scores;
mod signal;
mod study;
mod svd_spectrum;
mod train;
mod translate;

pub use approx_error::ApproxError;
pub use completions::Completions;
pub use evaluate::Evaluate;
pub use exit::Failure;
pub use generate::Generate;
pub use scale_sweep::ScaleSweep;
pub use study::OutputArgs;
pub use svd_spectrum::SvdSpectrum;
pub use train::Train;
pub use translate::Translate;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::report::printable;

/// Is attention low-rank, and what can stand in for it?
#[derive(Clone, Debug, Parser)]
#[command(
    name = "luna",
    version,
    arg_required_else_help = true,
    args_override_self = true,
    disable_help_subcommand = true,
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

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Seed of everything that is drawn
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Show no progress and no hints
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Take flags from an experiment file; what is typed wins
    // Used up before clap sees the arguments (`experiment`); it stands here for help and completions.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What luna can be told to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Singular values of attention matrices beside null models: is attention low-rank?
    SvdSpectrum(Box<SvdSpectrum>),
    /// How well every efficient attention stands in for softmax, beside the best matrix of its rank
    ApproxError(Box<ApproxError>),
    /// FLOPs, time and memory over the sequence length and the projected length: where does each pay?
    ScaleSweep(Box<ScaleSweep>),
    /// Transformer, Linformer, Luna and others learning the papers' tasks, on the same batches
    Train(Box<Train>),
    /// Judge a trained network on another file
    Evaluate(Box<Evaluate>),
    /// Write text with a trained language model
    Generate(Generate),
    /// Translate lines with a trained encoder-decoder
    Translate(Translate),
    /// Run an experiment file: a command and its flags, in YAML
    Run {
        /// The file; flags typed after it win
        file: PathBuf,
    },
    /// List what can be named on the command line
    List(list::List),
    /// Show what this program and this machine are
    Doctor(doctor::Doctor),
    /// Print a script that completes commands and flags
    Completions(Completions),
}

/// How a command that is no study writes what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// The whole program: reads the arguments, does what they say, returns the exit code.
pub fn main(argv: Vec<OsString>) -> ExitCode {
    signal::limits_are_errors();
    let argv = match experiment::expand(argv, &App::command()) {
        Ok(argv) => argv,
        Err(error) => return exit::code(Err(error.into())),
    };
    let controls = argv.iter().any(|arg| arg.to_string_lossy().chars().any(char::is_control));
    match App::try_parse_from(argv) {
        Ok(app) => exit::code(run(&app)),
        Err(message) => {
            // Help and version are written to stdout, misuse to stderr, where nothing more can be said about a failure.
            let plain = controls && message.use_stderr();
            let printed = if plain { print_plainly(&message) } else { message.print() };
            match printed {
                Err(error) if !message.use_stderr() => exit::code(Err(error.into())),
                _ => ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2)),
            }
        }
    }
}

/// Says what clap has to say of arguments with control characters, which its own colours would let through.
fn print_plainly(message: &clap::Error) -> io::Result<()> {
    let text = message.to_string();
    text.lines().try_for_each(|line| writeln!(io::stderr(), "{}", printable(line)))
}

fn run(app: &App) -> Result<(), Failure> {
    use_threads(app.global.threads)?;
    let mut out = BufWriter::new(io::stdout().lock());
    dispatch(app, &mut out)?;
    Ok(out.flush()?)
}

fn dispatch(app: &App, out: &mut dyn Write) -> Result<(), Failure> {
    match &app.command {
        Command::SvdSpectrum(study) => study.run(&app.global, out),
        Command::ApproxError(study) => study.run(&app.global, out),
        Command::ScaleSweep(study) => study.run(&app.global, out),
        Command::Train(study) => study.run(&app.global, out),
        Command::Evaluate(study) => study.run(&app.global, out),
        Command::Generate(generate) => generate.run(&app.global, out),
        Command::Translate(translate) => translate.run(&app.global, out),
        // An experiment file has taken the place of `run` before clap saw it; this one could not be told apart.
        Command::Run { file } => {
            let accepted = "an experiment file right after 'run'";
            Err(Error::value("run", file.display(), accepted).into())
        }
        Command::List(list) => list.run(&list::registries(), out),
        Command::Doctor(doctor) => doctor.run(out),
        Command::Completions(completions) => Ok(completions.run(App::command(), out)?),
    }
}

/// Sets the size of the pool that all parallel work shares.
fn use_threads(threads: Option<u16>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global();
    pool.map_err(|error| Error::value("--threads", threads, format!("what the system can start ({error})")))
}

fn write_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(typed: &[&str]) -> Result<App, clap::Error> {
        App::try_parse_from([&["luna"], typed].concat())
    }

    #[test]
    fn the_arguments_are_well_formed() {
        App::command().debug_assert();
    }

    #[test]
    fn the_last_flag_stands_wherever_it_stands() {
        let app = parsed(&["--seed", "1", "list", "--seed", "2", "--format", "json", "--format", "table"]);
        assert_eq!(app.unwrap().global.seed, 2);
    }

    #[test]
    fn misuse_is_told_apart_from_help() {
        assert_eq!(parsed(&["--help"]).unwrap_err().exit_code(), 0);
        assert_eq!(parsed(&[]).unwrap_err().exit_code(), 2);
        let misused = parsed(&["list", "--formt", "json"]).unwrap_err();
        assert_eq!(misused.exit_code(), 2);
        assert!(misused.to_string().contains("--format"), "{misused}");
        assert!(parsed(&["list", "--threads", "0"]).is_err());
    }
}
