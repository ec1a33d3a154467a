//! The file that starts this program again: shards in processes of their own, elements of an array job.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::error::{Error, Result};

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says which file starts this program, where that is not the executable of the process: in Python, the script `luna`. The
/// first call counts.
pub fn set(path: PathBuf) {
    // Of two files, both start this program.
    let _ = PROGRAM.set(path);
}

/// The file that starts this program again.
pub(super) fn path() -> Result<PathBuf> {
    match PROGRAM.get() {
        Some(path) => Ok(path.clone()),
        None => std::env::current_exe().map_err(Error::file("luna")),
    }
}
