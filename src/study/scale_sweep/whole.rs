//! Whole layers and encoders.

use super::cell::Cell;
use super::settings::Settings;
use super::subject::{Facts, Subject};
use crate::cost::Tally;
use crate::error::Result;

pub(super) struct Whole;

impl Whole {
    pub(super) fn new(_: &Cell, _: &Settings, _: u64) -> Result<Self> {
        todo!()
    }
}

impl Subject for Whole {
    fn run(&mut self, _: Option<&Tally>) -> Result<()> {
        todo!()
    }
}

pub(super) fn facts(_: &Cell, _: &Settings) -> Result<Facts> {
    todo!()
}
