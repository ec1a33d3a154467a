//! Who follows a study while it runs.

use crate::error::{Error, Result};

/// Who follows a study while it runs.
pub trait Watch: Sync {
    /// Work of `total` steps begins.
    fn begin(&self, _total: usize, _what: &str) {}

    /// Some steps are done; the message says what is being worked on.
    fn step(&self, _steps: usize, _message: &str) {}

    /// Some steps were done by an earlier run and take none of this one's time.
    fn skip(&self, _steps: usize) {}

    /// The work has so many steps more than were planned.
    fn more(&self, _steps: usize) {}

    /// Something that is worth knowing before the work is done.
    fn say(&self, _message: &str) {}

    /// Whether somebody asked to stop: the study then ends with what it has.
    fn stopped(&self) -> bool {
        false
    }

    /// Whether work that takes about so many seconds may begin. If not, the study ends as one that was stopped.
    fn has_time(&self, _seconds: f64) -> bool {
        true
    }

    /// Work goes on although it was asked to stop, and nothing is lost if the program ends now.
    fn leave(&self) {}

    /// The error of a study that was stopped, to leave loops with `?`.
    fn check(&self) -> Result<()> {
        if self.stopped() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Follows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}
