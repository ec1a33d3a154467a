//! `luna allocate` as the program runs it: its flags in, its report out.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod bad;
mod laws;
mod planted;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::Parser;
use luna::linalg::engine::Engine;
use luna::report::Report;
use luna::study::allocate::{self, AllocateConfig};
use luna::study::{Context, Unwatched};
use luna::sweep::RunFolder;
use tempfile::TempDir;

use crate::model::tiny;

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Asked {
    #[command(flatten)]
    config: AllocateConfig,
}

/// What `luna allocate` finds with these flags, in a folder if one is given.
fn allocate(flags: &[&str], folder: Option<&Path>) -> luna::Result<Report> {
    let asked = Asked::try_parse_from([&["allocate"], flags].concat()).unwrap();
    let folder = folder.map_or_else(RunFolder::default, |path| RunFolder {
        path: Some(path.into()),
        resume: true,
        ..RunFolder::default()
    });
    let config = AllocateConfig { folder, ..asked.config };
    let outcome = allocate::run(&config, Context { seed: 0, engine: Engine::Faer, watch: &Unwatched })?;
    assert!(outcome.complete);
    Ok(outcome.report)
}

/// A file of token ids that every tiny vocabulary has.
fn tokens(folder: &Path) -> PathBuf {
    let path = folder.join("tokens.txt");
    let ids: Vec<String> = (0..400).map(|i| (3 + (i * i * 7 + i * 3 + i / 50) % 58).to_string()).collect();
    std::fs::write(&path, ids.join(" ")).unwrap();
    path
}

/// The same file in every run: a result names it.
static TOKENS: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = tokens(folder.path());
    (folder, path)
});

/// A tiny model on such tokens.
fn on(model: &Path, more: &[&str], folder: Option<&Path>) -> luna::Result<Report> {
    let input = ["--model", model.to_str().unwrap(), "--tokens", TOKENS.1.to_str().unwrap()];
    allocate(&[&input[..], more].concat(), folder)
}

/// A file of a report, as JSON.
fn file(report: &Report, name: &str) -> serde_json::Value {
    let (_, text) = report.files.iter().find(|(file, _)| file == name).unwrap();
    serde_json::from_str(text).unwrap()
}

/// A small run.
const SMALL: [&str; 12] = [
    "--seq-len",
    "16",
    "--windows",
    "2",
    "--judge-windows",
    "3",
    "--budget",
    "l=6,4",
    "--l",
    "2,4,8,16",
    "--mechanism",
    "softmax,sink-window,top-k",
];

fn gpt2() -> PathBuf {
    tiny("gpt2")
}
