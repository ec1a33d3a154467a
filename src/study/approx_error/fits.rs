//! Pieces that belong to a head and not to its input (P of Luna, E and F of Linformer), fitted on the first windows.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::asked::Asked;
use super::measure::projected;
use crate::attention::fit::{self, Fitted, Options, Sample};
use crate::attention::{Learned, Origin};
use crate::error::{Error, Result};
use crate::study::Context;
use crate::study::input::Source;

/// What a window was to a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Nothing was fitted.
    Judged,
    /// Nothing was fitted for it, but something for another on this window: left out of means, which compare.
    NotJudged,
    /// Its pieces were fitted on other windows.
    HeldOut,
    /// Its pieces were fitted on this window, among others.
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

/// What was fitted, by mechanism, length and head.
#[derive(Debug, Default)]
pub(super) struct Fits {
    /// The first windows, which are fitted on.
    windows: usize,
    fitted: BTreeMap<(usize, usize, String), Fitted>,
}

impl Fits {
    /// Windows that are fitted on: those asked for, else all but the last quarter (at least one); 0 without a fit.
    ///
    /// At least one window must be left to judge.
    pub(super) fn windows(asked: &[Asked], wanted: Option<usize>, windows: usize) -> Result<usize> {
        if !asked.iter().any(|asked| asked.fitted) {
            return match wanted {
                Some(count) => Err(Error::value(
                    "--fit-windows",
                    count,
                    "a mechanism with a fitted piece, such as luna:p=fitted",
                )),
                None => Ok(0),
            };
        }
        let most = windows.saturating_sub(1);
        if most == 0 {
            let accepted = "2 or more: some to fit on, and others to judge";
            return Err(Error::value("--windows", windows, accepted));
        }
        let chosen = wanted.unwrap_or_else(|| windows - (windows / 4).max(1));
        if !(1..=most).contains(&chosen) {
            let accepted = format!("1 to {most}, so that a window of {windows} is left to judge");
            return Err(Error::value("--fit-windows", chosen, accepted));
        }
        Ok(chosen)
    }

    /// Fits every mechanism that asks for it, on every head and length.
    pub(super) fn run(
        asked: &[Asked],
        source: &dyn Source,
        windows: usize,
        options: &Options,
        context: Context<'_>,
    ) -> Result<Self> {
        let mut fits = Self { windows, fitted: BTreeMap::new() };
        if windows == 0 {
            return Ok(fits);
        }
        for n in source.lengths() {
            let samples = samples(source, *n, windows, context)?;
            let jobs: Vec<(usize, &String)> = (0..asked.len())
                .filter(|at| asked[*at].fitted && asked[*at].is_at(*n))
                .flat_map(|at| samples.keys().map(move |label| (at, label)))
                .collect();
            let fit = |(at, label): (usize, &String)| -> Result<_> {
                let origin = Origin { seed: context.seed, label, learned: None };
                let check = || context.watch.check();
                let fitted = fit::fit(&asked[at].spec, &samples[label], options, &origin, &check)?;
                context.watch.step(1, &format!("fit {}, {label}", asked[at].spec));
                Ok(((at, *n, label.clone()), fitted))
            };
            fits.fitted.extend(jobs.into_par_iter().map(fit).collect::<Result<Vec<_>>>()?);
        }
        Ok(fits)
    }

    /// What was fitted for a mechanism on a head.
    pub(super) fn learned(&self, asked: usize, n: usize, label: &str) -> Option<&Learned> {
        self.fitted.get(&(asked, n, label.to_string())).map(|fitted| &fitted.learned)
    }

    /// What a window was to a mechanism.
    pub(super) fn role(&self, asked: &Asked, window: usize) -> Role {
        match (asked.fitted, window < self.windows) {
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

    /// Steps of every fit of a mechanism.
    pub(super) fn steps(&self, asked: usize) -> Vec<f64> {
        self.fitted
            .iter()
            .filter(|((at, ..), _)| *at == asked)
            .map(|(_, fitted)| fitted.steps as f64)
            .collect()
    }
}

/// The first windows of every head of one length.
fn samples(
    source: &dyn Source,
    n: usize,
    windows: usize,
    context: Context<'_>,
) -> Result<BTreeMap<String, Vec<Sample>>> {
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for window in 0..windows {
        source.visit(n, window, false, &mut |head| {
            context.watch.check()?;
            let ([q, k, v], scale) = projected(&head)?;
            let sample = Sample { q: q.clone(), k: k.clone(), v: v.clone(), scale };
            samples.entry(head.label.clone()).or_default().push(sample);
            Ok(())
        })?;
    }
    Ok(samples)
}
