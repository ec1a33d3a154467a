//! A file mapped into memory: pages are read when they are used, and may be dropped again.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::{Error, Result};

/// The bytes of a file.
pub(super) struct Mapped(Mmap);

impl Mapped {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file(path))?;
        // SAFETY: the map is read-only and private to this process. Should another process cut the file short while
        // it is mapped, reading it ends this process by a signal; weights are written once and then only read.
        let map = unsafe { Mmap::map(&file) };
        map.map(Self).map_err(Error::file(path))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
