//! Lines of a stream, read ahead on a thread of their own so that waiting for one can be interrupted.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::file::without_mark;
use crate::study::Watch;

/// Lines that are translated at once, at most.
const MAX_AT_ONCE: usize = 32;
/// Lines that are read ahead.
const AHEAD: usize = 4 * MAX_AT_ONCE;
/// Time between two looks at whether to stop.
const PAUSE: Duration = Duration::from_millis(100);
const LAYOUT: &str = "one sentence a line, in UTF-8";

/// The lines of a stream, as they come.
pub(super) struct LineReader {
    receiver: Receiver<Result<String>>,
}

impl LineReader {
    /// Reads `input`, which errors call `name`.
    pub(super) fn read(input: impl Read + Send + 'static, name: &Path) -> Self {
        let (send, receiver) = sync_channel(AHEAD);
        let (mut input, name): (_, PathBuf) = (BufReader::new(input), name.into());
        std::thread::spawn(move || {
            for number in 1.. {
                let Some(line) = line(&mut input, &name, number).transpose() else { break };
                let failed = line.is_err();
                if send.send(line).is_err() || failed {
                    break;
                }
            }
        });
        Self { receiver }
    }

    /// Waits for a line, and returns those that are there with it; none at the end.
    pub(super) fn next(&self, watch: &dyn Watch) -> Result<Vec<Result<String>>> {
        let mut all = Vec::new();
        while all.is_empty() {
            watch.check()?;
            match self.receiver.recv_timeout(PAUSE) {
                Ok(line) => all.push(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(all),
            }
        }
        while all.len() < MAX_AT_ONCE {
            let Ok(line) = self.receiver.try_recv() else { break };
            all.push(line);
        }
        Ok(all)
    }
}

/// The next line, without its end.
fn line(input: &mut impl BufRead, name: &Path, number: usize) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    if input.read_until(b'\n', &mut bytes).map_err(Error::file(name))? == 0 {
        return Ok(None);
    }
    // A byte order mark is one at the beginning of a text only; elsewhere the same bytes are a character.
    let line = if number == 1 { without_mark(name, &bytes)? } else { &bytes };
    if line.is_empty() {
        return Ok(None);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) => Ok(Some(text.to_string())),
        Err(_) => Err(Error::malformed(name, format!("line {number} is not UTF-8"), LAYOUT)),
    }
}
