//! Fits what a mechanism would learn (Luna's p, Linformer's E and F) by gradient, so that its output on given
//! windows of one head approximates that of softmax attention.
//!
//! The arrays belong to a head and not to its input: they are fitted on some windows of a text and judged on others.
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
//! A file `fit` in its folder with a `pub(super) const FIT: Fit` and an `impl Objective`, and `fit: Some(&FIT)` in its
//! declaration.

mod adam;
mod descend;
pub(super) mod objective;
mod options;
mod run;
pub(super) mod softmax_backward;
mod weave;
pub(super) mod window;

pub use objective::Fit;
pub use options::Options;
pub use run::{Fitted, fit, wanted};
pub use window::Sample;
