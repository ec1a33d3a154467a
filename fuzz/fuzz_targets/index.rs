//! The index of a sharded model: read or refused in one line, and every file that it names stays in its folder.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::model::load::shards;

fuzz_target!(|text: &str| {
    match shards(Path::new("model.safetensors.index.json"), text) {
        Ok(files) => {
            assert!(!files.is_empty());
            assert!(files.iter().all(|file| Path::new(file).file_name() == Some(file.as_ref())));
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
