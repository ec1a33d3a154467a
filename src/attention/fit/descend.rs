//! The loop: one window a step, Adam along a cosine, an eye on a window that was held out.

use std::f64::consts::PI;

use ndarray::{Array2, Zip};

use super::adam::Adam;
use super::objective::{Objective, finite};
use super::options::Options;
use super::window::Window;
use crate::error::Result;
use crate::rng::{Rng, below};

/// Steps from one look at the held-out window to the next.
const LOOK: usize = 20;

/// What ends a descent.
pub(super) enum Stop<'a> {
    /// This many steps.
    After(usize),
    /// A window that is not learned from: its best pieces are kept, and this many looks in a row without improvement
    /// are the last.
    Held { window: &'a Window, patience: usize },
}

/// Where a descent came to.
pub(super) struct Descent {
    pub(super) pieces: Vec<Array2<f32>>,
    /// Steps that these pieces took.
    pub(super) steps: usize,
    /// Their relative error on the held-out window; NaN without one.
    pub(super) error: f64,
}

/// Descends from `start` on `windows`, which it sees in an order drawn anew each time that all were seen.
pub(super) fn descend(
    objective: &mut dyn Objective,
    start: Vec<Array2<f32>>,
    windows: &[Window],
    stop: &Stop<'_>,
    (options, decay): (&Options, f64),
    rng: &mut Rng,
    check: &dyn Fn() -> Result<()>,
) -> Result<Descent> {
    let sizes: Vec<f64> = start.iter().map(root_mean_square).collect();
    let mut pieces = start.clone();
    let mut gradients = start.clone();
    let mut adam = Adam::new(&start);
    let mut order = Vec::new();
    let mut best = Descent { pieces: Vec::new(), steps: 0, error: f64::INFINITY };
    let mut since = 0;
    let total = if let Stop::After(steps) = stop { *steps } else { options.steps };
    for step in 0..=total {
        check()?;
        match stop {
            Stop::After(_) if step == total => break,
            Stop::Held { window, patience } if step % LOOK == 0 || step == total => {
                let error = objective.loss(&pieces, window, None).sqrt();
                finite(error)?;
                since += 1;
                if error < best.error {
                    best = Descent { pieces: pieces.clone(), steps: step, error };
                    since = 0;
                }
                if since > *patience || step == total {
                    return Ok(best);
                }
            }
            _ => {}
        }
        for (((gradient, x), x_0), size) in gradients.iter_mut().zip(&pieces).zip(&start).zip(&sizes) {
            let pull = (decay / (size * size * x.len() as f64)) as f32;
            Zip::from(gradient).and(x).and(x_0).for_each(|g, x, x_0| *g = pull * (x - x_0));
        }
        let window = &windows[next(&mut order, windows.len(), rng)];
        finite(objective.loss(&pieces, window, Some(&mut gradients)))?;
        let left = 0.5 * (1.0 + (PI * step as f64 / total as f64).cos());
        let rates: Vec<f64> = sizes.iter().map(|size| size * options.rate * left).collect();
        adam.step(&mut pieces, &gradients, &rates);
    }
    Ok(Descent { pieces, steps: total, error: f64::NAN })
}

/// The next window of a shuffled round.
fn next(order: &mut Vec<usize>, count: usize, rng: &mut Rng) -> usize {
    if order.is_empty() {
        order.extend(0..count);
        for i in (1..count).rev() {
            order.swap(i, below(rng, i + 1));
        }
    }
    order.pop().unwrap_or(0)
}

fn root_mean_square(x: &Array2<f32>) -> f64 {
    let square: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
    // Entries that are all zeros have no size of their own to move by.
    if square > 0.0 { (square / x.len() as f64).sqrt() } else { 1.0 }
}
