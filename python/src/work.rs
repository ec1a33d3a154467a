//! Runs work without the interpreter's lock, and stops it when Python is interrupted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use luna::profile::machine;
use luna::study::Watch;
use pyo3::prelude::*;
use rayon::ThreadPoolBuilder;

use crate::refused;

/// Between two looks at the signals and at the progress.
const LOOK: Duration = Duration::from_millis(50);

/// Follows work: what it did, said, and whether it is to stop.
#[derive(Default)]
pub(crate) struct Follower {
    stop: AtomicBool,
    progress: Mutex<Progress>,
    said: Mutex<Vec<String>>,
}

#[derive(Clone, Default)]
struct Progress {
    done: usize,
    total: usize,
    message: String,
    changed: bool,
}

/// What a panic of another thread left is still what was done or said.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch for Follower {
    fn begin(&self, total: usize, what: &str) {
        *locked(&self.progress) = Progress { done: 0, total, message: what.into(), changed: true };
    }

    fn step(&self, steps: usize, message: &str) {
        let mut progress = locked(&self.progress);
        progress.done += steps;
        progress.message = message.into();
        progress.changed = true;
    }

    fn skip(&self, steps: usize) {
        self.step(steps, "");
    }

    fn more(&self, steps: usize) {
        let mut progress = locked(&self.progress);
        progress.total += steps;
        progress.changed = true;
    }

    fn say(&self, message: &str) {
        locked(&self.said).push(message.into());
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Follower {
    /// Raises what Python's signals raise, and tells `progress` (of done, total and message) what is new.
    fn look(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        py.check_signals()?;
        let Some(progress) = progress else { return Ok(()) };
        let now = {
            let mut progress = locked(&self.progress);
            let changed = std::mem::take(&mut progress.changed);
            changed.then(|| progress.clone())
        };
        let Some(Progress { done, total, message, .. }) = now else { return Ok(()) };
        progress.call1((done, total, message)).map(|_| ())
    }
}

/// The result of `work` on a pool of so many threads (those of this process or batch job), and what it said.
///
/// An exception of Python (Ctrl-C, or one of `progress`) asks the work to stop, and is raised when it did.
pub(crate) fn done<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Follower) -> luna::Result<T> + Send,
) -> PyResult<(T, Vec<String>)> {
    let threads = threads.unwrap_or_else(machine::cores);
    if !(1..=1024).contains(&threads) {
        return Err(refused(&luna::Error::value("threads", threads, "1 to 1024")));
    }
    // A pool for each call: the children of a forked process would wait for the threads of a global one, which they lack.
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| {
        refused(&luna::Error::Refused(format!("threads: '{threads}' cannot be started: {error}")))
    })?;
    let follower = Follower::default();
    let (send, receive) = mpsc::channel();
    let receive = Mutex::new(receive);
    let mut raised = None;
    let found = thread::scope(|scope| {
        let follower = &follower;
        let worker = scope.spawn(move || {
            let result = pool.install(|| work(follower));
            drop(send);
            result
        });
        while py.detach(|| locked(&receive).recv_timeout(LOOK)) == Err::<(), _>(RecvTimeoutError::Timeout) {
            if raised.is_none() {
                raised = follower.look(py, progress).err();
                follower.stop.store(raised.is_some(), Ordering::Relaxed);
            }
        }
        py.detach(|| worker.join())
    });
    // A panic is Python's PanicException, with its message.
    let result = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match raised.map_or_else(|| follower.look(py, progress), Err) {
        Err(raised) => Err(raised),
        Ok(()) => {
            Ok((result.map_err(|error| refused(&error))?, std::mem::take(&mut *locked(&follower.said))))
        }
    }
}
