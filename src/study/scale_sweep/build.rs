//! Closed forms, inputs and runs of a cell, by unit.

use super::cell::Cell;
use super::options::{Pass, Unit};
use super::settings::Settings;
use super::subject::{Facts, Subject};
use super::{core, whole};
use crate::error::Result;

/// The closed forms of a cell; its inputs are not allocated.
pub(super) fn facts(cell: &Cell, settings: &Settings) -> Result<Facts> {
    match settings.unit {
        Unit::Core => core::facts(cell, settings),
        Unit::Layer | Unit::Encoder => whole::facts(cell, settings),
    }
}

/// The inputs that the cells of one length share.
pub(super) struct Shared(Option<core::Inputs>);

impl Shared {
    pub(super) fn new(n: usize, settings: &Settings, seed: u64) -> Self {
        Self((settings.unit == Unit::Core).then(|| core::Inputs::new(n, settings, seed)))
    }
}

/// The cell with its inputs; everything that is drawn comes from streams of the seed.
pub(super) fn subject<'a>(
    cell: &Cell,
    settings: &Settings,
    shared: &'a Shared,
    seed: u64,
) -> Result<Box<dyn Subject + 'a>> {
    Ok(match (&shared.0, settings.pass) {
        (Some(inputs), _) => Box::new(core::Core::new(cell, settings, inputs, seed)?),
        (None, Pass::Train) => Box::new(whole::Learning::new(cell, settings, seed)?),
        (None, Pass::Forward) => Box::new(whole::Whole::new(cell, settings, seed)?),
    })
}
