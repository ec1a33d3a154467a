//! Something that can be run, counted, and held against the form that is the truth.

use super::cell::Cell;
use super::settings::Settings;
use super::{Pass, Unit, core, whole};
use crate::cost::{Cost, Tally};
use crate::error::Result;

/// One cell with its inputs, ready to run.
pub(super) trait Subject: Send {
    /// One pass into an output that is there already; its multiply-adds go to the tally, if there is one.
    fn run(&mut self, tally: Option<&Tally>) -> Result<()>;
}

/// What closed forms say of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) cost: Cost,
    /// Bytes that must move at the least: inputs, learned pieces and outputs once, and matrices that are made.
    pub(super) bytes: u64,
    /// Bytes beyond inputs and outputs.
    pub(super) extra_bytes: Option<u64>,
    /// Bytes of inputs and outputs that the cells of one length share, and of what is the cell's own.
    pub(super) shared_bytes: u64,
    pub(super) own_bytes: u64,
}

/// The closed forms of a cell, without making its inputs.
pub(super) fn facts(cell: &Cell, settings: &Settings) -> Result<Facts> {
    match settings.unit {
        Unit::Core => core::facts(cell, settings),
        Unit::Layer | Unit::Encoder => whole::facts(cell, settings),
    }
}

/// The cell's inputs and what runs over them; everything that is drawn comes from streams of the seed.
pub(super) fn build<'a>(
    cell: &Cell,
    settings: &Settings,
    shared: &'a Shared,
    seed: u64,
) -> Result<Box<dyn Subject + 'a>> {
    Ok(match (&shared.0, settings.unit) {
        (Some(inputs), Unit::Core) => Box::new(core::Core::new(cell, settings, inputs, seed)?),
        _ if settings.pass == Pass::Train => Box::new(whole::Learning::new(cell, settings, seed)?),
        _ => Box::new(whole::Whole::new(cell, settings, seed)?),
    })
}

/// What the cells of one length share.
pub(super) struct Shared(Option<core::Inputs>);

impl Shared {
    pub(super) fn new(n: usize, settings: &Settings, seed: u64) -> Self {
        Self((settings.unit == Unit::Core).then(|| core::Inputs::new(n, settings, seed)))
    }
}
