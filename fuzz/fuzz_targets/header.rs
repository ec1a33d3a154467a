//! The header of a safetensors file: of what is accepted, each byte behind the header is one tensor's.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::model::weights::Header;

fuzz_target!(|file: &[u8]| {
    match Header::parse(Path::new("model.safetensors"), file) {
        Ok(header) => {
            let mut places: Vec<_> =
                header.tensors.values().filter(|place| !place.bytes.is_empty()).collect();
            places.sort_by_key(|place| place.bytes.start);
            assert!(places.windows(2).all(|pair| pair[0].bytes.end == pair[1].bytes.start));
            assert!(places.last().is_none_or(|place| place.bytes.end == file.len()));
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
