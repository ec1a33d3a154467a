//! `luna approx-error`: how well does each mechanism stand in for softmax attention, beside the best of its rank?
//!
//! Every mechanism is built for every head of the input, and its matrix and output are compared with those of softmax
//! attention by the metrics of [`crate::metric`]; beside it stands what the truncated decomposition of the same rank
//! reaches on the same head. Pieces that belong to a head and not to its input (P of Luna, E and F of Linformer) can be
//! fitted on the first windows and judged on the others.
//!
//! Of a model that was trained with Luna attention, `trained` is what the model itself has learned: its matrix is
//! compared like any other with the softmax of the same queries, keys and values, and beside it stands how its rows of P
//! are used.
//!
//! Two other questions are asked of the same inputs: `--substitute` runs the whole model with its attention replaced,
//! and `--check linformer-theorem-1` tests the construction by which Linformer proves its claim.

mod asked;
mod curves;
mod differences;
mod fits;
mod measure;
mod own;
mod reach;
mod rows;
mod slots;
mod substitute;
mod summary;
mod theorem;

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use super::input::{Head, InputArgs, Source, Unnamed};
use super::{Context, Outcome};
use crate::attention::fit;
use crate::error::{Error, Result};
use crate::name::List;
use crate::profile::ram;
use crate::report::{Column, Report};

use asked::Asked;
use fits::Fits;
use measure::{Job, Measured};
pub use own::TRAINED;

/// Bytes of queries, keys and values that may wait for their turn.
const WAITING: usize = 1 << 26;

/// What can be checked beside the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// The construction in the proof of Linformer's theorem 1, by the relative and the additive form
    #[value(name = "linformer-theorem-1")]
    LinformerTheorem1,
}

/// What `luna approx-error` takes.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where the heads come from.
    #[command(flatten)]
    pub input: InputArgs,
    /// Mechanisms, such as `luna:p=segment,linformer:l=64` (see `luna list attention`); `trained` is a Luna model's own
    /// [default: a handful that fits the mask]
    #[arg(long, value_name = "SPECS")]
    pub attention: Option<String>,
    /// Projected lengths: every named mechanism that takes l, and has none typed, is measured at each (those up to n)
    #[arg(long, value_name = "L,...", default_value = "16,32,64,128,256")]
    pub l: List<usize>,
    /// Print the smallest l at which each mechanism's output error stays below these
    #[arg(long, value_name = "EPS,...", conflicts_with_all = ["substitute", "check"])]
    pub tolerance: Option<List<f64>>,
    /// Mechanism of --attention that the others are compared with, head by head or window by window
    /// [default: the best of the same l]
    #[arg(long, value_name = "SPEC", conflicts_with = "check")]
    pub baseline: Option<String>,
    /// First windows to fit p=fitted and e=fitted on; the others are judged [default: all but the last quarter]
    #[arg(long, value_name = "W")]
    pub fit_windows: Option<usize>,
    /// Steps of a fit at most
    #[arg(long, value_name = "S", default_value_t = fit::Options::default().steps)]
    pub fit_steps: usize,
    /// Run the whole model with the attention of these layers replaced: all, or such as 0-3,5
    #[arg(long, value_name = "all|LAYERS", conflicts_with_all = ["check", "layers", "heads", "synthetic"])]
    pub substitute: Option<String>,
    /// Rows of the result are means over heads and windows with intervals: one a mechanism and l
    #[arg(long, conflicts_with_all = ["substitute", "check"])]
    pub aggregate: bool,
    /// Test a claim of a paper instead; where no input is named, on untrained heads of three temperatures
    #[arg(long, value_enum, value_name = "CLAIM", conflicts_with = "attention")]
    pub check: Option<Check>,
    /// Errors eps that --check asks about
    #[arg(long, value_name = "EPS,...", default_value = "0.5,0.25", requires = "check")]
    pub eps: List<f64>,
    /// Random projections that --check draws for each head, window and eps
    #[arg(long, value_name = "D", default_value_t = 10, requires = "check")]
    pub draws: usize,
}

impl Config {
    /// What is read although no input was named.
    pub fn unnamed(&self) -> Option<Unnamed> {
        self.input.unnamed(if self.check.is_some() { theorem::HEADS } else { Unnamed::Model })
    }

    fn check(&self) -> Result<()> {
        if self.l.contains(&0) {
            return Err(Error::value("--l", 0, "1 or more"));
        }
        if self.fit_steps == 0 {
            return Err(Error::value("--fit-steps", 0, "1 or more"));
        }
        if !(1..=1_000_000).contains(&self.draws) {
            return Err(Error::value("--draws", self.draws, "1 or more, at most 1000000"));
        }
        if let Some(eps) = self.eps.iter().find(|eps| !(0.05..1.0).contains(*eps)) {
            return Err(Error::value("--eps", eps, "numbers from 0.05 to below 1"));
        }
        for eps in self.tolerance.iter().flat_map(|list| list.iter()) {
            if *eps <= 0.0 {
                return Err(Error::value("--tolerance", eps, "numbers above 0"));
            }
        }
        Ok(())
    }

    fn fit_options(&self) -> fit::Options {
        fit::Options { steps: self.fit_steps, ..fit::Options::default() }
    }
}

/// The columns of the result.
pub fn columns(config: &Config) -> Vec<Column> {
    match (&config.substitute, config.check, config.aggregate) {
        (Some(_), ..) => substitute::row_columns(),
        (None, Some(Check::LinformerTheorem1), _) => theorem::row_columns(),
        (None, None, true) => summary::aggregated_columns(),
        (None, None, false) => rows::columns(),
    }
}

/// Runs the study on the input that the configuration names.
pub fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    config.check()?;
    // Mistakes in names cost nothing if they are found before a model is opened.
    if let Some(specs) = &config.attention {
        for spec in crate::name::specs(specs)? {
            if !own::check(&spec, &config.input)? {
                crate::attention::find(&spec)?;
            }
        }
    }
    let mut outcome = match (&config.substitute, config.check) {
        (Some(layers), _) => substitute::run(config, layers, context)?,
        (None, Some(Check::LinformerTheorem1)) => theorem::run(config, context)?,
        (None, None) => compare(config, context)?,
    };
    if !outcome.complete {
        let note = "interrupted: not everything that was asked for is in this result";
        outcome.report.notes.insert(0, note.into());
        outcome.report.stamp.push("interrupted", true);
    }
    Ok(outcome)
}

/// What a result says about the input that it came from.
fn stamp(report: &mut Report, source: &dyn Source) {
    let stamp = &mut report.stamp;
    stamp.push("study", "approx-error");
    stamp.push("input", source.name());
    for (key, value) in source.facts() {
        stamp.push(key, value);
    }
    stamp.push("seq_len", source.lengths().to_vec());
    stamp.push("windows", source.windows());
    report.notes.extend(source.notes());
}

/// Refuses lengths whose matrices would not fit in memory, and fits whose windows would not.
fn check_memory(source: &dyn Source, fit_windows: usize) -> Result<()> {
    let threads = rayon::current_num_threads() as u64;
    for n in source.lengths() {
        // For each thread the matrix, a stand-in and their difference in f32, and in f64 the matrix, its Gram matrix,
        // the vectors, and what the decomposition works in.
        let square = (*n as u64).saturating_mul(*n as u64);
        let needed = square.saturating_mul(64 * threads);
        let instead = "a shorter --seq-len or fewer --threads need less";
        ram::require(format!("n x n matrices at n = {n} on {threads} threads"), needed, instead)?;
        // Queries, keys and values of every head, at a width of 64 or so.
        let kept = (fit_windows * source.heads()) as u64 * 12 * 64 * *n as u64;
        let instead = "fewer --fit-windows, or some --layers at a time, need less";
        ram::require(format!("{fit_windows} windows of {} heads to fit on", source.heads()), kept, instead)?;
    }
    Ok(())
}

fn compare(config: &Config, context: Context<'_>) -> Result<Outcome> {
    let source = config.input.open(context.seed, Unnamed::Model)?;
    let source = source.as_ref();
    let asked = Asked::all(config.attention.as_deref(), &config.l, source)?;
    differences::check(config.baseline.as_deref(), &asked)?;
    let windows = Fits::windows(&asked, config.fit_windows, source.windows())?;
    check_memory(source, windows)?;
    let fitted = Asked::count(asked.iter().filter(|asked| asked.fitted), source.lengths());
    let measured = source.windows() * Asked::count(asked.iter(), source.lengths());
    context.watch.begin(source.heads() * (fitted + measured), "cells");
    let fits = Fits::run(&asked, source, windows, &config.fit_options(), context)?;
    let job = Job { asked: &asked, lengths: &config.l, fits: &fits, context };
    let mut measured = Vec::new();
    let complete = match visit(source, &job, &mut measured) {
        Ok(()) => true,
        Err(Error::Interrupted) if !measured.is_empty() => false,
        Err(error) => return Err(error),
    };
    measured.sort_by(|a, b| {
        (a.n, a.layer, a.head, &a.label, a.window).cmp(&(b.n, b.layer, b.head, &b.label, b.window))
    });
    let mut report = report(config, source, &job, &measured);
    stamp(&mut report, source);
    Ok(Outcome { report, complete })
}

fn visit(source: &dyn Source, job: &Job<'_>, measured: &mut Vec<Measured>) -> Result<()> {
    let threads = rayon::current_num_threads();
    let mut measure = |waiting: &mut Vec<Head>| -> Result<()> {
        let heads = std::mem::take(waiting);
        let done: Vec<Result<Measured>> = heads.par_iter().map(|head| job.head(head)).collect();
        // What was finished before an interruption is kept.
        let mut ended = Ok(());
        for one in done {
            match one {
                Ok(one) => measured.push(one),
                Err(error) => ended = Err(error),
            }
        }
        ended
    };
    for n in source.lengths() {
        let mut waiting = Vec::new();
        for window in 0..source.windows() {
            source.visit(*n, window, false, &mut |head| {
                job.context.watch.check()?;
                let each = 12 * n * head.width.unwrap_or(1);
                waiting.push(head);
                let most = (WAITING / each.max(1)).clamp(threads, 12 * threads);
                if waiting.len() >= most { measure(&mut waiting) } else { Ok(()) }
            })?;
        }
        measure(&mut waiting)?;
    }
    Ok(())
}

fn report(config: &Config, source: &dyn Source, job: &Job<'_>, measured: &[Measured]) -> Report {
    let groups = summary::Group::all(job, measured);
    let rows = if config.aggregate {
        summary::aggregated(source, job, &groups)
    } else {
        rows::table(source, job.asked, measured)
    };
    let mut report = Report { rows, ..Report::default() };
    report.notes = summary::notes(source, job, measured);
    for n in source.lengths() {
        report.views.push((format!("summary_n{n}"), summary::table(source, job, &groups, *n)));
        if let Some((table, note)) = differences::view(source, job, &groups, *n, config.baseline.as_deref()) {
            report.views.push((format!("differences_n{n}"), table));
            report.notes.push(note);
        }
    }
    if let Some(tolerance) = &config.tolerance {
        report.views.push(("reach".into(), reach::table(tolerance, job, &groups)));
    }
    report.notes.extend(own::note(source));
    if let Some(slots) = slots::All::of(measured) {
        report.views.push(("slots".into(), slots.view(source)));
        report.tables.push(("slot_usage".into(), slots.rows(source)));
        report.notes.extend(slots.notes(source));
    }
    report.figures = curves::figures(source, job, &groups);
    report
}
