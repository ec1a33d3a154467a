//! Run: what the cells of the sweep leave. A cell is all mechanisms of one length where times are measured, and one
//! mechanism at one length otherwise; of errors, one window of the input at one length.

mod child;
mod costs;
mod errors;
mod rounds;

pub use child::resident_growth;
pub(super) use costs::measure;
pub(super) use errors::{measure as measure_errors, open};
