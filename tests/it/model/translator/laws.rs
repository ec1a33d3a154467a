//! What every kind promises: causality, steps that are the whole, folders that are read again, refusals.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use luna::model::Named;
use luna::model::save::save;
use luna::network::translator::{Translator, TranslatorConfig};
use luna::network::{Encoder, EncoderConfig, Head, Mechanism, Network};
use ndarray::s;
use serde_json::{Value, json};

use super::{configs, ids, tensors, translator};
use crate::attention::golden::furthest;
use crate::model::encoder::{file, small};

#[test]
fn steps_are_the_rows_of_the_whole_alone_and_side_by_side() {
    for config in configs() {
        let translator = translator(&config);
        // A source that is shorter than P is long, and one that is longer.
        let (short, long) = (ids(3, 1), ids(17, 2));
        let targets = [(&short, ids(29, 3)), (&long, ids(29, 4)), (&long, ids(29, 5)), (&short, ids(29, 6))];
        let whole = targets.each_ref().map(|(source, target)| translator.logits(source, target).unwrap());
        let mut alone = translator.start(&short).unwrap();
        let shared = translator.start(&long).unwrap();
        let mut states = vec![alone.clone(), shared.clone(), shared, translator.start(&short).unwrap()];
        for t in 0..29 {
            let row = translator.step(&mut alone, targets[0].1[t]).unwrap();
            let off = furthest(&row, &whole[0].row(t));
            assert!(off < 1e-4, "{config:?}, token {t}: off by {off:e}");
            let tokens = targets.each_ref().map(|(_, target)| target[t]);
            let rows = translator.step_many(&mut states, &tokens).unwrap();
            for (row, whole) in rows.rows().into_iter().zip(&whole) {
                let off = furthest(&row, &whole.row(t));
                assert!(off < 1e-4, "{config:?}, token {t}, side by side: off by {off:e}");
            }
        }
        assert!(states.iter().all(|state| state.tokens() == 29));
    }
}

/// Targets that are longer than a block of the causal kernels.
#[test]
fn long_targets_are_decoded_as_a_whole_and_token_by_token() {
    for config in configs().into_iter().filter(|config| config.encoder.positions == 0) {
        let translator = translator(&config);
        let (source, target) = (ids(17, 2), ids(150, 3));
        let whole = translator.logits(&source, &target).unwrap();
        let mut state = translator.start(&source).unwrap();
        for (t, token) in target.iter().enumerate() {
            let off = furthest(&translator.step(&mut state, *token).unwrap(), &whole.row(t));
            assert!(off < 1e-4, "{config:?}, token {t}: off by {off:e}");
        }
    }
}

#[test]
fn states_that_stand_at_different_places_are_stepped_at_once() {
    for config in configs() {
        let translator = translator(&config);
        let mut ahead = translator.start(&ids(7, 1)).unwrap();
        let behind = ahead.clone();
        translator.step(&mut ahead, 4).unwrap();
        let mut both = [ahead.clone(), behind.clone()];
        let rows = translator.step_many(&mut both, &[5, 6]).unwrap();
        for ((mut state, token), row) in [(ahead, 5), (behind, 6)].into_iter().zip(rows.rows()) {
            let off = furthest(&translator.step(&mut state, token).unwrap(), &row);
            assert!(off < 1e-5, "{config:?}: off by {off:e}");
        }
        assert_eq!(translator.step_many(&mut [], &[]).unwrap().dim(), (0, 13));
    }
}

#[test]
fn no_row_reads_a_later_token_and_every_row_reads_the_source() {
    for config in configs() {
        let translator = translator(&config);
        let (source, mut target) = (ids(11, 2), ids(19, 5));
        let before = translator.logits(&source, &target).unwrap();
        target[13] = (target[13] + 1) % 13;
        let after = translator.logits(&source, &target).unwrap();
        let off = furthest(&before.slice(s![..13, ..]), &after.slice(s![..13, ..]));
        assert!(off < 1e-6, "{config:?}: {off:e}");
        assert!(furthest(&before.row(13), &after.row(13)) > 1e-3, "{config:?}");
        let mut other = source.clone();
        other[10] = (other[10] + 1) % 13;
        let elsewhere = translator.logits(&other, &target).unwrap();
        for (row, other) in after.rows().into_iter().zip(elsewhere.rows()) {
            assert!(furthest(&row, &other) > 1e-5, "{config:?}");
        }
    }
}

/// Writes an encoder-decoder's folder.
pub(super) fn write(dir: &Path, config: &TranslatorConfig, more: &Value) {
    let mut map = config.to_json();
    map.extend(more.as_object().unwrap().clone());
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("config.json"), Value::Object(map).to_string()).unwrap();
    save(&dir.join("model.safetensors"), &tensors(config), &BTreeMap::new()).unwrap();
}

#[test]
fn a_folder_is_what_was_written_and_best_stands_for_its_run() {
    let dir = tempfile::tempdir().unwrap();
    for config in configs() {
        write(&dir.path().join("best"), &config, &json!({"task": "translation"}));
        let opened = Translator::open(dir.path()).unwrap();
        assert_eq!(opened.config(), &config);
        let (source, target) = (ids(6, 1), ids(4, 2));
        let exact = translator(&config).logits(&source, &target).unwrap();
        assert_eq!(opened.logits(&source, &target).unwrap(), exact);
    }
}

#[test]
fn every_tensor_is_needed_and_no_other_is_taken() {
    for config in configs() {
        let all = tensors(&config);
        for name in all.keys() {
            let mut fewer = all.clone();
            fewer.remove(name);
            let text =
                Translator::load(&Named::new(Path::new("w"), fewer), &config).err().unwrap().to_string();
            // Without its tied projection a module looks untied.
            assert!(
                text.contains(&format!("no tensor '{name}'")) || name.contains("c_proj"),
                "{name}: {text}"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &config, &json!({}));
        let mut more = all;
        more.insert("decoder.embed_tokens.weight".into(), more["encoder.embed_tokens.weight"].clone());
        save(&dir.path().join("model.safetensors"), &more, &BTreeMap::new()).unwrap();
        let text = Translator::open(dir.path()).err().unwrap().to_string();
        assert!(text.contains("luna-translator model does not have: decoder.embed_tokens.weight"), "{text}");
    }
}

#[test]
fn networks_of_another_kind_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let said = |text: String| {
        assert!(!text.contains('\n'), "{text}");
        text
    };
    let opened = || said(Translator::open(dir.path()).err().unwrap().to_string());
    let language = EncoderConfig {
        vocab: Some(256),
        positions: 40,
        embedding_norm: true,
        causal: true,
        head: Head::Tokens,
        ..small(Mechanism::Softmax, false)
    };
    file::write(dir.path(), &language, &json!({}));
    assert!(
        opened().contains("a language model") && opened().contains("luna generate takes"),
        "{}",
        opened()
    );
    let classes = EncoderConfig { causal: false, head: Head::Classes(2), ..language };
    file::write(dir.path(), &classes, &json!({}));
    assert!(opened().contains("a classifier") && opened().contains("luna evaluate takes"), "{}", opened());
    fs::write(dir.path().join("config.json"), r#"{"model_type": "bert"}"#).unwrap();
    assert!(
        opened().contains("another model (model_type 'bert'); expected an encoder-decoder"),
        "{}",
        opened()
    );
    fs::remove_file(dir.path().join("config.json")).unwrap();
    assert!(opened().contains("config.json': "), "{}", opened());

    write(dir.path(), &configs()[0], &json!({}));
    for text in [
        Encoder::open(dir.path()).err().unwrap().to_string(),
        Network::open(dir.path()).err().unwrap().to_string(),
    ] {
        assert!(said(text.clone()).contains("luna translate"), "{text}");
    }
}

#[test]
fn inputs_that_do_not_fit_are_one_line_and_leave_the_state() {
    for config in configs().into_iter().filter(|config| config.encoder.positions > 0) {
        let translator = translator(&config);
        let message =
            |source: &[u32], target: &[u32]| translator.logits(source, target).unwrap_err().to_string();
        assert_eq!(message(&[], &[1]), "a source: 0 tokens; 1 or more");
        assert_eq!(message(&[1], &[]), "a target: 0 tokens; 1 or more");
        assert!(
            message(&[13], &[1]).contains("'13' is not accepted; accepted: ids below 13, the vocabulary")
        );
        assert!(message(&[1], &[1, 13]).contains("token of the target: '13'"));
        assert!(message(&[1; 41], &[1]).contains("41 tokens; 40 or less, the positions"));
        assert_eq!(message(&[1], &[1; 41]), "a target: 41 tokens; 40 or less, the positions");
        let mut state = translator.start(&[1, 2]).unwrap();
        let before = translator.step(&mut state.clone(), 3).unwrap();
        assert!(
            translator
                .step_many(&mut [state.clone()], &[1, 2])
                .unwrap_err()
                .to_string()
                .contains("one a state")
        );
        assert!(translator.step(&mut state, 13).is_err());
        assert_eq!(translator.step(&mut state, 3).unwrap(), before);
    }
    let [one, other] = [0, 1].map(|at| translator(&configs()[at]));
    let mut state = one.start(&[1]).unwrap();
    let text = other.step(&mut state, 1).unwrap_err().to_string();
    assert!(text.contains("one that its start gave"), "{text}");
}
