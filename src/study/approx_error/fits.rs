//! Learned parts that belong to a head and not to its input (P of Luna, E and F of Linformer), fitted on the first windows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use crate::attention::fit::{self, Options, Sample};
use crate::attention::{Input, Learned, Origin};
use crate::error::{Error, Result};
use crate::study::Context;
use crate::study::input::Source;
use crate::sweep::{self, Cell, Hand, Journal, Shard, Study, bits};

/// What a window was to a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Role {
    /// Nothing was fitted.
    Judged,
    /// Nothing was fitted for it, but something for another on this window: left out of means, which compare.
    NotJudged,
    /// Its learned parts were fitted on other windows.
    HeldOut,
    /// Its learned parts were fitted on this window, among others.
    Train,
}

impl Role {
    /// The word in the column `fit`.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Judged => None,
            Self::NotJudged => Some("not judged"),
            Self::HeldOut => Some("held-out"),
            Self::Train => Some("train"),
        }
    }
}

/// What was fitted: learned parts and steps.
#[derive(Debug, Default)]
pub(super) struct Fits {
    /// The first windows, which are fitted on.
    windows: usize,
    fitted: BTreeMap<FitOf, (Learned, usize)>,
}

impl Fits {
    /// Windows that are fitted on: those asked for, else all but the last quarter (at least one); 0 without a fit.
    ///
    /// At least one window must be left to judge.
    pub(super) fn windows(candidates: &[Candidate], wanted: Option<usize>, windows: usize) -> Result<usize> {
        if !candidates.iter().any(|one| one.fitted) {
            return match wanted {
                Some(count) => Err(Error::value(
                    "--fit-windows",
                    count,
                    "a mechanism with a fitted part, such as luna:p=fitted",
                )),
                None => Ok(0),
            };
        }
        let last = windows.saturating_sub(1);
        if last == 0 {
            let accepted = "2 or more: some to fit on, and others to judge";
            return Err(Error::value("--windows", windows, accepted));
        }
        let chosen = wanted.unwrap_or_else(|| windows - (windows / 4).max(1));
        if !(1..=last).contains(&chosen) {
            let accepted = format!("1 to {last}, so that a window of {windows} is left to judge");
            return Err(Error::value("--fit-windows", chosen, accepted));
        }
        Ok(chosen)
    }

    /// Fits on so many windows, before any is made.
    pub(super) fn planned(windows: usize) -> Self {
        Self { windows, ..Self::default() }
    }

    /// Fits every mechanism that asks for it, on every head and length, unless the journal holds the fit; in a shard those
    /// that it needs.
    pub(super) fn run(
        candidates: &[Candidate],
        source: &dyn Source,
        (windows, needed): (usize, &Needed<'_>),
        options: &Options,
        journal: &Journal,
        context: Context<'_>,
    ) -> Result<Self> {
        if windows == 0 {
            return Ok(Self::default());
        }
        let fitting = Fitting { candidates, source, windows, needed, options, context };
        match sweep::run(&fitting, journal, context.watch)? {
            (fits, complete) if complete || journal.merged().is_some() => Ok(fits),
            _ => Err(Error::Interrupted),
        }
    }

    /// What was fitted for a mechanism on a head.
    pub(super) fn learned(&self, candidate: usize, n: usize, label: &str) -> Option<&Learned> {
        let of = FitOf { candidate, n, label: label.to_string() };
        self.fitted.get(&of).map(|(learned, _)| learned)
    }

    /// What a window was to a mechanism.
    pub(super) fn role(&self, candidate: &Candidate, window: usize) -> Role {
        match (candidate.fitted, window < self.windows) {
            (false, false) => Role::Judged,
            (false, true) => Role::NotJudged,
            (true, true) => Role::Train,
            (true, false) => Role::HeldOut,
        }
    }

    /// Whether a window counts in a comparison: where something was fitted, only those that nothing was fitted on.
    pub(super) fn is_judged(&self, window: usize) -> bool {
        window >= self.windows
    }

    /// Windows that were fitted on.
    pub(super) fn trained_on(&self) -> usize {
        self.windows
    }

    /// Steps of every fit, mechanism by mechanism.
    pub(super) fn steps(&self) -> Vec<f64> {
        self.fitted.values().map(|(_, steps)| *steps as f64).collect()
    }
}

/// What a fit is of: a mechanism, by its number, on one head at one length. One cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FitOf {
    candidate: usize,
    n: usize,
    label: String,
}

/// Whether a shard needs the fit of a mechanism, by its number, at a length, on the head of a label.
pub(super) type Needed<'a> = dyn Fn(usize, usize, &str) -> bool + Sync + 'a;

/// What is recorded of a fit: its learned parts by name, and its steps.
#[derive(Serialize, Deserialize)]
struct Record {
    parts: Vec<Part>,
    steps: usize,
}

#[derive(Serialize, Deserialize)]
struct Part {
    name: String,
    #[serde(with = "bits")]
    values: Array2<f32>,
}

/// The fits that a comparison or a substitution needs.
struct Fitting<'a> {
    candidates: &'a [Candidate],
    source: &'a dyn Source,
    windows: usize,
    needed: &'a Needed<'a>,
    options: &'a Options,
    context: Context<'a>,
}

impl Study for Fitting<'_> {
    type Cell = FitOf;
    type Input = Arc<Vec<Sample>>;
    type Rows = Record;
    type View = Fits;

    fn unit(&self) -> &'static str {
        "fits"
    }

    fn plan(&self) -> Vec<Cell<FitOf>> {
        let labels: BTreeSet<String> = self.source.places().into_iter().map(|place| place.label).collect();
        let mut cells = Vec::new();
        for n in self.source.lengths() {
            let fitted = |(_, one): &(usize, &Candidate)| one.fitted && one.is_at(*n);
            for (candidate, one) in self.candidates.iter().enumerate().filter(fitted) {
                let l = one.l.unwrap_or(1) as f64;
                cells.extend(labels.iter().map(|label| Cell {
                    key: format!("fit {} n {n} {label}", one.spec),
                    steps: 1,
                    cost: self.options.steps as f64 * *n as f64 * l * 256.0,
                    of: FitOf { candidate, n: *n, label: label.clone() },
                }));
            }
        }
        cells
    }

    fn mine(&self, plan: &[Cell<FitOf>], _: Shard) -> Vec<bool> {
        plan.iter().map(|cell| (self.needed)(cell.of.candidate, cell.of.n, &cell.of.label)).collect()
    }

    fn is_first_stage(&self) -> bool {
        true
    }

    fn inputs(&self, cells: &[(usize, &FitOf)], hand: &mut Hand<'_, Arc<Vec<Sample>>>) -> Result<()> {
        for of_length in cells.chunk_by(|(_, a), (_, b)| a.n == b.n) {
            let samples = samples(self.source, of_length[0].1.n, self.windows, self.context)?;
            for (at, of) in of_length {
                if let Some(samples) = samples.get(&of.label) {
                    hand(*at, Arc::clone(samples))?;
                }
            }
        }
        Ok(())
    }

    fn together(&self, _: &FitOf, _: &Arc<Vec<Sample>>) -> usize {
        // Samples are shared: a fit that waits takes no room.
        usize::MAX
    }

    fn run(&self, of: &FitOf, samples: &Arc<Vec<Sample>>) -> Result<Record> {
        let spec = &self.candidates[of.candidate].spec;
        let origin = Origin { seed: self.context.seed, label: &of.label, learned: None };
        let check = || self.context.watch.check();
        let fitted = fit::fit(spec, samples, self.options, &origin, &check)?;
        self.context.watch.step(1, &format!("fit {spec}, {}", of.label));
        let part = |(name, values): (&str, _)| Part { name: name.to_string(), values };
        Ok(Record { parts: fitted.learned.0.into_iter().map(part).collect(), steps: fitted.steps })
    }

    fn view(&self, rows: Vec<(FitOf, Record)>) -> Result<Fits> {
        // Names of learned parts live as long as the program; those of a record are a few bytes a fit.
        let part = |part: Part| -> (&'static str, _) { (part.name.leak(), part.values) };
        let learned = |record: Record| (Learned(record.parts.into_iter().map(part).collect()), record.steps);
        let fitted = rows.into_iter().map(|(of, record)| (of, learned(record))).collect();
        Ok(Fits { windows: self.windows, fitted })
    }
}

/// The first windows of every head of one length.
fn samples(
    source: &dyn Source,
    n: usize,
    windows: usize,
    context: Context<'_>,
) -> Result<BTreeMap<String, Arc<Vec<Sample>>>> {
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for window in 0..windows {
        source.visit(n, window, false, &|_, _| true, &mut |head| {
            context.watch.check()?;
            let (Input { q, k, scale, .. }, v) = head.projected()?;
            let sample = Sample { q: q.to_owned(), k: k.to_owned(), v: v.clone(), scale };
            samples.entry(head.label.clone()).or_default().push(sample);
            Ok(())
        })?;
    }
    Ok(samples.into_iter().map(|(label, samples)| (label, Arc::new(samples))).collect())
}
