//! What is asked of which heads.

use super::Config;
use super::columns::Figure;
use super::null::NullSpec;
use crate::study::input::Source;

/// An input, with the figures and the null models that are asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) config: &'a Config,
    pub(super) source: &'a dyn Source,
    pub(super) figures: &'a [Figure],
    pub(super) nulls: &'a [NullSpec],
}
