//! Figures of rows against `NumPy`, which sorts each row.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::path::Path;

use serde_json::{Map, Value};

use crate::study::{cell, number, svd_spectrum};

#[test]
fn figures_of_rows_are_those_of_numpy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rows");
    let expected: Map<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
    assert_eq!(expected.len(), 5);
    for (name, expected) in &expected {
        let file = folder.join(format!("{name}.npy"));
        let flags = ["--attention", file.to_str().unwrap(), "--null", "none", "--at", "1,4,16"];
        let report = svd_spectrum(&flags, 0);
        for (column, value) in expected.as_object().unwrap() {
            let (found, exact) = (number(&report.rows, 0, column), value.as_f64().unwrap());
            assert!(
                (found - exact).abs() <= 1e-6 * exact.max(1.0),
                "{name} {column}: {found}, NumPy {exact}"
            );
        }
        // Where no query stands at a key, there is no place of its own.
        let places =
            ["own_mass", "near64_mass", "distance"].map(|column| cell(&report.rows, 0, column).number());
        assert_eq!(places.map(|place| place.is_some()), [expected.get("own_mass").is_some(); 3], "{name}");
    }
}
