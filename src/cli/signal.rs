//! The signals that ask for an end (SIGINT, SIGTERM, SIGHUP), and one that is ignored.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// 128 and the number of SIGINT: what a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
/// `EX_TEMPFAIL`: a batch system ended the program by SIGTERM, and another start with --resume continues.
pub(super) const TRY_AGAIN: u8 = 75;

const NOTICE: &[u8] = b"luna: stopping; Ctrl-C again stops at once\n";

static STOPPED: AtomicBool = AtomicBool::new(false);
static CODE: AtomicU8 = AtomicU8::new(INTERRUPTED);

/// Becomes true at the first signal that asks for an end.
pub(super) fn stopped() -> &'static AtomicBool {
    &STOPPED
}

/// The exit code after a stop: 75 after SIGTERM, otherwise 130.
pub(super) fn code() -> u8 {
    CODE.load(Ordering::Relaxed)
}

/// Notes a request to stop, and the exit code that follows from it; whether it is the first.
pub(super) fn first_stop(code: u8) -> bool {
    let first = !STOPPED.swap(true, Ordering::Relaxed);
    if first {
        CODE.store(code, Ordering::Relaxed);
    }
    first
}

#[cfg(unix)]
pub(super) use unix::{ask_to_stop, handle_stops, ignore_file_limits};

#[cfg(unix)]
#[allow(unsafe_code)] // signals are handled by the C library only
mod unix {
    use std::process::Child;
    use std::ptr;

    use libc::{SA_RESTART, SIG_IGN, SIGHUP, SIGINT, SIGTERM, SIGXFSZ, c_int};

    use super::{INTERRUPTED, NOTICE, TRY_AGAIN, first_stop};

    /// The first signal asks the work to stop, the second ends the program. Signals that were ignored when the program
    /// started stay ignored: SIGHUP under `nohup`, SIGINT in the background of a shell without job control.
    pub(in crate::cli) fn handle_stops() {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // SAFETY: an all-zero `sigaction` is a value of that type, which the first call only fills in; the handler does
            // what a handler may do (atomics, `write`, `_exit`).
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                let asked = libc::sigaction(signal, ptr::null(), &raw mut action);
                if asked != 0 || action.sa_sigaction == SIG_IGN {
                    continue;
                }
                action.sa_sigaction = stop as extern "C" fn(c_int) as usize;
                action.sa_flags = SA_RESTART;
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
        }
    }

    extern "C" fn stop(signal: c_int) {
        let code = if signal == SIGTERM { TRY_AGAIN } else { INTERRUPTED };
        // SAFETY: both may be called in a handler; the message is a whole slice, and stderr may be closed.
        unsafe {
            if first_stop(code) {
                libc::write(2, NOTICE.as_ptr().cast(), NOTICE.len());
            } else {
                libc::_exit(c_int::from(code));
            }
        }
    }

    /// Asks a process that this one started to stop, as SIGTERM does.
    pub(in crate::cli) fn ask_to_stop(child: &Child) {
        let Ok(id) = libc::pid_t::try_from(child.id()) else { return };
        // SAFETY: a child that is not waited for keeps its number.
        unsafe { libc::kill(id, SIGTERM) };
    }

    /// A file that reaches the size limit (`ulimit -f`) becomes an error of the write, like a full disk, where the system
    /// would end the program in the middle of the file.
    pub(in crate::cli) fn ignore_file_limits() {
        // SAFETY: the number of a signal of this system; ignoring it installs no handler.
        unsafe { libc::signal(SIGXFSZ, SIG_IGN) };
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::{ask_to_stop, handle_stops, ignore_file_limits};

#[cfg(not(unix))]
mod elsewhere {
    use std::io::Write;

    use super::{INTERRUPTED, NOTICE, first_stop};

    /// The first Ctrl-C asks the work to stop, the second ends the program. Where no handler can be set, the first does.
    #[allow(clippy::exit)] // the second request: work that does not check the flag cannot be waited for
    pub(in crate::cli) fn handle_stops() {
        let _ = ctrlc::set_handler(|| {
            if !first_stop(INTERRUPTED) {
                std::process::exit(i32::from(INTERRUPTED));
            }
            let _ = std::io::stderr().write_all(NOTICE);
        });
    }

    /// Ctrl-C reaches every process of a terminal by itself.
    pub(in crate::cli) fn ask_to_stop(_: &std::process::Child) {}

    pub(in crate::cli) fn ignore_file_limits() {}
}
