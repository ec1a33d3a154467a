//! How a command ends: the exit codes, and one line on stderr for what went wrong.

use std::io::{self, Write};
use std::process::ExitCode;

use super::interrupt;
use crate::error::Error;
use crate::report::printable;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The library refused or failed.
    #[error(transparent)]
    Luna(#[from] Error),
    /// The result could not be written to stdout.
    #[error("stdout: {0}")]
    Output(#[from] io::Error),
}

/// Says what went wrong, if anything did, and gives the exit code: 0 done, 1 failed, 130 asked to stop, by whichever
/// signal. (2, misused, is clap's.)
pub(super) fn code(outcome: Result<(), Failure>) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    let code = match &failure {
        // Whoever closed the pipe has seen enough.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Failure::Luna(Error::Interrupted) => interrupt::CODE,
        Failure::Luna(_) | Failure::Output(_) => 1,
    };
    // Nothing is left to be done about a stderr that is closed.
    let _ = writeln!(io::stderr(), "luna: {}", printable(&failure.to_string()));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_the_ways_to_end_apart() {
        let shown = |outcome| format!("{:?}", code(outcome));
        let same = |outcome, code: u8| assert_eq!(shown(outcome), format!("{:?}", ExitCode::from(code)));
        same(Ok(()), 0);
        same(Err(Failure::Luna(Error::value("--at", 0, "1 or more"))), 1);
        same(Err(Failure::Luna(Error::Interrupted)), 130);
        same(Err(Failure::Output(io::ErrorKind::BrokenPipe.into())), 0);
        same(Err(Failure::Output(io::ErrorKind::StorageFull.into())), 1);
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(printable("a\nb\x1b[31mc"), "a b [31mc");
    }
}
