//! Two files that are aligned line by line: as many sentences of one as of the other, or one line that refuses them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::task::translation::Parallel;

fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (from, to) = (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default());
    match Parallel::parse((Path::new("a"), from), (Path::new("b"), to)) {
        Ok(parallel) => {
            assert_eq!(parallel.sources.len(), parallel.targets.len());
            assert!(parallel.texts().all(|text| !text.trim().is_empty() && !text.contains('\n')));
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
