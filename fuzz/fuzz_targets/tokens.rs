//! A file of token ids: read or refused in one line, never a panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::task::tokens;

fuzz_target!(|text: &str| {
    if let Err(error) = tokens::parse(Path::new("tokens.json"), text) {
        assert!(!error.to_string().contains('\n'));
    }
});
