//! Every mechanism beside softmax attention: a cell is a head over one window, with all mechanisms at every l.

use std::collections::BTreeSet;

use super::Config;
use super::candidate::{Candidate, Candidates};
use super::fits::Fits;
use super::measure::{Job, Measured};
use super::{differences, frame, stream, view};
use crate::error::Result;
use crate::report::Report;
use crate::study::input::{Head, HeadWindow, Source, Unnamed};
use crate::study::{Context, Outcome};
use crate::sweep::{self, Cell, Hand, Shard, Study};

/// Bytes of queries, keys and values that may wait for their turn.
const WAITING: usize = 1 << 26;

/// The study, on its input.
struct Comparison<'a> {
    config: &'a Config,
    source: &'a dyn Source,
    job: Job<'a>,
}

/// Fits and measures what the journal does not hold, and shows all of it.
pub(super) fn run(config: &Config, context: Context<'_>) -> Result<Outcome> {
    let mut source = config.input.open(context.seed, Unnamed::Model)?;
    let mut candidates = Candidates::of(config, source.as_ref(), context.watch)?;
    differences::check(config.baseline.as_deref(), &candidates.all)?;
    candidates.restrict(source.as_mut(), Some("--layers"), context.watch)?;
    let (source, Candidates { all, left_out }) = (source.as_ref(), candidates);
    let windows = Fits::windows(&all, config.fit_windows, source.windows())?;
    let streamed = stream::lengths(config, source, &all)?;
    let dense = source.lengths().iter().filter(|n| !streamed.contains(n));
    frame::check_memory(config, source, dense, windows)?;
    let mut facts = frame::facts(config, "comparison", source, context);
    if !streamed.is_empty() {
        facts.push("streamed", streamed.clone());
    }
    let journal = frame::journal(config, facts, &all, windows)?;
    let mine = heads_of(journal.shard(), &plan(source, &all, &streamed), windows > 0);
    let needed =
        |_: usize, n: usize, label: &str| mine.iter().any(|(at, of)| (*at, of.as_str()) == (n, label));
    let fits = Fits::run(&all, source, (windows, &needed), &config.fit_options(), &journal, context)?;
    let job = Job { candidates: &all, lengths: &config.l, fits: &fits, streamed: &streamed, context };
    let (mut report, complete) = sweep::run(&Comparison { config, source, job }, &journal, context.watch)?;
    report.notes.extend(left_out);
    frame::stamp(&mut report, source);
    Ok(Outcome { report, complete })
}

/// The cells, with their predicted costs.
fn plan(source: &dyn Source, candidates: &[Candidate], streamed: &[usize]) -> Vec<Cell<HeadWindow>> {
    let count = |n: usize| Candidate::count(candidates.iter(), &[n]);
    // A decomposition and norms of whole matrices; row by row it is products of a head's width.
    let cost = |n: f64| {
        let wide = if streamed.contains(&(n as usize)) { 64.0 } else { n };
        (10 + count(n as usize)) as f64 * n * n * wide
    };
    let mut cells = HeadWindow::plan(source, 0, cost);
    for cell in &mut cells {
        cell.steps = count(cell.of.n);
    }
    cells
}

/// The cells of a shard; where something is fitted, all windows of a head are in one, beside its fits.
fn mine(shard: Shard, plan: &[Cell<HeadWindow>], fitted: bool) -> Vec<bool> {
    shard.cells(plan, |of| fitted.then(|| format!("n {} {}", of.n, of.place.label)))
}

/// The heads of a shard, by length and label.
fn heads_of(shard: Option<Shard>, plan: &[Cell<HeadWindow>], fitted: bool) -> BTreeSet<(usize, String)> {
    let mine = shard.map_or_else(Vec::new, |shard| mine(shard, plan, fitted));
    let cells = plan.iter().zip(mine).filter(|(_, mine)| *mine);
    cells.map(|(cell, _)| (cell.of.n, cell.of.place.label.clone())).collect()
}

impl Study for Comparison<'_> {
    type Cell = HeadWindow;
    type Input = Head;
    type Rows = Measured;
    type View = Report;

    fn unit(&self) -> &'static str {
        "mechanisms by head and window"
    }

    fn plan(&self) -> Vec<Cell<HeadWindow>> {
        plan(self.source, self.job.candidates, self.job.streamed)
    }

    fn mine(&self, plan: &[Cell<HeadWindow>], shard: Shard) -> Vec<bool> {
        mine(shard, plan, self.job.fits.trained_on() > 0)
    }

    fn inputs(&self, cells: &[(usize, &HeadWindow)], hand: &mut Hand<'_, Head>) -> Result<()> {
        HeadWindow::inputs(self.source, cells, false, hand)
    }

    fn together(&self, cell: &HeadWindow, head: &Head) -> usize {
        let threads = rayon::current_num_threads();
        let each = 12 * cell.n * head.width.unwrap_or(1);
        (WAITING / each.max(1)).clamp(threads, 12 * threads)
    }

    fn run(&self, cell: &HeadWindow, head: &Head) -> Result<Measured> {
        self.job.head(cell.clone(), head)
    }

    fn view(&self, rows: Vec<(HeadWindow, Measured)>) -> Result<Report> {
        let mut measured: Vec<Measured> = rows.into_iter().map(|(_, measured)| measured).collect();
        measured.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(view::report(self.config, self.source, &self.job, &measured))
    }
}
