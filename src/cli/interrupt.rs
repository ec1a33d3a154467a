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

/// Seconds that are left; none if nobody said when the time is over.
pub(super) fn seconds_left() -> Option<f64> {
    END.get().map(|(since, seconds)| seconds - since.seconds())
}

/// Handles signals from now on; the flag becomes true at the first request to stop.
pub fn watch() -> &'static AtomicBool {
    signal::handle_stops();
    signal::stopped()
}
