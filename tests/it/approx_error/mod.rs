//! `luna approx-error` as the program runs it: its flags in, its report out.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod fitted;
mod laws;
mod substitute;
mod theorem;
mod trained;

use clap::Parser;
use luna::linalg::engine::Engine;
use luna::report::Report;
use luna::study::approx_error::{self, Config};
use luna::study::{Context, Unwatched};

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Asked {
    #[command(flatten)]
    config: Config,
}

/// What `luna approx-error` finds with these flags.
pub(crate) fn approx_error(flags: &[&str]) -> luna::Result<Report> {
    let asked = Asked::try_parse_from([&["approx-error"], flags].concat()).unwrap();
    let context = Context { seed: 0, engine: Engine::Faer, watch: &Unwatched };
    let outcome = approx_error::run(&asked.config, context)?;
    assert!(outcome.complete);
    Ok(outcome.report)
}

/// The error of a run that is refused.
fn refusal(flags: &[&str]) -> String {
    approx_error(flags).unwrap_err().to_string()
}
