//! Weights that are tied: saved under either name, or saved twice and different.

use luna::model::Model;
use serde_json::json;

use super::{Expected, Raws, compare, largest, off, set_config, with_tensors};

const TOKENS: &str = "model.embed_tokens.weight";

fn twice(raw: &mut super::Raw) {
    let numbers = super::chunks(&raw.bytes).map(|four| 2.0 * f32::from_le_bytes(four));
    raw.bytes = numbers.flat_map(f32::to_le_bytes).collect();
}

fn open(name: &str, change: impl FnOnce(&mut Raws)) -> (tempfile::TempDir, Model) {
    let dir = with_tensors(name, |mut raws| {
        change(&mut raws);
        raws
    });
    let model = Model::open(dir.path()).unwrap();
    (dir, model)
}

/// safetensors' `save_model` keeps one name of a shared tensor, and that may be the head's.
#[test]
fn a_file_that_holds_only_the_heads_name_opens() {
    for (name, token, head) in [
        ("qwen2", TOKENS, "lm_head.weight"),
        ("gpt2", "transformer.wte.weight", "lm_head.weight"),
        ("bert-mlm", "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ] {
        let (_dir, model) = open(name, |raws| {
            let table = raws.remove(token).unwrap();
            raws.insert(head.into(), table);
        });
        compare(&model, &Expected::read(name), 1e-5, 1e-4);
        assert!(model.notes().is_empty(), "{:?}", model.notes());
    }
    // The bias of BERT's head has two names too.
    let (_dir, model) = open("bert-mlm", |raws| {
        let bias = raws.remove("cls.predictions.bias").unwrap();
        raws.insert("cls.predictions.decoder.bias".into(), bias);
    });
    compare(&model, &Expected::read("bert-mlm"), 1e-5, 1e-4);
}

/// `tie_word_embeddings` is true and the file has an `lm_head.weight` of its own: transformers 5.24 does not tie them.
#[test]
fn a_head_of_its_own_counts_where_it_differs() {
    for (name, token, head) in [
        ("qwen2", TOKENS, "lm_head.weight"),
        ("bert-mlm", "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ] {
        let expected = Expected::read(name);
        let logits = |model: &Model| {
            let output = model.forward(&expected.ids(), &mut luna::model::Unobserved).unwrap();
            model.logits(&output.hidden.unwrap()).unwrap().unwrap()
        };
        let (_dir, same) = open(name, |raws| drop(raws.insert(head.into(), raws[token].clone())));
        assert!(same.notes().is_empty());
        let (_dir, model) = open(name, |raws| {
            let mut own = raws[token].clone();
            twice(&mut own);
            raws.insert(head.into(), own);
        });
        let notes = model.notes();
        assert!(
            notes.len() == 1 && notes[0].starts_with("tie_word_embeddings is true, and the weights hold a '")
        );
        assert!(
            notes[0].contains("' that differs from '") && notes[0].contains("as in transformers"),
            "{notes:?}"
        );
        let (plain, own) = (logits(&same), logits(&model));
        if name == "qwen2" {
            // The head alone is twice as large, and so are its logits.
            let exact = expected.get("logits").mapv(|x| 2.0 * x);
            assert!(off(&own, &exact) <= 1e-4 * largest(&exact));
        }
        assert_ne!(plain, own, "{name}");
    }
}

#[test]
fn a_bias_of_its_own_counts_where_it_differs() {
    let (_dir, model) = open("bert-mlm", |raws| {
        let mut own = raws["cls.predictions.bias"].clone();
        own.bytes.fill(0);
        raws.insert("cls.predictions.decoder.bias".into(), own);
    });
    assert_eq!(
        model.notes(),
        ["'cls.predictions.bias' differs from the tensor that it is tied to, and is not used"]
    );
}

/// Without the tie nothing stands in for a missing table.
#[test]
fn without_a_tie_both_are_needed() {
    let dir = with_tensors("llama-gqa", |mut raws| {
        raws.remove(TOKENS);
        raws
    });
    let message = super::refusal(dir.path());
    assert!(message.contains("no tensor 'embed_tokens.weight'"), "{message}");
    set_config(dir.path(), &json!({"tie_word_embeddings": true}));
    assert!(Model::open(dir.path()).is_ok());
}
