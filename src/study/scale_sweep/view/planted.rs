//! Sweeps with planted times, for tests: nothing is run, log-normal noise in each round.

use super::super::cell::{Cell, Form};
use super::super::record::State;
use super::super::subject::Facts;
use super::sweep::{Measured, Sweep};
use crate::attention;
use crate::cost::Cost;
use crate::name::Spec;
use crate::rng::{Rng, normal};

/// A cell with these times of rounds.
pub(super) fn cell(spec: &str, form: Form, n: usize, times: Vec<f64>) -> Measured {
    let spec: Spec = spec.parse().unwrap();
    let kind = attention::find(&spec).unwrap();
    let name = spec.name.clone();
    let l = spec.params.iter().find(|(key, _)| key == "l").map(|(_, l)| l.parse().unwrap());
    let cost = Cost::product(n, 64, n);
    Measured {
        cell: Cell { spec, name, kind, form, n, l },
        facts: Facts { cost, bytes: 1, extra_bytes: Some(64), shared_bytes: 0, own_bytes: 0 },
        state: State::Measured,
        gate: None,
        probe: None,
        times,
        second: Vec::new(),
        error: None,
    }
}

/// Seconds of so many rounds around a median, with log-normal noise of this spread.
pub(super) fn times(median: f64, rounds: usize, noise: f64, rng: &mut Rng) -> Vec<f64> {
    normal(rng, 1, rounds).iter().map(|x| median * (noise * f64::from(*x)).exp()).collect()
}

/// Exact attention alone, at these lengths.
pub(super) fn curve(
    lengths: &[usize],
    rounds: usize,
    noise: f64,
    rng: &mut Rng,
    seconds: impl Fn(usize) -> f64,
) -> Sweep {
    let one = |n: &usize| cell("softmax", Form::Fused, *n, times(seconds(*n), rounds, noise, rng));
    Sweep { cells: lengths.iter().map(one).collect(), ..Sweep::default() }
}

/// As many as may be wrong of so many at this error rate: the rate and three standard deviations.
pub(super) fn max_wrong(rate: f64, count: usize) -> usize {
    (rate * count as f64 + 3.0 * (rate * (1.0 - rate) * count as f64).sqrt()) as usize
}
