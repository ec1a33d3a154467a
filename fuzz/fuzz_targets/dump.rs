//! Dumped arrays in each of their formats: read or refused in one line, never a panic, and never much more memory than
//! the file has bytes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::task::dump::{parse_npy, parse_npz, parse_safetensors};

/// Bytes that an array may take: deflate packs a thousand into one.
const MEMORY: u64 = 1 << 26;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("attention");
    let all = [
        parse_npy(path, bytes, MEMORY),
        parse_npz(path, bytes, None, MEMORY),
        parse_safetensors(path, bytes, None, MEMORY),
    ];
    for error in all.into_iter().filter_map(Result::err) {
        assert!(!error.to_string().contains('\n'));
    }
});
