//! Run: each cell alone, then rounds of all of them, into records; finished work is in the journal at once.

mod cells;
mod child;
mod errors;
mod journal;
mod rounds;

pub(super) use cells::measure;
pub use child::resident_growth;
pub(super) use errors::measure as measure_errors;
pub(super) use journal::Journal;
