//! Archives of `.npy` arrays.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::npy::{PREFIX, Promise, TYPES, header_end};
use super::{Dump, choose, fits, line, parse_npy};
use crate::error::{Error, Result};

/// Deflate packs at most this many bytes into one.
const DEFLATE_MAX: u64 = 1032;

/// Reads the bytes of an `.npz` file; `tensor` names one of several arrays, and one of more than `memory` bytes is refused.
pub fn parse_npz(path: &Path, bytes: &[u8], tensor: Option<&str>, memory: u64) -> Result<Dump> {
    let refused = |what: String| Error::malformed(path, what, format!("an .npz file of {TYPES} arrays"));
    let broken = |error: ZipError| refused(line(&error));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut names = Vec::new();
    for i in 0..archive.len() {
        let name = archive.by_index_raw(i).map_err(broken)?.name().to_string();
        names.push(name.strip_suffix(".npy").map_or_else(|| name.clone(), ToString::to_string));
    }
    let bare: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut entry = archive.by_index(choose(path, &bare, tensor)?).map_err(broken)?;
    // The archive states how long the array is once unpacked, and the array how many numbers it has: neither is believed
    // before the other, and the bytes that are there, agree with it.
    let (size, packed) = (entry.size(), entry.compressed_size());
    if packed > bytes.len() as u64 || size > packed.saturating_mul(DEFLATE_MAX).saturating_add(64) {
        let what = format!("an array that states {size} bytes, packed into {packed}");
        return Err(refused(format!("{what}, which hold {} at most", DEFLATE_MAX.saturating_mul(packed))));
    }
    let mut content = Vec::new();
    take(&mut entry, PREFIX, &mut content).map_err(|error| refused(line(&error)))?;
    let header = header_end(&content).unwrap_or(PREFIX) as u64;
    if header > size {
        return Err(refused(format!("a header that should end at byte {header} in {size} bytes")));
    }
    take(&mut entry, header as usize - content.len().min(header as usize), &mut content)
        .map_err(|error| refused(line(&error)))?;
    let promise = Promise::read(&content).map_err(refused)?;
    let held = size.saturating_sub(promise.start as u64);
    if promise.bytes().map(|bytes| bytes as u64) != Some(held) {
        return Err(refused(promise.broken(held as usize)));
    }
    fits(path, size, memory)?;
    // One byte more than is stated, so that more is seen.
    let rest = (size as usize).saturating_sub(content.len()).saturating_add(1);
    take(&mut entry, rest, &mut content).map_err(|error| refused(line(&error)))?;
    parse_npy(path, &content, memory)
}

/// Adds `count` bytes at most; memory grows with what is there, not with what is asked for.
fn take(entry: &mut impl Read, count: usize, content: &mut Vec<u8>) -> std::io::Result<usize> {
    entry.take(count as u64).read_to_end(content)
}
