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
        &["unknown model_type 'distilbrt' (did you mean 'distilbert'?)", "bert, roberta"],
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
        ("gpt_neo", &["hidden_size", "num_heads", "num_layers", "max_position_embeddings"]),
        ("opt", &["ffn_dim", "max_position_embeddings"]),
        ("gptj", &["n_embd", "n_head", "n_layer", "n_positions"]),
        ("bloom", &["hidden_size", "n_head", "n_layer", "vocab_size"]),
        ("mpt", &["d_model", "n_heads", "n_layers", "max_seq_len"]),
        ("gpt_oss", &["hidden_size", "intermediate_size"]),
    ] {
        for key in keys {
            let message = format!("config.json': no key '{key}'; expected a whole number from 1 to");
            refused(name, json!({*key: null}), &[&message]);
        }
    }
}

/// Settings that only some decoders have.
#[test]
fn settings_of_decoders() {
    for (name, changes, parts) in [
        (
            "gpt_neo",
            json!({"attention_layers": null, "attention_types": [["global", 4]]}),
            ["key 'attention_types' holds", "lists of names, each with how often it is repeated"],
        ),
        (
            "gpt_neo",
            json!({"attention_layers": null, "attention_types": [[["local"], 1_000_000_000_000_u64]]}),
            ["key 'attention_types' holds", "4 layers in all, each global or local"],
        ),
        ("gpt_neo", json!({"window_size": 0}), ["key 'window_size' holds 0", "from 1"]),
        ("gptj", json!({"rotary_dim": 5}), ["key 'rotary_dim' holds 5", "even number of the 8 elements"]),
        (
            "opt",
            json!({"word_embed_proj_dim": 16}),
            ["tensor 'model.decoder.embed_tokens.weight'", "[97, 16]"],
        ),
        (
            "bloom",
            json!({"apply_residual_connection_post_layernorm": true}),
            ["key 'apply_residual_connection_post_layernorm' holds true", "expected false"],
        ),
        (
            "mpt",
            json!({"attn_config": {"alibi_bias_max": 16}}),
            ["key 'attn_config.alibi_bias_max' holds 16", "expected 8"],
        ),
        ("mpt", json!({"attn_config": {"clip_qkv": -1}}), ["key 'attn_config.clip_qkv' holds -1", "above 0"]),
        ("gpt_oss", json!({"num_experts_per_tok": 5}), ["'num_experts_per_tok' holds 5", "at most"]),
        (
            "gpt_oss",
            json!({"quantization_config": {"quant_method": "mxfp4"}}),
            ["key 'quantization_config' holds", "load the model with dequantize=True"],
        ),
    ] {
        refused(name, changes, &parts);
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
        &[
            "unknown rope type 'yarm' (did you mean 'yarn'?)",
            "default, linear, dynamic, yarn, longrope, llama3",
        ],
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
}

#[test]
fn an_original_length_of_one_token() {
    let one = json!({"original_max_position_embeddings": 1});
    refused(
        "phi3-short",
        one,
        &["key 'original_max_position_embeddings' holds 1; expected more than 1 token"],
    );
}

/// Sliding layers without a window are no layers.
#[test]
fn windows_that_are_missing() {
    let types = json!(["full_attention", "sliding_attention"]);
    refused(
        "qwen2",
        json!({"layer_types": types, "use_sliding_window": false}),
        &["layer_types", "use_sliding_window"],
    );
    refused("llama-gqa", json!({"layer_types": types}), &["layer_types", "full_attention in every layer"]);
    let null = json!({"sliding_window": 0});
    refused("mistral-sliding", null, &["key 'sliding_window' holds 0"]);
}

#[test]
fn hidden_states_of_another_width_have_no_logits() {
    let model = Model::open(&tiny("gpt2")).unwrap();
    let message = model.logits(&ndarray::Array2::zeros((2, 31))).unwrap_err().to_string();
    assert_eq!(message, "hidden states: shape [2, 31]; expected (n, d) with d = 32");
}
