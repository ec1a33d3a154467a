//! A fit from windows to arrays.

use super::descend::{self, Descent, Stop};
use super::objective::{Fit, finite};
use super::options::Options;
use super::weave::weave;
use super::window::{self, Room, Sample, Window};
use crate::attention::ALL;
use crate::attention::built::find;
use crate::attention::origin::{Learned, Origin};
use crate::error::{Error, Result};
use crate::name::{Params, Spec};
use crate::rng::Rng;

/// Fewest windows of which one is held out to find the number of steps.
const FEWEST_TO_HOLD_OUT: usize = 3;

/// What came out of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The arrays, for [`Origin::learned`].
    pub learned: Learned,
    /// Mean relative output error over the windows of the fit, of these arrays.
    pub train: f64,
    /// Relative output error on the last window while it was held out; `None` with fewer than 3 windows.
    pub validation: Option<f64>,
    /// Steps that these arrays took.
    pub steps: usize,
}

/// Whether this spec asks for a fit (`luna:p=fitted`, `linformer:e=fitted`).
pub fn wanted(spec: &Spec) -> bool {
    let Some((kind, fit)) = find(spec).ok().and_then(|kind| Some((kind, kind.fit?))) else { return false };
    let value = || spec.params("attention", kind.takes)?.get::<String>(fit.asks);
    value().is_ok_and(|value| value == "fitted")
}

/// Fits the pieces of a mechanism to windows of one head, on the calling thread.
///
/// `check` is called at every step and may end the fit with an error. The same spec, samples, options, seed and label
/// give the same bits. Errors: no samples, shapes that do not fit, numbers that are not finite, or a mechanism that has
/// nothing to fit.
pub fn fit(
    spec: &Spec,
    samples: &[Sample],
    options: &Options,
    origin: &Origin<'_>,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Fitted> {
    let kind = find(spec)?;
    let Some(fit) = kind.fit else {
        let names: Vec<_> = ALL.iter().filter(|kind| kind.fit.is_some()).map(|kind| kind.name).collect();
        return Err(Error::value("attention to fit", spec, names.join(", ")));
    };
    let params = &spec.params("attention", kind.takes)?;
    let windows = window::all(samples)?;
    let mut rng = origin.stream(&format!("fit of {spec}"));
    // The held-out window may be the longest.
    let room = Room::of(&windows);
    let task = Task { fit, params, room, options, check };
    let held = match windows.split_last() {
        Some((window, others)) if windows.len() >= FEWEST_TO_HOLD_OUT => {
            Some(task.run(others, &mut rng, &Stop::Held { window, patience: options.patience })?)
        }
        _ => None,
    };
    let stop = Stop::After(held.as_ref().map_or(options.steps, |held| held.steps));
    let Descent { pieces, steps, .. } = task.run(&windows, &mut rng, &stop)?;

    let mut objective = (fit.objective)(&pieces, room);
    let errors = windows.iter().map(|window| objective.loss(&pieces, window, None).sqrt());
    let train = errors.sum::<f64>() / windows.len() as f64;
    finite(train)?;
    let learned = Learned(fit.names.iter().copied().zip(pieces).collect());
    Ok(Fitted { learned, train, validation: held.map(|held| held.error), steps })
}

/// What all descents of one fit share.
struct Task<'a> {
    fit: &'a Fit,
    params: &'a Params<'a>,
    room: Room,
    options: &'a Options,
    check: &'a (dyn Fn() -> Result<()> + Sync),
}

impl Task<'_> {
    /// From a start to the arrays at which it stops.
    fn run(&self, windows: &[Window], rng: &mut Rng, stop: &Stop<'_>) -> Result<Descent> {
        let start = (self.fit.start)(self.params, windows, self.room, rng)?;
        let woven = weave(windows, self.options.woven, rng);
        let seen = woven.as_deref().unwrap_or(windows);
        let mut objective = (self.fit.objective)(&start, self.room);
        let decay = self.options.decay.unwrap_or(self.fit.decay);
        descend::descend(&mut *objective, start, seen, stop, (self.options, decay), rng, self.check)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
