//! A study run as the program runs it: its flags in, its report out.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

#[cfg(unix)]
mod cluster;
mod killed;
mod program;
mod resumed;
mod shards;

use clap::Parser;
use luna::linalg::engine::Engine;
use luna::report::{Cell, Report, Table};
use luna::study::svd_spectrum::{self, Config};
use luna::study::{Context, Outcome, Unwatched, Watch};

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Asked {
    #[command(flatten)]
    config: Config,
}

/// What `luna svd-spectrum` finds with these flags and this seed.
pub(crate) fn svd_spectrum(flags: &[&str], seed: u64) -> Report {
    let outcome = watched(flags, seed, &Unwatched);
    assert!(outcome.complete && !outcome.report.rows.rows.is_empty());
    outcome.report
}

/// The same, followed by `watch`.
pub(crate) fn watched(flags: &[&str], seed: u64, watch: &dyn Watch) -> Outcome {
    let asked = Asked::try_parse_from([&["svd-spectrum"], flags].concat()).unwrap();
    svd_spectrum::run(&asked.config, Context { seed, engine: Engine::Faer, watch }).unwrap()
}

/// The cell of a row, counted from 0, under a column.
pub(crate) fn cell<'a>(table: &'a Table, row: usize, column: &str) -> &'a Cell {
    &table.rows[row][table.index(column).unwrap()]
}

/// The number in it.
pub(crate) fn number(table: &Table, row: usize, column: &str) -> f64 {
    cell(table, row, column).number().unwrap_or_else(|| panic!("no number in row {row} under {column}"))
}
