//! A memory-mapped file: pages are read when they are used, and may be evicted.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use super::embedded;
use crate::{Error, Result};

/// The bytes of a file, on disk or embedded.
pub(super) enum Mapped {
    Disk(Mmap),
    Embedded(&'static [u8]),
}

impl Mapped {
    pub(super) fn open(path: &Path) -> Result<Self> {
        if let Some(bytes) = embedded::file(path) {
            return Ok(Self::Embedded(bytes));
        }
        let file = File::open(path).map_err(Error::file(path))?;
        // SAFETY: the map is read-only and private to this process. If another process truncates the file while it
        // is mapped, reading it ends this process by a signal; files of weights are written once and then only read.
        let map = unsafe { Mmap::map(&file) };
        map.map(Self::Disk).map_err(Error::file(path))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Disk(map) => map,
            Self::Embedded(bytes) => bytes,
        }
    }
}
