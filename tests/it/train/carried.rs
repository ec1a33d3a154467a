//! `luna evaluate` on the networks that the program carries, which are stored as f16.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::fs;
use std::path::Path;

use luna::linalg::engine::Engine;
use luna::model::embedded;
use luna::study::evaluate::{EvaluateConfig, run};
use luna::study::{Context, Unwatched};

fn bits(named: &Path) -> f64 {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/byte-transformer/text.txt");
    let config = EvaluateConfig { run: named.to_path_buf(), data: text, batch: 4 };
    let context = Context { seed: 0, engine: Engine::default(), watch: &Unwatched };
    let report = run(&config, context).unwrap().report;
    let cell = report.rows.cells("bits_per_byte").unwrap().next().unwrap();
    cell.number().unwrap()
}

#[test]
fn carried_networks_are_judged_by_name_and_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for (name, most) in [("byte-transformer", 3.5), ("byte-luna", 3.5)] {
        let found = bits(Path::new(name));
        assert!(found > 1.0 && found < most, "{name}: {found} bits a byte");
        // Of a copy on the disk the same: f16 is read there as well.
        let carried = embedded::folder(name).unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs::write(folder.path().join(file), embedded::file(&carried.join(file)).unwrap()).unwrap();
        }
        assert_eq!(bits(folder.path()), found, "{name}");
    }
    let error = embedded::or_disk(Path::new("byte-lunar")).unwrap_err().to_string();
    assert!(error.contains("no such folder") && error.contains("did you mean 'byte-luna'?"), "{error}");
}
