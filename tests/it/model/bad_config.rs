//! Every kind of bad `config.json`, and of input that does not fit the model: one line that says what to do.

use std::fs;
use std::path::Path;

use luna::model::{Model, ModelConfig, Unobserved};
use serde_json::{Value, json};

use super::{refusal, tiny, with_config};

/// Asserts on the message for changed keys of a model's configuration.
fn refused(name: &str, changes: Value, parts: &[&str]) {
    let message = refusal(with_config(name, &changes).path());
    for part in parts {
        assert!(message.contains(part), "{changes}: {message}");
    }
}

#[test]
fn an_unknown_model_type_answers_with_the_list() {
    refused(
        "bert",
        json!({"model_type": "distilbrt"}),
        &[
            "unknown model_type 'distilbrt' (did you mean 'distilbert'?)",
            "bert, roberta, xlm-roberta, camembert, distilbert",
        ],
    );
    refused(
        "bert",
        json!({"model_type": null}),
        &["config.json': no key 'model_type'", "one of bert, roberta"],
    );
    refused("bert", json!({"model_type": 7}), &["key 'model_type' holds 7; expected one of bert"]);
}

#[test]
fn needed_keys() {
    for (name, keys) in [
        ("bert", &["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"][..]),
        ("roberta", &["intermediate_size", "max_position_embeddings"]),
        ("distilbert", &["dim", "hidden_dim", "n_heads", "n_layers"]),
        ("gpt2", &["n_embd", "n_head", "n_layer", "n_positions"]),
        ("llama-gqa", &["hidden_size", "intermediate_size", "max_position_embeddings"]),
    ] {
        for key in keys {
            let message = format!("config.json': no key '{key}'; expected a whole number from 1 to");
            refused(name, json!({*key: null}), &[&message]);
        }
    }
}

#[test]
fn values_that_make_no_model() {
    refused(
        "bert",
        json!({"hidden_size": "32"}),
        &["key 'hidden_size' holds \"32\"; expected a whole number"],
    );
    refused(
        "bert",
        json!({"hidden_size": 0}),
        &["key 'hidden_size' holds 0; expected a whole number from 1"],
    );
    refused("bert", json!({"hidden_size": -32}), &["key 'hidden_size' holds -32"]);
    refused("bert", json!({"vocab_size": 1e300}), &["key 'vocab_size' holds", "from 1 to 16777216"]);
    refused(
        "bert",
        json!({"num_hidden_layers": 1_000_000_000}),
        &["'num_hidden_layers' holds 1000000000", "10000"],
    );
    refused("bert", json!({"num_attention_heads": 5}), &["a width of 32 for 5 heads", "multiple"]);
    refused("bert", json!({"layer_norm_eps": -1.0}), &["eps is -1"]);
    refused(
        "bert",
        json!({"hidden_act": "gelo"}),
        &["unknown activation 'gelo' (did you mean 'gelu'?)", "silu"],
    );
    refused("bert", json!({"is_decoder": "no"}), &["key 'is_decoder' holds \"no\"; expected true or false"]);
    refused(
        "bert",
        json!({"position_embedding_type": "relative_key"}),
        &["key 'position_embedding_type' holds \"relative_key\"; expected absolute"],
    );
    refused(
        "roberta",
        json!({"max_position_embeddings": 2}),
        &["'max_position_embeddings' holds 2", "more than"],
    );
    refused(
        "llama-gqa",
        json!({"num_key_value_heads": 3}),
        &["'num_key_value_heads' holds 3; expected a divisor"],
    );
    refused("llama-gqa", json!({"head_dim": 7}), &["key 'head_dim' holds 7", "even width"]);
    refused("llama-gqa", json!({"partial_rotary_factor": 0.5}), &["'partial_rotary_factor' holds 0.5"]);
    refused(
        "qwen2",
        json!({"attn_logit_softcapping": 50.0}),
        &["key 'attn_logit_softcapping' holds 50.0; expected null (luna does not implement it)"],
    );
}

#[test]
fn rotary_settings() {
    refused(
        "llama-gqa",
        json!({"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarm", "factor": 2.0}}),
        &["unknown rope type 'yarm' (did you mean 'yarn'?)", "default, linear, dynamic, yarn, llama3"],
    );
    refused(
        "llama-gqa",
        json!({"rope_parameters": null, "rope_scaling": {"rope_type": "linear"}}),
        &["no key 'rope_scaling.factor'; expected a number above 0"],
    );
    let theta = json!({"rope_parameters": {"rope_theta": 0}});
    refused("llama-gqa", theta, &["key 'rope_parameters.rope_theta' holds 0; expected a number above 0"]);
    let part =
        json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5}});
    refused("llama-gqa", part, &["key 'rope_parameters.partial_rotary_factor' holds 0.5; expected 1"]);
    let layers = json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}});
    refused("llama-gqa", layers, &["'rope_parameters.full_attention' holds", "one set of rotary settings"]);
}

/// What Python writes and JSON does not have is named as what it is, and passes where it has no effect.
#[test]
fn numbers_that_only_python_writes() {
    let dir = with_config("bert", &json!({}));
    let path = dir.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"initializer_range\":0.02", "\"initializer_range\":Infinity")).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("Infinity") && Model::open(dir.path()).is_ok());
    fs::write(&path, text.replace("1e-12", "NaN")).unwrap();
    assert!(refusal(dir.path()).contains("key 'layer_norm_eps' holds \"NaN\"; expected a number"));
    fs::write(&path, text.replace("\"hidden_size\":32", "\"hidden_size\":32,\"hidden_size\":64")).unwrap();
    assert!(refusal(dir.path()).contains("'hidden_size' stands twice at line 1"), "{}", refusal(dir.path()));
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    assert!(Model::open(dir.path()).is_ok());
}

#[test]
fn text_that_is_no_configuration() {
    for text in ["", "{", "[1]", "{\"model_type\": \"bert\"", "null"] {
        let message = ModelConfig::parse(Path::new("config.json"), text).unwrap_err().to_string();
        assert!(message.starts_with("'config.json': not "), "{message}");
    }
}

#[test]
fn folders_that_are_no_models() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        refusal(dir.path())
            .contains("no config.json; expected a model folder: config.json, model.safetensors")
    );
    fs::copy(tiny("bert").join("config.json"), dir.path().join("config.json")).unwrap();
    assert!(refusal(dir.path()).contains("no model.safetensors; expected a model folder"));
    fs::write(dir.path().join("pytorch_model.bin"), "x").unwrap();
    assert!(refusal(dir.path()).contains("weights only as pytorch_model.bin"));
    assert!(refusal(&dir.path().join("nowhere")).contains("no such folder"));
    assert!(refusal(&tiny("bert").join("config.json")).contains("not a folder"));
}

#[test]
fn inputs_that_do_not_fit() {
    let refused = |model: &Model, ids: &[u32], part: &str| {
        let message = model.forward(ids, &mut Unobserved).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    let bert = Model::open(&tiny("bert")).unwrap();
    refused(&bert, &[1; 65], "the input: 65 tokens; this bert model takes 1 to 64, its positions");
    refused(&bert, &[], "the input: 0 tokens");
    refused(&bert, &[1, 97], "token 2 of the input: '97' is not accepted; accepted: ids below 97");
    let roberta = Model::open(&tiny("roberta")).unwrap();
    refused(&roberta, &[5; 65], "65 tokens; this roberta model takes 1 to 64");
    let window = |name, changes| Model::open(with_config(name, &changes).path()).unwrap();
    let mistral = window("llama-gqa", json!({"model_type": "mistral", "sliding_window": 8}));
    refused(&mistral, &[1; 9], "9 tokens; this mistral model sees 8 back (sliding_window)");
    assert!(mistral.forward(&[1; 8], &mut Unobserved).is_ok());
    let types = json!(["full_attention", "sliding_attention"]);
    let qwen2 = window("qwen2", json!({"sliding_window": 8, "layer_types": types}));
    refused(&qwen2, &[1; 9], "this qwen2 model sees 8 back");
    let old =
        json!({"sliding_window": 8, "layer_types": null, "use_sliding_window": true, "max_window_layers": 1});
    refused(&window("qwen2", old), &[1; 9], "this qwen2 model sees 8 back");
    let off = json!({"sliding_window": 8, "layer_types": null, "use_sliding_window": false});
    assert!(window("qwen2", off).forward(&[1; 9], &mut Unobserved).is_ok());
}

#[test]
fn hidden_states_of_another_width_have_no_logits() {
    let model = Model::open(&tiny("gpt2")).unwrap();
    let message = model.logits(&ndarray::Array2::zeros((2, 31))).unwrap_err().to_string();
    assert_eq!(message, "hidden states: shape [2, 31]; expected (n, d) with d = 32");
}
