//! Requests to stop: Ctrl-C, a closed terminal (SIGHUP), a batch system (SIGTERM). The first lets the work stop and write
//! its results, the second ends the program.

use std::sync::atomic::AtomicBool;

use super::signal;

/// Handles signals from now on; the flag becomes true at the first request to stop.
pub fn watch() -> &'static AtomicBool {
    signal::handle_stops();
    signal::stopped()
}
