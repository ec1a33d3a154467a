//! Questions: a configuration in, a [`Report`](crate::report::Report) out. No printing, no globals; a clock
//! only where time is the question.

pub mod approx_error;
mod difference;
pub mod evaluate;
mod fingerprint;
pub mod generate;
pub mod input;
pub mod scale_sweep;
pub mod svd_spectrum;
pub mod train;
pub mod translate;

use crate::error::{Error, Result};
use crate::linalg::engine::Engine;

/// Who follows a study while it runs.
pub trait Watch: Sync {
    /// Work of `total` steps begins.
    fn begin(&self, _total: usize, _what: &str) {}

    /// Some steps are done; the message says what is being worked on.
    fn step(&self, _steps: usize, _message: &str) {}

    /// Some steps were done before this run, and take none of its time.
    fn skip(&self, _steps: usize) {}

    /// Something that is worth knowing before the work is done.
    fn say(&self, _message: &str) {}

    /// Whether somebody asked to stop: the study then ends with what it has.
    fn stopped(&self) -> bool {
        false
    }

    /// The error of a study that was stopped, to leave loops with `?`.
    fn check(&self) -> Result<()> {
        if self.stopped() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Follows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// What a study is given beside its own configuration.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Who decomposes.
    pub engine: Engine,
    /// Who follows.
    pub watch: &'a dyn Watch,
}

/// What a study brings back.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The result; of a study that was stopped, what it had by then.
    pub report: crate::report::Report,
    /// Whether everything was measured.
    pub complete: bool,
}
