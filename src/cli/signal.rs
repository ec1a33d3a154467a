//! Signals that the program leaves as it found them, and one that it does without.

#[cfg(unix)]
pub(super) use unix::{ignored_stops, limits_are_errors, restore};

#[cfg(unix)]
mod unix {
    use libc::{SIG_IGN, SIGHUP, SIGINT, SIGTERM, SIGXFSZ, c_int};

    /// The signals that ask the program to stop and that were ignored when it started: SIGHUP under `nohup`, SIGINT in
    /// the background of a shell without job control.
    #[allow(unsafe_code)] // what is done with a signal can be asked of the C library only
    pub(in crate::cli) fn ignored_stops() -> Vec<c_int> {
        let is_ignored = |signal: &c_int| {
            // SAFETY: an all-zero `sigaction` is a value of that type; with no new action the call only fills it in.
            let (asked, action) = unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                (libc::sigaction(*signal, std::ptr::null(), &raw mut action), action)
            };
            asked == 0 && action.sa_sigaction == SIG_IGN
        };
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(is_ignored).collect()
    }

    /// Ignores these signals again.
    pub(in crate::cli) fn restore(ignored: &[c_int]) {
        for signal in ignored {
            ignore(*signal);
        }
    }

    /// A file that reaches the limit of its size (`ulimit -f`) is an error of whoever writes it, as a full disk is, where
    /// the system would end the program in the middle of the file.
    pub(in crate::cli) fn limits_are_errors() {
        ignore(SIGXFSZ);
    }

    #[allow(unsafe_code)] // as above
    fn ignore(signal: c_int) {
        // SAFETY: the number of a signal of this system; ignoring it installs no handler.
        unsafe { libc::signal(signal, SIG_IGN) };
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::{ignored_stops, limits_are_errors, restore};

#[cfg(not(unix))]
mod elsewhere {
    pub(in crate::cli) fn ignored_stops() -> Vec<i32> {
        Vec::new()
    }

    pub(in crate::cli) fn restore(_: &[i32]) {}

    pub(in crate::cli) fn limits_are_errors() {}
}
