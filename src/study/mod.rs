//! Questions: a configuration in, a [`Report`](crate::report::Report) out. No printing, no globals; a clock
//! only where time is the question.
//!
//! # One more study
//! A folder with its configuration, and what [`sweep::Study`](crate::sweep::Study) asks for: a plan, cells that are run,
//! a view of their rows. Resuming, stopping and progress come from [`sweep::run`](crate::sweep::run).

mod aggregate;
pub mod allocate;
mod allocation;
pub mod approx_error;
pub mod claim;
mod columns;
mod context;
mod difference;
pub mod evaluate;
pub mod generate;
mod hue;
pub mod input;
pub mod runs;
pub mod scale_sweep;
pub mod svd_spectrum;
pub mod train;
pub mod translate;

pub use crate::sweep::{Unwatched, Watch};
pub use aggregate::Aggregate;
pub use columns::Columns;
pub use context::{Context, Outcome};
