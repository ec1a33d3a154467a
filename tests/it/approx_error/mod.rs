//! `luna approx-error` as the program runs it: its flags in, its report out.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod differences;
mod fitted;
mod interrupted;
mod laws;
mod masks;
mod stream;
mod substitute;
mod theorem;
mod trained;

use clap::Parser;
use luna::linalg::engine::Engine;
use luna::report::Report;
use luna::study::approx_error::{self, Config};
use luna::study::{Context, Outcome, Unwatched, Watch};

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Asked {
    #[command(flatten)]
    config: Config,
}

/// What `luna approx-error` finds with these flags.
pub(crate) fn approx_error(flags: &[&str]) -> luna::Result<Report> {
    let outcome = outcome(flags, 0, &Unwatched)?;
    assert!(outcome.complete && !outcome.report.rows.rows.is_empty());
    Ok(outcome.report)
}

/// As [`approx_error`], under another seed.
fn with_seed(flags: &[&str], seed: u64) -> Report {
    outcome(flags, seed, &Unwatched).unwrap().report
}

/// What it does with these flags, followed by `watch`.
fn outcome(flags: &[&str], seed: u64, watch: &dyn Watch) -> luna::Result<Outcome> {
    let asked = Asked::try_parse_from([&["approx-error"], flags].concat()).unwrap();
    approx_error::run(&asked.config, Context { seed, engine: Engine::Faer, watch })
}

/// The error of a run that is refused.
fn refusal(flags: &[&str]) -> String {
    approx_error(flags).unwrap_err().to_string()
}
