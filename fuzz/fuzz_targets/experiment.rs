//! The text of an experiment file: read or refused in one line, never a panic.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::cli::experiment::parse;

fuzz_target!(|text: &str| {
    match parse(Path::new("run.yaml"), text) {
        Ok(experiment) => {
            for entry in experiment.command.iter().chain(&experiment.entries) {
                assert!(entry.line >= 1 && entry.line <= text.lines().count().max(1));
            }
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
