//! Archives of `.npy` arrays.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::matrices::{Dump, choose, fits, line};
use super::npy::{NpyLayout, PREFIX, TYPES, header_end, parse_npy};
use crate::error::{Error, Result};

/// Deflate compresses at most this many bytes into one.
const DEFLATE_MAX: u64 = 1032;

/// Reads the bytes of an `.npz` file; `tensor` names one of several arrays, and one of more than `memory` bytes is refused.
pub fn parse_npz(path: &Path, bytes: &[u8], tensor: Option<&str>, memory: u64) -> Result<Dump> {
    let refused = |what: String| Error::malformed(path, what, format!("an .npz file of {TYPES} arrays"));
    let broken = |error: ZipError| refused(line(&error));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let names = names(&mut archive).map_err(broken)?;
    let bare: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut entry = archive.by_index(choose(path, &bare, tensor)?).map_err(broken)?;
    // The archive states the unpacked length of the array, and the array its number of elements. Neither is used before it
    // agrees with the other and with the bytes that are there.
    let (size, packed) = (entry.size(), entry.compressed_size());
    if packed > bytes.len() as u64 || size > packed.saturating_mul(DEFLATE_MAX).saturating_add(64) {
        let what = format!("an array that states {size} bytes, packed into {packed}");
        return Err(refused(format!("{what}, which hold {} at most", DEFLATE_MAX.saturating_mul(packed))));
    }
    let mut content = Vec::new();
    append(&mut entry, PREFIX, &mut content).map_err(|error| refused(line(&error)))?;
    let header = header_end(&content).unwrap_or(PREFIX) as u64;
    if header > size {
        return Err(refused(format!("a header that should end at byte {header} in {size} bytes")));
    }
    append(&mut entry, header as usize - content.len().min(header as usize), &mut content)
        .map_err(|error| refused(line(&error)))?;
    let layout = NpyLayout::read(&content).map_err(refused)?;
    let held = size.saturating_sub(layout.start as u64);
    if layout.bytes().map(|bytes| bytes as u64) != Some(held) {
        return Err(refused(layout.broken(held as usize)));
    }
    fits(path, size, memory)?;
    // One byte more than stated, so that a longer entry is noticed.
    let rest = (size as usize).saturating_sub(content.len()).saturating_add(1);
    append(&mut entry, rest, &mut content).map_err(|error| refused(line(&error)))?;
    parse_npy(path, &content, memory)
}

/// Names of the arrays of an `.npz` file.
pub(super) fn npz_names(path: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let names = ZipArchive::new(Cursor::new(bytes)).and_then(|mut archive| names(&mut archive));
    names.map_err(|error| Error::malformed(path, line(&error), format!("an .npz file of {TYPES} arrays")))
}

fn names(archive: &mut ZipArchive<Cursor<&[u8]>>) -> Result<Vec<String>, ZipError> {
    let count = archive.len();
    let name = |at| {
        let name = archive.by_index_raw(at)?.name().to_string();
        Ok(name.strip_suffix(".npy").map_or_else(|| name.clone(), ToString::to_string))
    };
    (0..count).map(name).collect()
}

/// Appends at most `count` bytes; memory grows with the bytes that are there, not with `count`.
fn append(entry: &mut impl Read, count: usize, content: &mut Vec<u8>) -> std::io::Result<usize> {
    entry.take(count as u64).read_to_end(content)
}
