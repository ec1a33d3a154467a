//! One model in every layout that its file may have: the same figures come out.

use std::fs;

use half::{bf16, f16};
use luna::model::{Model, ModelConfig, Unobserved};
use safetensors::Dtype;
use serde_json::json;

use super::golden::folders;
use super::{
    Expected, Raw, Raws, compare, raws, refusal, set_config, tiny, with_config, with_tensors, write_raws,
};

/// Opens a changed copy and compares it with the figures of the unchanged one.
fn same(name: &str, change: impl FnOnce(Raws) -> Raws) {
    let dir = with_tensors(name, change);
    compare(&Model::open(dir.path()).unwrap(), &Expected::read(name), 1e-5, 1e-4);
}

fn renamed(raws: Raws, name: impl Fn(&str) -> String) -> Raws {
    raws.into_iter().map(|(old, raw)| (name(&old), raw)).collect()
}

#[test]
fn with_a_prefix() {
    for (name, prefix) in [("bert", "bert."), ("roberta", "roberta."), ("distilbert", "distilbert.")] {
        same(name, |raws| renamed(raws, |old| format!("{prefix}{old}")));
    }
}

#[test]
fn without_a_prefix() {
    for (name, prefix) in [("bert-mlm", "bert."), ("gpt2", "transformer."), ("llama-gqa", "model.")] {
        same(name, |raws| renamed(raws, |old| old.trim_start_matches(prefix).to_string()));
    }
}

/// The decoder of Gemma 3 as the hub has it, inside a model of images and text whose file leaves out what its class has.
#[test]
fn a_decoder_in_a_model_of_images_and_text() {
    let name = "gemma3-wrapped";
    same(name, |raws| renamed(raws, |old| old.replace("language_model.model.", "model.language_model.")));
    let text = fs::read_to_string(tiny(name).join("config.json")).unwrap();
    let without = |key: &str| {
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["text_config"].as_object_mut().unwrap().remove(key).unwrap();
        ModelConfig::parse(&tiny(name), &config.to_string())
    };
    let found = without("vocab_size").unwrap();
    assert_eq!((found.heads, found.kv_heads, found.d_h), (8, 4, 10));
    assert_eq!((found.positions, found.vocab), (131_072, 262_208));
    assert_eq!(without("head_dim").unwrap().d_h, 256);
    for key in ["hidden_size", "intermediate_size", "num_hidden_layers"] {
        let message = without(key).unwrap_err().to_string();
        assert!(message.contains(&format!("no key 'text_config.{key}'")), "{message}");
    }
}

#[test]
fn with_gamma_and_beta() {
    let old = |name: &str| {
        let gain = name.replace("LayerNorm.weight", "LayerNorm.gamma");
        gain.replace("LayerNorm.bias", "LayerNorm.beta")
    };
    same("bert", |raws| renamed(raws, |name| format!("bert.{}", old(name))));
}

#[test]
fn with_tensors_that_have_no_part_in_attention() {
    let extra = |dtype, shape: Vec<usize>, bytes| Raw { dtype, shape, bytes: vec![0; bytes] };
    same("bert", |mut raws| {
        raws.insert("embeddings.position_ids".into(), extra(Dtype::I64, vec![1, 64], 512));
        raws.insert("classifier.weight".into(), extra(Dtype::F32, vec![2, 32], 256));
        raws.insert("cls.seq_relationship.bias".into(), extra(Dtype::F32, vec![2], 8));
        raws
    });
    same("gpt2", |mut raws| {
        raws.insert("transformer.h.0.attn.bias".into(), extra(Dtype::U8, vec![1, 1, 64, 64], 4096));
        raws.insert("transformer.h.1.attn.masked_bias".into(), extra(Dtype::F32, vec![], 4));
        raws
    });
    same("llama-gqa", |mut raws| {
        let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
        raws.insert(name.into(), extra(Dtype::F32, vec![4], 16));
        raws
    });
}

/// A copy of an f32 tensor in another type.
fn converted(raw: &Raw, dtype: Dtype, bytes: impl Fn(f32) -> [u8; 2]) -> Raw {
    let numbers = super::chunks(&raw.bytes).map(f32::from_le_bytes);
    Raw { dtype, shape: raw.shape.clone(), bytes: numbers.flat_map(bytes).collect() }
}

/// Half-precision weights give what their values give when they are written as f32.
fn half_precision(name: &str, dtype: Dtype, narrow: fn(f32) -> [u8; 2], wide: fn([u8; 2]) -> f32) {
    let narrowed = |raws: &Raws| -> Raws {
        raws.iter().map(|(name, raw)| (name.clone(), converted(raw, dtype, narrow))).collect()
    };
    let widened = |raws: Raws| -> Raws {
        let wide = |raw: &Raw| super::chunks(&raw.bytes).flat_map(|two| wide(two).to_le_bytes()).collect();
        let raw = |raw: Raw| Raw { dtype: Dtype::F32, bytes: wide(&raw), shape: raw.shape };
        raws.into_iter().map(|(name, r)| (name, raw(r))).collect()
    };
    let half = with_tensors(name, |raws| narrowed(&raws));
    let full = with_tensors(name, |raws| widened(narrowed(&raws)));
    let expected = Expected::read(name);
    let fed = expected.fed();
    let run = |dir: &tempfile::TempDir| {
        let model = Model::open(dir.path()).unwrap();
        let hidden = model.run(fed.input(), &mut Unobserved, None).unwrap().hidden.unwrap();
        let logits = model.logits(&hidden).unwrap();
        (hidden, logits)
    };
    assert_eq!(run(&half), run(&full), "{name} as {dtype:?}");
}

#[test]
fn in_half_precision() {
    for name in folders() {
        half_precision(
            &name,
            Dtype::F16,
            |x| f16::from_f32(x).to_le_bytes(),
            |x| f16::from_le_bytes(x).to_f32(),
        );
        half_precision(
            &name,
            Dtype::BF16,
            |x| bf16::from_f32(x).to_le_bytes(),
            |x| bf16::from_le_bytes(x).to_f32(),
        );
    }
}

/// Weights in float64, as numpy writes them, are rounded to the f32 that they were made from.
#[test]
fn in_double_precision() {
    for name in folders() {
        same(&name, |raws| {
            let wide = |raw: &Raw| {
                let numbers = super::chunks(&raw.bytes).map(|four| f64::from(f32::from_le_bytes(four)));
                let bytes = numbers.flat_map(f64::to_le_bytes).collect();
                Raw { dtype: Dtype::F64, shape: raw.shape.clone(), bytes }
            };
            raws.iter().map(|(name, raw)| (name.clone(), wide(raw))).collect()
        });
    }
}

/// f16 moves these weights (drawn large) by 5e-4 of their size, so the figures stay near the f32 ones.
#[test]
fn half_precision_is_near_full_precision() {
    let dir = with_tensors("llama-gqa", |raws| {
        let f16 = |raw: &Raw| converted(raw, Dtype::F16, |x| f16::from_f32(x).to_le_bytes());
        raws.iter().map(|(name, raw)| (name.clone(), f16(raw))).collect()
    });
    compare(&Model::open(dir.path()).unwrap(), &Expected::read("llama-gqa"), 5e-3, 2e-2);
}

#[test]
fn in_shards() {
    for name in &folders() {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(tiny(name).join("config.json"), dir.path().join("config.json")).unwrap();
        let mut shards = [Raws::new(), Raws::new(), Raws::new()];
        let mut map = serde_json::Map::new();
        for (i, (tensor, raw)) in raws(name).into_iter().enumerate() {
            map.insert(tensor.clone(), json!(format!("model-{}.safetensors", i % 3)));
            shards[i % 3].insert(tensor, raw);
        }
        for (i, shard) in shards.iter().enumerate() {
            write_raws(&dir.path().join(format!("model-{i}.safetensors")), shard);
        }
        let index = json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
        fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
        let expected = Expected::read(name);
        let fed = expected.fed();
        let run = |dir: &std::path::Path| {
            Model::open(dir).unwrap().run(fed.input(), &mut Unobserved, None).unwrap().hidden
        };
        assert_eq!(run(dir.path()), run(&tiny(name)));
    }
}

/// Every tensor of every family is needed and then named where it is missing or of another shape, or the model runs
/// without it.
#[test]
fn without_each_tensor_or_with_another_shape() {
    for name in folders() {
        let (all, expected) = (raws(&name), Expected::read(&name));
        let fed = expected.fed();
        let mut needed = 0;
        for tensor in all.keys() {
            for reshaped in [false, true] {
                let dir = with_tensors(&name, |mut raws| {
                    if reshaped {
                        raws.get_mut(tensor).unwrap().shape.push(1);
                    } else {
                        raws.remove(tensor);
                    }
                    raws
                });
                match Model::open(dir.path()) {
                    Ok(model) => drop(model.run(fed.input(), &mut Unobserved, None).unwrap()),
                    Err(error) => {
                        let text = error.to_string();
                        // Without its prefix, and by the newer words for gain and shift.
                        let layer = tensor.rsplit('.').nth(1).unwrap();
                        assert!(text.contains(layer) && !text.contains('\n'), "{name} {tensor}: {text}");
                        needed += usize::from(!reshaped);
                    }
                }
            }
        }
        assert!(needed > 10, "{name}: {needed} of {} tensors are needed", all.len());
    }
}

/// Adds a tensor of a model's width.
fn with_another(mut raws: Raws, name: &str) -> Raws {
    let vector = raws.values().find(|raw| raw.shape.len() == 1).unwrap().clone();
    raws.insert(name.into(), vector);
    raws
}

#[test]
fn the_decoder_of_a_whole_t5_is_left_out() {
    let name = "decoder.block.0.layer.1.EncDecAttention.q.weight";
    same("t5-encoder", |raws| with_another(raws, name));
    let dir = with_tensors("t5-encoder", |raws| with_another(raws, name));
    let notes = Model::open(dir.path()).unwrap().notes();
    assert_eq!(notes, ["the encoder is computed; tensors of the decoder, not used: 1"]);
    let dir = with_tensors("bert", |raws| with_another(raws, name));
    assert!(refusal(dir.path()).contains(name));
}

/// Its transformation has the names of a masked-token head.
#[test]
fn a_classifier_of_modernbert_has_no_logits() {
    let dir = with_tensors("modernbert", |mut raws| {
        raws.remove("decoder.bias").unwrap();
        with_another(raws, "classifier.bias")
    });
    let (model, ids) = (Model::open(dir.path()).unwrap(), Expected::read("modernbert").ids());
    let hidden = model.forward(&ids, &mut Unobserved).unwrap().hidden.unwrap();
    assert!(model.logits(&hidden).unwrap().is_none());
    let whole = Model::open(&tiny("modernbert")).unwrap();
    assert!(whole.logits(&hidden).unwrap().is_some());
}

#[test]
fn mistral_is_llama_by_another_name() {
    let changes = json!({"model_type": "mistral", "sliding_window": 64, "head_dim": null});
    let dir = with_config("llama-gqa", &changes);
    let model = Model::open(dir.path()).unwrap();
    assert_eq!(model.family().name, "mistral");
    compare(&model, &Expected::read("llama-gqa"), 1e-5, 1e-4);
}

/// BERT's masked-token model under the two other encoders' names and conventions: the same logits.
#[test]
fn masked_token_heads_of_three_families_agree() {
    let expected = Expected::read("bert-mlm");
    let add = |table: &mut Raw, segment: &Raw| {
        let segment: Vec<f32> = super::chunks(&segment.bytes[..128]).map(f32::from_le_bytes).collect();
        let sum = super::chunks(&table.bytes).map(f32::from_le_bytes).zip(segment.iter().cycle());
        table.bytes = sum.flat_map(|(a, b)| (a + b).to_le_bytes()).collect();
    };
    let words = [
        ("bert.encoder.layer", "transformer.layer"),
        ("bert.embeddings", "embeddings"),
        ("attention.self.query", "attention.q_lin"),
        ("attention.self.key", "attention.k_lin"),
        ("attention.self.value", "attention.v_lin"),
        ("attention.output.dense", "attention.out_lin"),
        ("attention.output.LayerNorm", "sa_layer_norm"),
        ("intermediate.dense", "ffn.lin1"),
        ("output.dense", "ffn.lin2"),
        ("output.LayerNorm", "output_layer_norm"),
        ("cls.predictions.transform.dense", "vocab_transform"),
        ("cls.predictions.transform.LayerNorm", "vocab_layer_norm"),
        ("cls.predictions.bias", "vocab_projector.bias"),
    ];
    let dir = with_tensors("bert-mlm", |mut raws| {
        let segment = raws.remove("bert.embeddings.token_type_embeddings.weight").unwrap();
        add(raws.get_mut("bert.embeddings.position_embeddings.weight").unwrap(), &segment);
        renamed(raws, |name| words.iter().fold(name.to_string(), |name, (old, new)| name.replace(old, new)))
    });
    let keys = json!({"model_type": "distilbert", "dim": 32, "hidden_dim": 64, "n_heads": 4, "n_layers": 2});
    set_config(dir.path(), &keys);
    compare(&Model::open(dir.path()).unwrap(), &expected, 1e-5, 1e-4);

    let head = [
        ("bert.", "roberta."),
        ("cls.predictions.transform.dense", "lm_head.dense"),
        ("cls.predictions.transform.LayerNorm", "lm_head.layer_norm"),
        ("cls.predictions.bias", "lm_head.bias"),
    ];
    let dir = with_tensors("bert-mlm", |mut raws| {
        let table = raws.get_mut("bert.embeddings.position_embeddings.weight").unwrap();
        table.bytes = [vec![0; 99 * 128], table.bytes.clone()].concat();
        table.shape[0] += 99;
        renamed(raws, |name| head.iter().fold(name.to_string(), |name, (old, new)| name.replace(old, new)))
    });
    // A padding id beyond the vocabulary, so that no token of the input is one.
    set_config(
        dir.path(),
        &json!({"model_type": "roberta", "pad_token_id": 98, "max_position_embeddings": 163}),
    );
    let model = Model::open(dir.path()).unwrap();
    assert_eq!(model.config().positions, 64);
    compare(&model, &expected, 1e-5, 1e-4);
}

/// GPT-2's switches change the scale of the logits; a decoder of BERT's kind is causal.
#[test]
fn switches_of_the_configuration() {
    let changes = json!({"scale_attn_by_inverse_layer_idx": true, "reorder_and_upcast_attn": true});
    let dir = with_config("gpt2", &changes);
    let model = Model::open(dir.path()).unwrap();
    assert_eq!(model.config().scale(1), model.config().scale(0) / 2.0);
    let dir = with_config("gpt2", &json!({"scale_attn_weights": false}));
    assert_eq!(Model::open(dir.path()).unwrap().config().scale(1), 1.0);
    let dir = with_config("bert", &json!({"is_decoder": true}));
    let mut seen = super::Everything::default();
    Model::open(dir.path()).unwrap().forward(&[3, 4, 5], &mut seen).unwrap();
    assert!(seen.0.iter().all(|tap| tap.causal && tap.matrix.as_ref().unwrap()[[0, 1]] == 0.0));
}

#[test]
fn rotary_settings_stand_in_either_place() {
    let hidden = |changes: serde_json::Value| {
        let dir = with_config("llama-gqa", &changes);
        let model = Model::open(dir.path()).unwrap();
        model.forward(&Expected::read("llama-gqa").ids(), &mut Unobserved).unwrap().hidden.unwrap()
    };
    let plain = hidden(json!({}));
    let old = json!({"rope_parameters": null, "rope_theta": 10000.0, "rope_scaling": null});
    assert_eq!(hidden(old), plain);
    let theta = hidden(json!({"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}));
    assert_eq!(hidden(json!({"rope_parameters": null, "rope_theta": 500})), theta);
    assert_ne!(theta, plain);
    let linear = hidden(json!({"rope_parameters": null, "rope_scaling": {"type": "linear", "factor": 2.0}}));
    assert_ne!(linear, plain);
    let llama3 = json!({
        "rope_theta": 10000.0, "rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
    });
    assert_ne!(hidden(json!({"rope_parameters": llama3})), plain);
}
