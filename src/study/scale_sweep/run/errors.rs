//! The error of each mechanism in the place of softmax attention on an input, beside which its cost is read.

use serde::{Deserialize, Serialize};

use super::super::cell::{Cell, Form};
use super::super::config::ErrorInput;
use super::super::options::Measure;
use super::super::record::Errors;
use super::super::settings::Settings;
use crate::attention::{Attention, Kind, Mask, Origin};
use crate::error::{Error, Result};
use crate::metric::Output;
use crate::name::List;
use crate::profile::clock::Stopwatch;
use crate::profile::ram;
use crate::study::Context;
use crate::study::input::{Head, InputArgs, Source, Unnamed, needs_softmax, restrict};
use crate::sweep::{self, Hand, Journal, Study, bits};

/// Untrained heads of several temperatures, where no input is named: they have any length.
const HEADS: &str = "gaussian:logit_sd=0.5,gaussian:logit_sd=1,gaussian:logit_sd=2,gaussian:logit_sd=4";
/// The share of the budget that errors may use.
const SHARE: f64 = 0.5;

/// Opens the input at the shortest length, if errors are asked for.
pub(in super::super) fn open(
    input: &ErrorInput,
    settings: &Settings,
    context: Context<'_>,
) -> Result<Option<Box<dyn Source>>> {
    let shortest = settings.seq_len.first().filter(|_| settings.measures(Measure::Error));
    shortest.map(|n| open_at(input, *n, settings, context)).transpose()
}

fn open_at(
    input: &ErrorInput,
    n: usize,
    settings: &Settings,
    context: Context<'_>,
) -> Result<Box<dyn Source>> {
    args(input, n, settings.mask).open(context.seed, Unnamed::Heads { specs: HEADS, n })
}

/// Measures on the input, length by length, as far as its length and the budget go; also returns whether it was not
/// stopped. `source` is the input at the shortest length.
pub(in super::super) fn measure(
    source: Box<dyn Source>,
    input: &ErrorInput,
    cells: &[Cell],
    settings: &Settings,
    journal: &Journal,
    (watch, context): (Stopwatch, Context<'_>),
) -> Result<(Errors, bool)> {
    let mut errors = Errors { input: Some(source.name().to_string()), ..Errors::default() };
    let mut first = Some(source);
    for n in settings.seq_len.iter().copied() {
        let mut source = match first.take().map_or_else(|| open_at(input, n, settings, context), Ok) {
            Ok(source) => source,
            // A model has a maximum length: beyond it there are no errors.
            Err(error @ Error::Tokens { .. }) => {
                errors.notes.push(format!("no errors from n = {n} on: {error}"));
                break;
            }
            Err(error) => return Err(error),
        };
        check(source.as_ref(), n, settings, journal)?;
        let kinds: Vec<&Kind> = cells.iter().filter(|cell| cell.n == n).map(|cell| cell.kind).collect();
        errors.notes.extend(restrict(source.as_mut(), &kinds, None, context.watch)?);
        let source = source.as_ref();
        let of_length = |cell: &&Cell| cell.n == n && cell.form != Form::Materialised;
        let cells: Vec<&Cell> = cells.iter().filter(of_length).collect();
        let study = Windows { source, n, cells: &cells, limit: SHARE * settings.budget, watch, context };
        // Without a single window it is not the whole study that ends here.
        let (windows, complete) = match sweep::run(&study, journal, context.watch) {
            Err(Error::Interrupted) => (Vec::new(), false),
            ended => ended?,
        };
        errors.width = windows.last().map(|window| window.width).or(errors.width);
        for window in &windows {
            for (cell, of_heads) in cells.iter().zip(&window.errors) {
                let heads = errors.heads.entry(n).or_default().entry(cell.spec.to_string()).or_default();
                for (label, error) in window.labels.iter().zip(of_heads) {
                    heads.entry(label.clone()).or_default().push(*error);
                }
            }
        }
        if !complete {
            let stopped = context.watch.stopped();
            let why = if stopped { "interrupted" } else { "half of --time-limit is used up" };
            errors.notes.push(match windows.len() {
                0 => format!("no errors from n = {n} on: {why}"),
                count => format!(
                    "errors at n = {n} are over {count} of {} windows, and there are none at longer n: {why}",
                    source.windows()
                ),
            });
            return Ok((errors, !stopped));
        }
    }
    Ok((errors, true))
}

/// The windows of an input at one length: a cell is a window, with all heads and all mechanisms.
struct Windows<'a> {
    source: &'a dyn Source,
    n: usize,
    cells: &'a [&'a Cell],
    /// Seconds after which no further head is measured.
    limit: f64,
    watch: Stopwatch,
    context: Context<'a>,
}

/// Relative errors over one window.
#[derive(Serialize, Deserialize)]
struct WindowErrors {
    /// The width of the heads.
    width: usize,
    /// The heads.
    labels: Vec<String>,
    /// By mechanism and head.
    #[serde(with = "bits")]
    errors: Vec<Vec<f64>>,
}

impl Study for Windows<'_> {
    type Cell = usize;
    type Input = ();
    type Rows = WindowErrors;
    type View = Vec<WindowErrors>;

    fn unit(&self) -> &'static str {
        "windows"
    }

    fn plan(&self) -> Vec<sweep::Cell<usize>> {
        let cost = (self.cells.len() * self.source.heads()) as f64 * (self.n as f64).powi(2);
        let key = |window: usize| format!("errors at n = {} over window {window}", self.n);
        let cell = |of: usize| sweep::Cell { key: key(of), steps: 1, cost, of };
        (0..self.source.windows()).map(cell).collect()
    }

    /// Costs follow.
    fn is_first_stage(&self) -> bool {
        true
    }

    fn inputs(&self, cells: &[(usize, &usize)], hand: &mut Hand<'_, ()>) -> Result<()> {
        cells.iter().try_for_each(|(at, _)| hand(*at, ()))
    }

    fn run(&self, window: &usize, (): &()) -> Result<WindowErrors> {
        let errors = vec![Vec::new(); self.cells.len()];
        let mut found = WindowErrors { width: 0, labels: Vec::new(), errors };
        self.source.visit(self.n, *window, false, &|_, _| true, &mut |head| {
            self.context.watch.check()?;
            // An incomplete window is dropped: all means are over the same windows.
            if self.watch.seconds() > self.limit {
                return Err(Error::Interrupted);
            }
            add_head(&mut found, &head, self.cells, self.context.seed)
        })?;
        self.context.watch.step(1, &format!("errors at n = {}", self.n));
        Ok(found)
    }

    fn view(&self, rows: Vec<(usize, WindowErrors)>) -> Result<Vec<WindowErrors>> {
        Ok(rows.into_iter().map(|(_, errors)| errors).collect())
    }
}

/// Refuses heads without softmax, heads under another mask, and matrices that do not fit in memory.
fn check(source: &dyn Source, n: usize, settings: &Settings, journal: &Journal) -> Result<()> {
    needs_softmax(source)?;
    if source.mask() != settings.mask {
        let flag = if settings.causal() { "run without --causal" } else { "run with --causal" };
        let name = source.name();
        return Err(Error::Refused(format!("--model: '{name}' has a {} mask; {flag}", source.mask().name())));
    }
    if !journal.runs_cells() {
        return Ok(());
    }
    let square = (n as u64).saturating_mul(n as u64).saturating_mul(4);
    ram::require(
        format!("the n x n matrix of a head at n = {n}, for --measure error"),
        square,
        "a shorter --seq-len, or --measure without error, needs less",
    )
}

/// Adds the errors of all cells on one head.
fn add_head(found: &mut WindowErrors, head: &Head, cells: &[&Cell], seed: u64) -> Result<()> {
    let (input, v) = head.projected()?;
    found.width = input.q.ncols();
    found.labels.push(head.label.clone());
    let origin = Origin { seed, label: &head.label, learned: None };
    let exact = Output::new(Attention::build(&"softmax".parse()?, &origin)?.matrix(&input)?.dot(v));
    for (cell, errors) in cells.iter().zip(&mut found.errors) {
        let mut spec = cell.spec.clone();
        // What is drawn for the longest sequence is drawn for this length.
        let takes_max = cell.kind.takes.iter().any(|param| param.name == "max");
        if takes_max && spec.typed("max").is_none() {
            spec.params.push(("max".into(), cell.n.to_string()));
        }
        let out = Attention::build(&spec, &origin)?.forward(&input, v.view())?;
        errors.push(exact.compare(out.view()).rel_fro);
    }
    Ok(())
}

/// The options of the input at one length.
fn args(input: &ErrorInput, n: usize, mask: Mask) -> InputArgs {
    let ErrorInput { model, revision, offline, text, tokens, synthetic, windows } = input.clone();
    let causal = model.is_none() && mask == Mask::Causal;
    let seq_len = List::new([n]);
    InputArgs {
        model,
        revision,
        offline,
        text,
        tokens,
        synthetic,
        seq_len,
        windows,
        causal,
        ..Default::default()
    }
}
