//! How far the work is, on stderr: a bar for a person, a line now and then for a log, nothing when told to be quiet.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::profile::clock::Stopwatch;
use crate::report::printable;

/// Without colours, as `NO_COLOR` asks.
const TEMPLATE: &str = "{prefix} [{bar:24}] {pos}/{len}, {elapsed} elapsed, about {eta} left {wide_msg}";

/// Between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A bar that redraws itself.
    Bar,
    /// A plain line every ten seconds, whether or not a step is done; none for work that is shorter.
    Lines,
    /// Nothing.
    Nothing,
}

impl Show {
    /// What fits: nothing if `quiet`, a bar on a terminal, lines elsewhere.
    pub fn fitting(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Nothing,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }
}

/// The progress of one piece of work; can be shared between threads.
#[derive(Debug)]
pub struct Progress {
    view: View,
}

#[derive(Debug)]
enum View {
    Bar(ProgressBar),
    Lines {
        lines: Arc<Lines>,
        /// Ends the thread that writes the lines when it is dropped.
        _end: Sender<()>,
    },
    Nothing,
}

impl Progress {
    /// Begins: `total` steps of `what` ("heads").
    pub fn start(show: Show, total: u64, what: &str) -> Self {
        let view = match show {
            Show::Nothing => View::Nothing,
            Show::Lines => {
                let lines = Arc::new(Lines::new(what, total));
                let (end, ended) = mpsc::channel();
                let written = Arc::clone(&lines);
                // Without a thread there are no lines, and the work is done all the same.
                let _ = thread::Builder::new().spawn(move || written.write_until(&ended));
                View::Lines { lines, _end: end }
            }
            Show::Bar => {
                let style = ProgressStyle::with_template(TEMPLATE)
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> ");
                let bar = ProgressBar::new(total).with_style(style).with_prefix(what.to_string());
                bar.enable_steady_tick(Duration::from_millis(200));
                View::Bar(bar)
            }
        };
        Self { view }
    }

    /// `steps` more are done; `message` says what was last ("layer 3 head 7").
    pub fn tick(&self, steps: u64, message: &str) {
        match &self.view {
            View::Nothing => {}
            View::Bar(bar) => {
                bar.set_message(printable(message));
                bar.inc(steps);
            }
            View::Lines { lines, .. } => {
                lines.done.fetch_add(steps, Ordering::Relaxed);
                *lines.message.lock().unwrap_or_else(PoisonError::into_inner) = message.to_string();
            }
        }
    }

    /// `steps` were done before this run: they took none of its time.
    pub fn skip(&self, steps: u64) {
        match &self.view {
            View::Nothing => {}
            View::Bar(bar) => {
                bar.inc(steps);
                bar.reset_eta();
            }
            View::Lines { lines, .. } => {
                lines.done.fetch_add(steps, Ordering::Relaxed);
                lines.skipped.fetch_add(steps, Ordering::Relaxed);
            }
        }
    }

    /// The work has `steps` more than it began with.
    pub fn more(&self, steps: u64) {
        match &self.view {
            View::Nothing => {}
            View::Bar(bar) => bar.inc_length(steps),
            View::Lines { lines, .. } => {
                lines.total.fetch_add(steps, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Progress {
    /// Takes the bar away, so that the result or an error stands alone.
    fn drop(&mut self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}

#[derive(Debug)]
struct Lines {
    what: String,
    total: AtomicU64,
    watch: Stopwatch,
    done: AtomicU64,
    /// How many of those were done by an earlier run.
    skipped: AtomicU64,
    /// What was last worked on.
    message: Mutex<String>,
}

impl Lines {
    fn new(what: &str, total: u64) -> Self {
        Self {
            what: what.to_string(),
            total: AtomicU64::new(total),
            watch: Stopwatch::start(),
            done: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            message: Mutex::default(),
        }
    }

    /// Writes a line every few seconds until the other end is dropped.
    fn write_until(&self, ended: &Receiver<()>) {
        while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            // Who reads no progress must not lose the result: a closed stderr is no error.
            let _ = writeln!(std::io::stderr(), "luna: {}", printable(&self.line(self.watch.elapsed())));
        }
    }

    /// How far the work is after this time.
    fn line(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        let [done, total] = [&self.done, &self.total].map(|steps| steps.load(Ordering::Relaxed));
        let line = format!("{} {done}/{total}, {seconds:.0} s elapsed", self.what);
        let timed = done.saturating_sub(self.skipped.load(Ordering::Relaxed));
        let message = match self.message.lock().unwrap_or_else(PoisonError::into_inner).as_str() {
            "" => String::new(),
            message => format!(" ({message})"),
        };
        if timed == 0 {
            return line + &message;
        }
        let left = seconds / timed as f64 * total.saturating_sub(done) as f64;
        format!("{line}, about {left:.0} s left{message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_the_time_left() {
        let lines = Lines::new("heads", 40);
        let at = |done, seconds| {
            lines.done.store(done, Ordering::Relaxed);
            lines.line(Duration::from_secs(seconds))
        };
        assert_eq!(at(0, 10), "heads 0/40, 10 s elapsed");
        *lines.message.lock().unwrap() = "head 1".into();
        assert_eq!(at(0, 20), "heads 0/40, 20 s elapsed (head 1)");
        assert_eq!(at(10, 10), "heads 10/40, 10 s elapsed, about 30 s left (head 1)");
        // Of 30 that are done 25 took no time: five in 50 seconds, and ten are to come.
        lines.skipped.store(25, Ordering::Relaxed);
        assert_eq!(at(30, 50), "heads 30/40, 50 s elapsed, about 100 s left (head 1)");
        let progress = Progress { view: View::Lines { lines: Arc::new(lines), _end: mpsc::channel().0 } };
        progress.more(2);
        let View::Lines { lines, .. } = &progress.view else { unreachable!("lines were made") };
        let line = lines.line(Duration::from_secs(50));
        assert_eq!(line, "heads 30/42, 50 s elapsed, about 120 s left (head 1)");
    }

    #[test]
    fn steps_of_many_threads_are_counted() {
        let progress = Progress::start(Show::Lines, 100, "heads");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..25).for_each(|_| progress.tick(1, "")));
            }
        });
        let View::Lines { lines, .. } = &progress.view else { unreachable!("lines were asked for") };
        assert_eq!(lines.done.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn the_template_is_a_template() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        assert_eq!(Show::fitting(true), Show::Nothing);
    }
}
