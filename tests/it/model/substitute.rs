//! Something else in the place of softmax attention, in any model.

use std::sync::atomic::{AtomicUsize, Ordering};

use luna::attention::{Attention, Input, Learned, Mask, Origin};
use luna::model::{HeadTap, Model, Substitute, Unobserved};
use luna::{Error, Result};
use ndarray::Array2;

use super::golden::of_tokens;
use super::{Everything, Expected, tiny};

const FAMILIES: [&str; 8] =
    ["bert", "bert-mlm", "roberta", "distilbert", "gpt2", "llama-gqa", "qwen2", "stories260k"];

/// Softmax attention itself, by the mechanism of that name; counts its heads.
struct Softmax {
    attention: Attention,
    heads: AtomicUsize,
}

impl Softmax {
    fn new() -> Self {
        let learned = Learned::default();
        let origin = Origin { seed: 0, label: "substitute", learned: Some(&learned) };
        let attention = Attention::build(&"softmax".parse().unwrap(), &origin).unwrap();
        Self { attention, heads: AtomicUsize::new(0) }
    }
}

impl Substitute for Softmax {
    fn replaces(&self, _layer: usize) -> bool {
        true
    }

    fn attend(&self, head: &HeadTap) -> Result<Array2<f32>> {
        self.heads.fetch_add(1, Ordering::Relaxed);
        let mask = if head.causal { Mask::Causal } else { Mask::Full };
        let (scale, terms) = (head.scale, head.terms.view());
        let input = Input { scale, terms, ..Input::new(head.q.view(), head.k.view(), mask) };
        self.attention.forward(&input, head.v.view())
    }
}

/// What to do with the heads of one layer.
struct One<F> {
    layer: usize,
    attend: F,
}

impl<F: Fn(&HeadTap) -> Result<Array2<f32>> + Sync> Substitute for One<F> {
    fn replaces(&self, layer: usize) -> bool {
        layer == self.layer
    }

    fn attend(&self, head: &HeadTap) -> Result<Array2<f32>> {
        assert_eq!(head.layer, self.layer);
        (self.attend)(head)
    }
}

#[allow(clippy::unnecessary_wraps)] // the signature of what it stands for
fn zeros(head: &HeadTap) -> Result<Array2<f32>> {
    Ok(Array2::zeros(head.v.dim()))
}

fn open(name: &str) -> (Model, Vec<u32>) {
    (Model::open(&tiny(name)).unwrap(), Expected::read(name).ids())
}

#[test]
fn softmax_in_its_own_place_changes_nothing() {
    for name in of_tokens().chain(["stories260k".to_string()]) {
        let (model, ids) = open(&name);
        let plain = model.forward(&ids, &mut Unobserved).unwrap().hidden.unwrap();
        let softmax = Softmax::new();
        let found = model.forward_with(&ids, &mut Unobserved, &softmax).unwrap().hidden.unwrap();
        assert_eq!(softmax.heads.into_inner(), model.config().layers * model.config().heads);
        let size = plain.fold(0.0_f32, |most, x| most.max(x.abs()));
        let off = (&plain - &found).fold(0.0_f32, |far, x| far.max(x.abs())) / size;
        assert!(off <= 1e-5, "{name}: off by {off:e}");
    }
}

#[test]
fn only_the_chosen_layer_is_replaced() {
    for name in FAMILIES {
        let (model, ids) = open(name);
        let layers = model.config().layers;
        let mut plain = Everything::default();
        let hidden = model.forward(&ids, &mut plain).unwrap().hidden.unwrap();
        for layer in [0, layers - 1] {
            let mut seen = Everything::default();
            let changed = model.forward_with(&ids, &mut seen, &One { layer, attend: zeros }).unwrap();
            assert_ne!(changed.hidden.unwrap(), hidden, "{name}");
            assert_eq!(seen.0.len(), plain.0.len());
            for (found, plain) in seen.0.iter().zip(&plain.0) {
                // The chosen layer still sees what it saw; those behind it do not.
                let same = found.q == plain.q && found.v == plain.v && found.matrix == plain.matrix;
                assert_eq!(same, plain.layer <= layer, "{name}, layer {}", plain.layer);
            }
        }
        let nowhere = One { layer: layers, attend: zeros };
        let same = model.forward_with(&ids, &mut Everything::default(), &nowhere).unwrap().hidden.unwrap();
        assert_eq!(same, hidden, "{name}");
    }
}

#[test]
fn errors_and_wrong_shapes_come_back() {
    let (model, ids) = open("llama-gqa");
    let refuse = |head: &HeadTap| match head.head {
        1 => Err(Error::value("mechanism", head.layer, "another one")),
        _ => zeros(head),
    };
    let error = model.forward_with(&ids, &mut Unobserved, &One { layer: 1, attend: refuse }).unwrap_err();
    assert_eq!(error.to_string(), "mechanism: '1' is not accepted; accepted: another one");
    let narrow = |head: &HeadTap| Ok(Array2::zeros((head.q.nrows(), 1)));
    let error = model.forward_with(&ids, &mut Unobserved, &One { layer: 0, attend: narrow }).unwrap_err();
    let text = error.to_string();
    // Heads run in parallel, and every one of them is refused.
    assert!(text.starts_with("substituted output of layer 0 head "), "{text}");
    assert!(text.contains(": shape ["), "{text}");
    assert!(model.forward_with(&[], &mut Unobserved, &One { layer: 0, attend: zeros }).is_err());
}
