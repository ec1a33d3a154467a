//! The singular values of trained and random models' attention, as torch found them in f64.

use luna::linalg::engine::Engine;
use luna::linalg::spectra;
use luna::model::Model;
use ndarray::Axis;

use super::far;
use crate::model::{Everything, Expected, tiny};

/// Singular values from f32 matrices, against the largest.
const VALUES: f64 = 1e-5;

fn check(name: &str, matrices: usize) {
    let (model, expected) = (Model::open(&tiny(name)).unwrap(), Expected::read(name));
    let mut seen = Everything::default();
    model.forward(&expected.ids(), &mut seen).unwrap();
    assert_eq!(seen.0.len(), matrices);
    let mut worst = 0.0_f64;
    for tap in &seen.0 {
        let values = expected.get("singular_values");
        let exact = values.index_axis(Axis(0), tap.layer).index_axis(Axis(0), tap.head).to_owned();
        let found = spectra::of_f32(tap.matrix.as_ref().unwrap().view(), Engine::Faer).unwrap().plain;
        let off = far(&found, exact.as_slice().unwrap()) / exact[0];
        assert!(off <= VALUES, "{name} layer {} head {}: {off:e}", tap.layer, tap.head);
        worst = worst.max(off);
    }
    println!("{name}: at most {worst:.1e} of the largest value off");
}

#[test]
fn of_a_trained_llama() {
    check("stories260k", 40);
}

#[test]
fn of_every_family() {
    for name in ["bert", "bert-mlm", "distilbert", "gpt2", "llama-gqa", "qwen2", "roberta"] {
        check(name, 8);
    }
}
