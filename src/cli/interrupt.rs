//! Ctrl-C, and the signals by which a terminal or a batch system asks for an end (SIGHUP, SIGTERM): the first asks the
//! work to stop with what it has, the second stops it.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use super::signal;

/// What a shell expects of a program that Ctrl-C ended: 128 and the number of the signal. It is the code for every signal
/// that asks for an end.
pub const CODE: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens from now on; the flag is true once somebody has asked to stop.
///
/// Signals that were ignored when the program started stay ignored, as `nohup` and shells mean it. Where no handler can be
/// set, Ctrl-C ends the program as it always did.
pub fn watch() -> &'static AtomicBool {
    let ignored = signal::ignored_stops();
    let _ = ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            leave();
        }
        let _ = writeln!(std::io::stderr(), "luna: stopping; Ctrl-C again stops at once");
    });
    signal::restore(&ignored);
    &ASKED
}

#[allow(clippy::exit)] // somebody asked twice: work that does not look at the flag cannot be waited for
fn leave() -> ! {
    std::process::exit(i32::from(CODE))
}
