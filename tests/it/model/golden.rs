//! Each family against Hugging Face's float64 forward pass of the same weights.

#![allow(clippy::print_stdout)] // says which families opened

use std::collections::BTreeSet;

use luna::attention::{Input, Mask, softmax};
use luna::model::config::Position;
use luna::model::{HeadTap, Model, Observer, Unobserved};
use ndarray::{Axis, s};

use super::{Everything, Expected, differences, largest, off, tiny};

/// Every folder of `tests/golden/hf_tiny` with random weights.
#[test]
fn every_family_as_hugging_face_computes_it() {
    let (mut families, mut faults) = (BTreeSet::new(), Vec::new());
    for name in folders() {
        match Model::open(&tiny(&name)) {
            Ok(model) => {
                let found = differences(&model, &Expected::read(&name), 1e-5, 1e-4);
                faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
                families.insert(model.family().name);
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let without: Vec<_> = luna::model::ALL.iter().map(|family| family.name).collect();
    let without: Vec<_> = without
        .iter()
        .filter(|name| !["luna", "mistral"].contains(name) && !families.contains(*name))
        .collect();
    assert!(without.is_empty(), "no folder of {without:?}");
}

/// The folders of random weights, by name.
pub(crate) fn folders() -> Vec<String> {
    let each = std::fs::read_dir(tiny("")).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = each
        .filter(|path| path.join("expected.safetensors").is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_string())
        .filter(|name| name != "stories260k")
        .collect();
    names.sort();
    names
}

/// Those that open here and read tokens.
pub(crate) fn of_tokens() -> impl Iterator<Item = String> {
    let reads_tokens =
        |name: &String| Model::open(&tiny(name)).is_ok_and(|model| model.config().image.is_none());
    folders().into_iter().filter(reads_tokens)
}

/// What `luna list family` says of each family is what its models have.
#[test]
fn what_a_family_says_of_its_mask_and_its_positions() {
    for name in of_tokens() {
        let model = Model::open(&tiny(&name)).unwrap();
        let (family, config) = (model.family(), model.config());
        let (mask, positions) = (family.mask(), family.positions());
        assert!(mask.starts_with(if config.causal { "causal" } else { "full" }), "{name}: {mask}");
        assert!(config.sliding.is_none() || mask.ends_with('*'), "{name}: {mask}");
        let expected = match config.position {
            Position::None => "none",
            Position::Learned { .. } => "learned",
            Position::Rotary(_) => "rotary",
            Position::Slopes(_) => "ALiBi",
            Position::Buckets { .. } => "buckets",
        };
        // ESM-1b has learned ones; the family is listed by its later models.
        assert!(positions == expected || name == "esm-absolute", "{name}: {positions}");
    }
}

#[test]
fn positions_that_a_family_reserves_are_not_counted() {
    assert_eq!(Model::open(&tiny("roberta")).unwrap().config().positions, 64);
}

#[test]
fn a_trained_llama() {
    let (model, expected) = (Model::open(&tiny("stories260k")).unwrap(), Expected::read("stories260k"));
    let hidden = model.forward(&expected.ids(), &mut Unobserved).unwrap().hidden.unwrap();
    let last = hidden.slice(s![-1.., ..]).to_owned();
    let logits = model.logits(&last).unwrap().unwrap();
    let exact = expected.get("logits_last").clone().insert_axis(Axis(0));
    let off = off(&logits, &exact) / largest(&exact);
    assert!(off < 1e-5, "off by {off:e}");
}

#[test]
fn a_head_carries_all_that_its_matrix_follows_from() {
    for name in folders() {
        let (model, expected) = (Model::open(&tiny(&name)).unwrap(), Expected::read(&name));
        let mut seen = Everything::default();
        model.run(expected.fed().input(), &mut seen, None).unwrap();
        for tap in seen.0 {
            let mask = if tap.causal { Mask::Causal } else { Mask::Full };
            let (terms, scale) = (tap.terms.view(), tap.scale);
            assert!(terms.set().eq(model.terms(tap.layer, tap.q.nrows())), "{name}, layer {}", tap.layer);
            let input = Input { scale, terms, ..Input::new(tap.q.view(), tap.k.view(), mask) };
            let a = softmax::matrix_of(&input).mapv(|x| x as f32);
            assert_eq!(tap.v.dim(), tap.k.dim());
            assert!((&a - &tap.matrix.unwrap()).iter().all(|x| x.abs() < 1e-5), "{name}");
        }
    }
}

/// Sees the heads of one layer without matrices, and ends there or goes on.
struct OneLayer {
    layer: usize,
    ends: bool,
    seen: Vec<HeadTap>,
}

impl Observer for OneLayer {
    fn wants_layer(&self, layer: usize) -> bool {
        layer == self.layer
    }

    fn last_layer(&self) -> Option<usize> {
        self.ends.then_some(self.layer)
    }

    fn head(&mut self, head: HeadTap) -> luna::Result<()> {
        self.seen.push(head);
        Ok(())
    }
}

#[test]
fn watching_changes_nothing_and_may_end_the_pass() {
    for name in ["bert", "llama-gqa", "stories260k"] {
        let (model, ids) = (Model::open(&tiny(name)).unwrap(), Expected::read(name).ids());
        let mut everything = Everything::default();
        let watched = model.forward(&ids, &mut everything).unwrap().hidden.unwrap();
        let alone = model.forward(&ids, &mut Unobserved).unwrap().hidden.unwrap();
        assert!((&watched - &alone).iter().all(|x| x.abs() < 1e-4), "{name}");
        for ends in [true, false] {
            let mut one = OneLayer { layer: 1, ends, seen: Vec::new() };
            let output = model.forward(&ids, &mut one).unwrap();
            assert_eq!(output.hidden.is_none(), ends);
            let heads = model.config().heads;
            assert_eq!(one.seen.len(), heads);
            for (tap, full) in one.seen.iter().zip(&everything.0[heads..]) {
                assert_eq!((tap.layer, tap.head, tap.matrix.is_none()), (1, full.head, true));
                assert!((&tap.q - &full.q).iter().all(|x| x.abs() < 1e-4), "{name}");
            }
        }
    }
}

/// Every oracle of other families is computed as transformers computes it.
#[test]
#[ignore = "reads data outside the clone: LUNA_SHARED"]
fn real_data_of_more_families() {
    let shared = std::env::var("LUNA_SHARED").expect("LUNA_SHARED names the folder with oracles/");
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(std::path::Path::new(&shared).join("oracles/hf_families")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_string();
        match Model::open(&folder) {
            Ok(model) => {
                let expected = Expected::read(folder.to_str().unwrap());
                let found = differences(&model, &expected, 1e-5, 1e-4);
                faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
