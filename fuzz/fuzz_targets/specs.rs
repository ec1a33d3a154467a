//! Comma lists as they are typed: what is understood is printed and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use luna::name::{Indices, List, specs};

fuzz_target!(|text: &str| {
    if let Ok(parsed) = specs(text) {
        let shown: Vec<String> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(specs(&shown.join(",")).expect("what was printed"), parsed);
    }
    if let Ok(indices) = text.parse::<Indices>() {
        assert_eq!(indices.to_string().parse::<Indices>().expect("what was printed"), indices);
        let _ = indices.select("--heads", 12);
    }
    if let Ok(list) = text.parse::<List<f64>>() {
        assert!(!list.is_empty());
    }
});
