//! How a command ends: its exit code, and one line on stderr if it failed.

use std::io::{self, Write};

use super::signal;
use crate::error::Error;
use crate::report::printable;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An error of the library.
    #[error(transparent)]
    Luna(#[from] Error),
    /// A merge that was shown although cells are missing.
    #[error("cells are missing: the result is that of the cells which are there")]
    Partial,
    /// A condition that was to end the command so; the result was written.
    #[error("{0}")]
    Condition(String),
    /// The result could not be written to stdout.
    #[error("stdout: {0}")]
    Output(#[from] io::Error),
}

/// The exit code of a result of which a condition holds that was to end the command so.
const CONDITION: u8 = 3;

/// Reports a failure and returns the exit code: 0 done, 1 failed, 3 a condition that was asked for, 75 stopped by SIGTERM or before
/// a time limit (another start can continue) or merged with cells missing, 130 interrupted. (2, invalid arguments, is clap's.)
pub(super) fn code(outcome: Result<(), Failure>) -> u8 {
    let Err(failure) = outcome else { return 0 };
    let code = match &failure {
        // The reader of a closed pipe wants no more.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return 0,
        Failure::Luna(Error::Interrupted) => signal::code(),
        Failure::Partial => signal::TRY_AGAIN,
        Failure::Condition(_) => CONDITION,
        Failure::Luna(_) | Failure::Output(_) => 1,
    };
    // Nothing can be done about a closed stderr.
    let _ = writeln!(io::stderr(), "luna: {}", printable(&failure.to_string()));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_code() {
        let same = |outcome, expected| assert_eq!(code(outcome), expected);
        same(Ok(()), 0);
        same(Err(Failure::Luna(Error::value("--at", 0, "1 or more"))), 1);
        same(Err(Failure::Luna(Error::Interrupted)), 130);
        same(Err(Failure::Partial), 75);
        same(Err(Failure::Condition("x < 1".into())), 3);
        same(Err(Failure::Output(io::ErrorKind::BrokenPipe.into())), 0);
        same(Err(Failure::Output(io::ErrorKind::StorageFull.into())), 1);
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(printable("a\nb\x1b[31mc"), "a b [31mc");
    }
}
