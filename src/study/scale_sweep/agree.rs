//! Checks a cell before it is timed: on a small input, against a reference implementation.

use super::cell::Cell;
use super::core;
use super::gate::{self, Agreement};
use super::options::{Pass, Unit};
use super::settings::Settings;
use super::whole;
use crate::error::Result;
use crate::rng::{normal, stream};

/// Heads of a layer at most: drawing the weights of more would take longer than the check.
const MAX_HEADS: usize = 8;

/// Runs what will be timed on a small input, and the reference implementation beside it.
pub(super) fn check(cell: &Cell, settings: &Settings, seed: u64) -> Result<Agreement> {
    // As many heads as threads: whether threads share a head depends on their number.
    let enough = |count: usize| count.min(rayon::current_num_threads().max(2));
    if settings.unit == Unit::Core {
        let heads = enough(settings.heads * settings.batch);
        return core::agreement(cell, &Settings { heads, batch: 1, ..settings.clone() }, seed);
    }
    let heads = enough(settings.heads).min(MAX_HEADS);
    let d = heads * settings.head_dim;
    let (batch, layers, ffn) = (settings.batch.min(2), settings.layers.min(2), settings.ffn.min(2 * d));
    let small = Settings { heads, batch, ffn, layers, ..settings.clone() };
    let config = whole::config(&Cell { n: gate::ROWS, ..cell.clone() }, &small)?;
    let x = normal(&mut stream(seed, "scale-sweep gate x"), batch * gate::ROWS, d);
    match settings.pass {
        Pass::Forward => gate::forward(&config, x, batch, seed),
        Pass::Train => gate::learning(&config, x, batch, seed),
    }
}
