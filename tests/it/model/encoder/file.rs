//! Folders of encoders: written, read again, and read as a model of which heads are studied.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use luna::model::save::save;
use luna::model::{Activation, Model, Unobserved};
use luna::network::{ALL, Encoder, EncoderConfig, Head, Mechanism};
use ndarray::{Array2, Axis};
use serde_json::{Value, json};

use super::causal::stacks;
use super::small;

/// An encoder of bytes whose attention is softmax.
fn bytes() -> EncoderConfig {
    EncoderConfig {
        vocab: Some(257),
        positions: 40,
        embedding_norm: true,
        causal: true,
        head: Head::Tokens,
        ..small(Mechanism::Softmax, false)
    }
}

/// Writes an encoder with weights drawn from a seed, and these keys beside its own.
pub(crate) fn write(dir: &Path, config: &EncoderConfig, more: &Value) {
    let mut map = config.to_json();
    map.extend(more.as_object().unwrap().clone());
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("config.json"), Value::Object(map).to_string()).unwrap();
    save(&dir.join("model.safetensors"), &config.drawn(3), &BTreeMap::new()).unwrap();
}

fn parse(text: &str) -> Result<EncoderConfig, String> {
    EncoderConfig::parse(Path::new("config.json"), text).map_err(|error| error.to_string())
}

#[test]
fn a_configuration_is_what_was_written() {
    let named = ALL.iter().map(|kind| Mechanism::build(&kind.name.parse().unwrap()).unwrap());
    let mut all: Vec<EncoderConfig> = stacks();
    all.extend(named.filter(|m| m.name() != "luna-causal").map(|mechanism| small(mechanism, true)));
    all.push(bytes());
    all.push(EncoderConfig { head: Head::Classes(10), ..EncoderConfig::byte_text(Mechanism::Linear) });
    all.push(EncoderConfig { activation: Activation::GeluTanh, p_chain: false, ..bytes() });
    for config in all {
        let mut map = config.to_json();
        map.insert("task".into(), "text".into());
        assert_eq!(parse(&Value::Object(map).to_string()), Ok(config));
    }
    let short = r#"{"model_type": "luna", "attention": "luna:l=8", "hidden_size": 24, "heads": 3, "ffn": 40, "layers": 2}"#;
    assert_eq!(parse(short), Ok(small(Mechanism::Luna { l: 8, tied: true }, false)));
}

#[test]
fn what_no_encoder_can_be_is_one_line() {
    let changed = |key: &str, value: Value| {
        let mut map = bytes().to_json();
        map.insert(key.into(), value);
        let text = parse(&Value::Object(map).to_string()).unwrap_err();
        assert!(text.starts_with("'config.json': ") && !text.contains('\n'), "{text}");
        text
    };
    assert!(changed("model_type", json!("bert")).contains("'model_type' holds \"bert\"; expected luna"));
    assert!(changed("attention", json!("lunaa")).contains("did you mean 'luna'?"));
    assert!(changed("attention", json!("linformer")).contains("attention of a causal encoder: 'linformer'"));
    assert!(changed("attention", Value::Null).contains("no key 'attention'"));
    assert!(changed("hidden_size", json!(25)).contains("a divisor of d = 25"));
    assert!(changed("head", json!("span")).contains("none, classes, pairs or tokens"));
    assert!(changed("head", json!("classes")).contains("no key 'classes'"));
    assert!(changed("vocab", Value::Null).contains("without a vocabulary"));
    assert!(parse("{").unwrap_err().contains("not JSON"));
    assert!(parse("[]").unwrap_err().contains("not a JSON object"));
}

#[test]
fn a_folder_holds_an_encoder() {
    let ids = Array2::from_shape_fn((1, 30), |(_, j)| (j * 7 % 250) as u32);
    for mut config in [stacks()[0], stacks()[4], stacks()[8], stacks()[10], bytes()] {
        config = EncoderConfig { vocab: Some(257), positions: 40, head: Head::Tokens, ..config };
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &config, &json!({}));
        let drawn = Encoder::random(&config, 3).unwrap();
        let opened = Encoder::open(dir.path()).unwrap();
        assert_eq!(opened.config(), &config);
        assert_eq!(opened.token_logits(ids.view()).unwrap(), drawn.token_logits(ids.view()).unwrap());
    }
}

#[test]
fn a_folder_that_is_not_whole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = || {
        let text = Encoder::open(dir.path()).err().unwrap().to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    };
    assert!(refused().contains("config.json"));
    let tied =
        Mechanism::LunaCausal { l: 5, tied: true, packing: luna::attention::luna_causal::Weight::Elu.into() };
    let config = EncoderConfig { mechanism: tied, ..bytes() };
    write(dir.path(), &config, &json!({}));
    assert!(Encoder::open(dir.path()).is_ok());
    write(dir.path(), &config, &json!({"p_chain": false}));
    assert!(refused().contains("no tensor 'layers.0.projected_embeddings'"));
    write(dir.path(), &config, &json!({"attention": "luna-causal:l=5,tied=false"}));
    assert!(
        refused().contains("no tensor 'layers.0.self_attn.k_proj.weight'") || refused().contains("c_proj")
    );
    write(dir.path(), &config, &json!({"embedding_norm": false}));
    assert!(refused().contains("tensors that a luna model does not have: layernorm_embedding"));
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    assert!(refused().contains("model.safetensors"));
}

#[test]
fn a_model_of_softmax_is_the_encoder() {
    for config in [
        bytes(),
        EncoderConfig { pre_norm: true, ..bytes() },
        EncoderConfig { causal: false, head: Head::Classes(4), ..bytes() },
        EncoderConfig { activation: Activation::Relu, head: Head::None, ..bytes() },
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &config, &json!({"tokens": "bytes+1"}));
        let ids: Vec<u32> = (0..33).map(|j| j * 11 % 257).collect();
        let model = Model::open(dir.path()).unwrap();
        let hidden = model.forward(&ids, &mut Unobserved).unwrap().hidden.unwrap();
        let rows = Array2::from_shape_vec((1, 33), ids).unwrap();
        let encoder = Encoder::open(dir.path()).unwrap();
        let x = encoder.forward(rows.view(), None).unwrap().x.index_axis_move(Axis(0), 0);
        let off = (&x - &hidden).mapv(f32::abs).fold(0.0_f32, |a, b| a.max(*b));
        assert!(off < 1e-5, "{config:?}: {off:e}");
        let logits = model.logits(&hidden).unwrap();
        if config.head == Head::Tokens {
            let exact = encoder.token_logits(rows.view()).unwrap().index_axis_move(Axis(0), 0);
            let off = (&exact - &logits.unwrap()).mapv(f32::abs).fold(0.0_f32, |a, b| a.max(*b));
            assert!(off < 1e-5, "logits of {config:?}: {off:e}");
        } else {
            assert!(logits.is_none());
        }
    }
}

#[test]
fn what_cannot_be_studied_head_by_head_is_refused() {
    let refused = |config: EncoderConfig| {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &config, &json!({}));
        Model::open(dir.path()).err().unwrap().to_string()
    };
    let linear = refused(EncoderConfig { mechanism: Mechanism::Linear, ..bytes() });
    assert!(linear.contains("key 'attention' holds \"linear\"; expected softmax"), "{linear}");
    let bare = refused(EncoderConfig { embedding_norm: false, ..bytes() });
    assert!(bare.contains("key 'embedding_norm' holds false; expected true"), "{bare}");
    assert!(refused(EncoderConfig { positions: 0, ..bytes() }).contains("key 'positions' holds 0"));
    let vectors = EncoderConfig { vocab: None, head: Head::None, ..bytes() };
    assert!(refused(vectors).contains("no key 'vocab'"));
}

/// `luna svd-spectrum` of a folder and a text, as JSON.
fn spectrum(dir: &Path, text: &Path) -> std::process::Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(["svd-spectrum", "--seq-len", "16", "--at", "4", "--windows", "1", "--format", "json"]);
    command.arg("--model").arg(dir).arg("--text").arg(text).output().unwrap()
}

#[test]
fn the_best_of_a_run_is_studied_on_bytes_without_a_tokenizer() {
    let run = tempfile::tempdir().unwrap();
    let text = run.path().join("text");
    fs::write(&text, "to be, or not to be, that is the question").unwrap();
    write(&run.path().join("best"), &bytes(), &json!({"tokens": "bytes+1"}));
    let output = spectrum(run.path(), &text);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["rows"].as_array().unwrap().len() % 6, 0, "2 layers of 3 heads");
    // The same ids by hand, as the first byte's id is 1.
    let ids: Vec<String> = fs::read(&text).unwrap().iter().map(|byte| (byte + 1).to_string()).collect();
    let tokens = run.path().join("tokens");
    fs::write(&tokens, ids.join(" ")).unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(["svd-spectrum", "--seq-len", "16", "--at", "4", "--windows", "1", "--format", "json"]);
    let output = command.arg("--model").arg(run.path()).arg("--tokens").arg(&tokens).output().unwrap();
    let by_hand: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["rows"], by_hand["rows"]);

    // Without the key a tokenizer is needed, and the line says so.
    write(&run.path().join("best"), &bytes(), &json!({}));
    let output = spectrum(run.path(), &text);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("tokenizer.json"), "{said}");
}
