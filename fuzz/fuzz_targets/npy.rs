//! A dumped array: read or refused in one line, never a panic, and never more memory than the file has bytes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::task::dump::parse_npy;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = parse_npy(Path::new("attention.npy"), bytes) {
        assert!(!error.to_string().contains('\n'));
    }
});
