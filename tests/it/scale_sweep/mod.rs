//! `luna scale-sweep` as a study: flags in, report out.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

mod interrupted;
mod laws;
mod program;

use std::path::Path;

use clap::Parser;
use luna::error::Result;
use luna::linalg::engine::Engine;
use luna::report::{Report, Table};
use luna::study::scale_sweep::{self, ScaleSweepConfig};
use luna::study::{Context, Outcome, Unwatched, Watch};
use luna::sweep::RunFolder;

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Flags {
    #[command(flatten)]
    config: ScaleSweepConfig,
}

/// What `luna scale-sweep` does with these flags, followed by `watch`, begun or resumed in `folder`.
fn outcome(flags: &[&str], folder: Option<&Path>, watch: &dyn Watch) -> Result<Outcome> {
    let parsed = Flags::try_parse_from([&["scale-sweep"], flags].concat()).unwrap();
    let folder = RunFolder { path: folder.map(Path::to_path_buf), resume: true, ..RunFolder::default() };
    let config = ScaleSweepConfig { folder, ..parsed.config };
    // Threads of its own: what other tests allocate meanwhile is not counted.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(|| scale_sweep::run(&config, Context { seed: 0, engine: Engine::Faer, watch }))
}

/// As [`outcome`], of a sweep that ends by itself.
pub(crate) fn swept(flags: &[&str]) -> Report {
    let outcome = outcome(flags, None, &Unwatched).unwrap();
    assert!(outcome.complete && !outcome.report.rows.rows.is_empty());
    outcome.report
}

/// The rows as column names and exact values, to be asked by name.
fn rows(table: &Table) -> Vec<std::collections::BTreeMap<String, String>> {
    let names = || table.columns.iter().map(|column| column.name.clone());
    table.rows.iter().map(|row| names().zip(row.iter().map(luna::report::Cell::exact)).collect()).collect()
}
