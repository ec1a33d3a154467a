//! Requests to stop: Ctrl-C, a closed terminal (SIGHUP), a batch system (SIGTERM). The first lets the work stop and write
//! its results, the second ends the program.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::signal;
use crate::profile::clock::Stopwatch;

/// When the time that was granted is over: seconds after a moment.
static END: OnceLock<(Stopwatch, f64)> = OnceLock::new();

/// From now on, work begins only if it takes less than what is then left of these seconds.
pub(super) fn end_in(seconds: f64) {
    // Of two limits, the first holds.
    let _ = END.set((Stopwatch::start(), seconds));
}

/// What is done before the program ends in the middle of work that does not stop.
static LAST: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Says what is done before the program ends in the middle of work that does not stop.
pub(super) fn before_leaving(act: impl Fn() + Send + Sync + 'static) {
    let _ = LAST.set(Box::new(act));
}

/// Ends the program in the middle of work that does not stop.
#[allow(clippy::exit)] // the work does not look whether it is to stop
pub(super) fn leave() -> ! {
    if let Some(act) = LAST.get() {
        act();
    }
    std::process::exit(i32::from(signal::code()))
}

/// Seconds that are left; none if nobody said when the time is over.
pub(super) fn seconds_left() -> Option<f64> {
    END.get().map(|(since, seconds)| seconds - since.seconds())
}

/// Handles signals from now on; the flag becomes true at the first request to stop.
pub fn watch() -> &'static AtomicBool {
    signal::handle_stops();
    signal::stopped()
}
