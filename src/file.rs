//! Files that are whole or not there at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes a text file: under a temporary name beside it, then flushed to the disk, then put in its place in one step.
pub fn save_text(path: &Path, text: &str) -> Result<()> {
    put(path, |out| out.write_all(text.as_bytes()))
}

/// How a Git LFS pointer begins.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Refuses a Git LFS pointer: the few lines of text that a clone without Git LFS has in the place of a large file.
pub(crate) fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<()> {
    if !bytes.starts_with(POINTER) {
        return Ok(());
    }
    let accepted = "the file itself: run `git lfs pull` in the clone, or fetch the model with `hf download`";
    Err(Error::malformed(path, "a Git LFS pointer, not the file that it stands for", accepted))
}

/// Fills a file under a temporary name and gives it its own when it is whole and on the disk.
pub(crate) fn put(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let Some(name) = path.file_name() else {
        return Err(Error::malformed(path, "no name of a file", "a file to write"));
    };
    // The process's number keeps two runs from writing into one file.
    let name = format!(".{}.{}.partial", name.to_string_lossy(), std::process::id());
    let partial = path.with_file_name(name);
    let written = write(&partial, fill).and_then(|()| fs::rename(&partial, path)).and_then(|()| settle(path));
    if written.is_err() {
        // Best effort: what stopped the writing is the error to report.
        let _ = fs::remove_file(&partial);
    }
    written.map_err(Error::file(path))
}

fn write(partial: &PathBuf, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(partial)?);
    fill(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// A rename lasts through a power cut only once its folder is on the disk too.
#[cfg(unix)]
fn settle(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn settle(_: &Path) -> io::Result<()> {
    Ok(())
}
