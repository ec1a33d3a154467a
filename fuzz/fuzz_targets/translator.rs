//! The configuration of an encoder-decoder: read or refused in one line, never a panic; what is read is written back.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::network::translator::TranslatorConfig;

fuzz_target!(|text: &str| {
    let path = Path::new("config.json");
    match TranslatorConfig::parse(path, text) {
        Ok(config) => {
            let again = serde_json::to_string(&config.to_json()).expect("keys and values");
            assert_eq!(TranslatorConfig::parse(path, &again).expect("what was written"), config);
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
