//! Fitting what a mechanism would learn: Luna's p, Linformer's E and F, by gradient, so that its output on given
//! windows of one head comes near that of softmax attention.
//!
//! The pieces belong to a head and not to its input: they are fitted on some windows of a text and judged on others.
//! What is minimised is the mean over windows of `||O~ - O||_F^2 / ||O||_F^2`, O the output of softmax attention under
//! no mask; gradients are written by hand (each file has its equations) and checked against finite differences.
//!
//! # How, and what was tried
//! A few windows are few: a fit learns them by heart. Fresh windows are therefore woven from the given ones (module
//! `weave`: each position takes its token from one of the windows, drawn anew), and the steps see only those, one a
//! step; given windows of unlike shapes are used as they are. With three windows or more the last is first held out: the
//! fit runs on the others until the held-out error has not improved for a while, and then once more on all windows for
//! the number of steps that was best.
//!
//! Mean relative output error `||O~ - O||_F / ||O||_F` on all-MiniLM-L6-v2 at n = 512, fitted on the first 6 windows of
//! tinyshakespeare and judged on the next 2. All 72 heads, as it stands (seconds on 2 cores, shared with other work):
//!
//! | | l | in the fit | fresh windows | mean steps | seconds |
//! |---|---|---|---|---|---|
//! | luna | 16 | 0.406 | 0.430 | 214 | 24 |
//! | luna | 64 | 0.335 | 0.375 | 203 | 50 |
//! | luna | 128 | 0.297 | 0.349 | 212 | 46 |
//! | luna | 256 | 0.256 | 0.318 | 222 | 74 |
//! | luna, 24 windows to fit on | 64 | 0.339 | 0.358 | 282 | 36 |
//! | luna, 2 windows to fit on | 64 | 0.283 | 0.403 | 400 | 27 |
//! | luna, 1 window to fit on (nothing to weave) | 64 | 0.213 | 0.463 | 400 | 11 |
//! | linformer, shared | 16 | 0.536 | 0.582 | 91 | 25 |
//! | linformer, shared | 64 | 0.460 | 0.525 | 146 | 36 |
//! | linformer, shared | 128 | 0.431 | 0.488 | 107 | 30 |
//! | linformer, shared | 256 | 0.386 | 0.396 | 28 | 40 |
//!
//! What was tried on the way, on 18 heads (every fourth; the figures differ from those above by the choice of heads).
//! Pairs are l = 16 / 64; one window a step, cosine decay, rate 0.05 unless said otherwise:
//!
//! | luna | in the fit | fresh windows |
//! |---|---|---|
//! | start alone: centroids of the queries | 0.551 / 0.515 | 0.551 / 0.516 |
//! | 240 steps from centroids | 0.413 / 0.314 | 0.460 / 0.399 |
//! | 240 steps from mean segment means of the queries | 0.423 / 0.331 | 0.461 / 0.406 |
//! | 240 steps from random rows of the queries | 0.413 / 0.316 | 0.475 / 0.404 |
//! | 240 steps from standard normal p | 0.421 / 0.334 | 0.468 / 0.419 |
//! | 240 steps, rate 0.02 | 0.432 / 0.344 | 0.465 / 0.399 |
//! | 240 steps, rate 0.1 | 0.403 / 0.301 | 0.466 / 0.404 |
//! | 1000 steps: learned by heart | 0.388 / 0.275 | 0.483 / 0.425 |
//! | 600 steps, decay 0.01 | 0.402 / 0.296 | 0.464 / 0.402 |
//! | 600 steps, decay 0.1 | 0.432 / 0.337 | 0.466 / 0.401 |
//! | 600 steps, given windows and 48 woven of spans of 32 tokens | 0.405 / 0.304 | 0.452 / 0.394 |
//! | 600 steps, given windows and 48 woven token by token | 0.409 / 0.315 | 0.447 / 0.387 |
//! | 600 steps, 96 woven windows alone | 0.410 / 0.320 | 0.446 / 0.383 |
//! | 600 steps, 96 woven, two a step, with the given ones | 0.407 / 0.313 | 0.449 / 0.384 |
//! | 96 woven, steps by a held-out window, then all windows (**as it stands**) | 0.426 / 0.348 | 0.448 / 0.386 |
//! | the same at rate 0.03 | 0.432 / 0.351 | 0.451 / 0.388 |
//!
//! | linformer | in the fit | fresh windows |
//! |---|---|---|
//! | start alone: segment means | 0.611 / 0.544 | 0.607 / 0.540 |
//! | E and F, 240 steps | 0.406 / 0.310 | 0.576 / 0.535 |
//! | E and F, 240 steps, decay 10 | 0.547 / 0.433 | 0.571 / 0.506 |
//! | E and F, 600 steps, 96 woven | 0.418 / 0.350 | 0.574 / 0.523 |
//! | E and F, 600 steps, 96 woven, decay 3 | 0.530 / 0.432 | 0.568 / 0.504 |
//! | E and F, 600 steps, 96 woven, decay 30 | 0.572 / 0.482 | 0.577 / 0.507 |
//! | E alone (shared), 96 woven, decay 3, steps by a held-out window (**as it stands**) | 0.535 / 0.466 | 0.568 / 0.505 |
//! | the same at decay 10 and rate 0.03 | 0.553 / 0.471 | 0.572 / 0.506 |
//!
//! The held-out window costs no accuracy that could be told apart and gives an honest figure and an end; its price is
//! about half of the seconds.
//!
//! # One more fitted mechanism
//! A new file with a `pub(super) const FIT: Fit` and an `impl Objective`, and two lines here: its `mod` and its place in
//! `ALL`.

mod adam;
mod backward;
mod descend;
mod linformer;
mod luna;
mod weave;
mod window;

use ndarray::Array2;

use self::descend::{Descent, Stop};
use self::weave::weave;
use self::window::{Room, Window};
use super::{Learned, Origin, find};
use crate::error::{Error, Result};
use crate::name::{Item, Spec};
use crate::rng::Rng;

/// Every mechanism that can be fitted.
const ALL: &[&Fit] = &[&self::luna::FIT, &self::linformer::FIT];

/// Fewest windows of which one is held out to find the number of steps.
const FEWEST_TO_HOLD_OUT: usize = 3;

/// One window of one head.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Queries, shape (n, `d_h`).
    pub q: Array2<f32>,
    /// Keys, shape (m, `d_h`).
    pub k: Array2<f32>,
    /// Values, shape (m, `d_v`).
    pub v: Array2<f32>,
    /// The factor on `q k^T`.
    pub scale: f32,
}

/// How to fit. What is drawn (starts, woven windows, their order) comes from the [`Origin`]'s seed and label.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Steps at most, one window each.
    pub steps: usize,
    /// Adam's rate at the first step, as a share of the root mean square of a piece's entries at its start; it falls to
    /// 0 along a cosine.
    pub rate: f64,
    /// Pull towards the start: half of this, times the mean squared move of a piece's entries (in the same unit as
    /// `rate`), is added to the loss. `None`: what suits the mechanism.
    pub decay: Option<f64>,
    /// Windows that are woven from the given ones; 0: the given ones as they are.
    pub woven: usize,
    /// Looks at the held-out window, one every 20 steps, without improvement after which a fit ends.
    pub patience: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 400, rate: 0.05, decay: None, woven: 96, patience: 5 }
    }
}

/// What came out of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The pieces, for [`Origin::learned`].
    pub learned: Learned,
    /// Mean relative output error over the windows of the fit, of these pieces.
    pub train: f64,
    /// Relative output error on the last window while it was held out; `None` with fewer than 3 windows.
    pub validation: Option<f64>,
    /// Steps that these pieces took.
    pub steps: usize,
}

/// A mechanism that can be fitted: an entry of the list.
struct Fit {
    /// The mechanism's name.
    name: &'static str,
    /// The parameter that asks for a fit when it is "fitted".
    asks: &'static str,
    /// What its pieces are called; fewer pieces than names where some are shared.
    names: &'static [&'static str],
    /// The pull towards the start that suits it.
    decay: f64,
    /// Its pieces before the first step.
    start: Start,
    /// Its loss, with room for the largest window.
    objective: fn(&[Array2<f32>], Room) -> Box<dyn Objective>,
}

/// Pieces for windows to learn from, with room for the largest of all.
type Start = fn(&Spec, &[Window], Room, &mut Rng) -> Result<Vec<Array2<f32>>>;

/// The loss of one window, and its gradient.
trait Objective {
    /// `||O~ - O||_F^2 / ||O||_F^2` of the window; its gradient is added to `gradients`, one for each piece.
    fn loss(&mut self, pieces: &[Array2<f32>], window: &Window, gradients: Option<&mut [Array2<f32>]>)
    -> f64;
}

/// Whether this spec asks for a fit (`luna:p=fitted`, `linformer:e=fitted`).
pub fn wanted(spec: &Spec) -> bool {
    let asks = |fit: &&Fit| {
        parameter(spec, fit.asks).is_ok_and(|value: Option<String>| value.as_deref() == Some("fitted"))
    };
    ALL.iter().any(|fit| fit.name == spec.name && asks(fit))
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
    let Some(fit) = ALL.iter().find(|fit| fit.name == spec.name) else {
        let names: Vec<_> = ALL.iter().map(|fit| fit.name).collect();
        return Err(Error::value("attention to fit", spec, names.join(", ")));
    };
    let windows = window::all(samples)?;
    let mut rng = origin.stream(&format!("fit of {spec}"));
    // The held-out window may be the longest.
    let room = Room::of(&windows);
    let task = Task { fit, spec, room, options, check };
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
    spec: &'a Spec,
    room: Room,
    options: &'a Options,
    check: &'a (dyn Fn() -> Result<()> + Sync),
}

impl Task<'_> {
    /// From a start to the pieces that stop it.
    fn run(&self, windows: &[Window], rng: &mut Rng, stop: &Stop<'_>) -> Result<Descent> {
        let start = (self.fit.start)(self.spec, windows, self.room, rng)?;
        let woven = weave(windows, self.options.woven, rng);
        let seen = woven.as_deref().unwrap_or(windows);
        let mut objective = (self.fit.objective)(&start, self.room);
        let decay = self.options.decay.unwrap_or(self.fit.decay);
        descend::descend(&mut *objective, start, seen, stop, (self.options, decay), rng, self.check)
    }
}

/// The value of a parameter as typed, else its default where the mechanism stands in the list.
fn parameter<T: Item>(spec: &Spec, name: &str) -> Result<Option<T>> {
    let typed = spec.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let default = || find(spec).ok()?.takes.iter().find(|param| param.name == name)?.default;
    let what = format!("parameter '{name}' of attention '{}'", spec.name);
    typed.or_else(default).map(|value| T::read(&what, value)).transpose()
}

/// The projected length that a spec asks for.
fn projected(spec: &Spec) -> Result<usize> {
    match parameter(spec, "l")? {
        Some(l) if l >= 1 => Ok(l),
        l => {
            let what = format!("parameter 'l' of attention '{}'", spec.name);
            Err(Error::value(what, l.unwrap_or(0), "1 or more"))
        }
    }
}

/// Refuses a loss that is no number.
fn finite(loss: f64) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    let at = "the windows (queries, keys or values are too large, or not finite)".into();
    Err(Error::NotFinite { what: "error of a fit".into(), value: loss, at })
}

#[cfg(test)]
mod tests;
