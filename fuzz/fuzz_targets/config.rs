//! The text of a model's config.json: read or refused in one line, never a panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::model::ModelConfig;

fuzz_target!(|text: &str| {
    if let Err(error) = ModelConfig::parse(Path::new("config.json"), text) {
        assert!(!error.to_string().contains('\n'));
    }
});
