//! The memory that a model of three billion parameters takes: its weights are read from the mapped files, layer by layer.
#![cfg(target_os = "linux")] // reads /proc
#![allow(clippy::print_stdout)] // says how much

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use luna::profile::clock::Stopwatch;
use safetensors::{Dtype, serialize_to_file, tensor::TensorView};
use serde_json::json;

const D: usize = 3072;
const KEYS: usize = 1024;
const FFN: usize = 8192;
const VOCAB: usize = 128_256;
const LAYERS: usize = 28;

/// Random weights in bfloat16 in the sizes of Llama 3.2 3B, one file for each layer.
fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        half::bf16::from_f32(((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.035).to_bits()
    };
    // All tensors are parts of one, each from another place.
    let numbers: Vec<u16> = (0..VOCAB * D + LAYERS * 64).map(|_| next()).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let ones: Vec<u8> = [half::bf16::ONE.to_le_bytes(); D].concat();
    let mut map = serde_json::Map::new();
    let mut shard = |file: String, first: usize, tensors: Vec<(String, Vec<usize>)>| {
        let view = |shape: &Vec<usize>| {
            let length = 2 * shape.iter().product::<usize>();
            let data =
                if shape.len() == 1 { &ones[..length] } else { &bytes[128 * first..128 * first + length] };
            TensorView::new(Dtype::BF16, shape.clone(), data).unwrap()
        };
        map.extend(tensors.iter().map(|(name, _)| (name.clone(), json!(file))));
        let views = tensors.iter().map(|(name, shape)| (name.as_str(), view(shape)));
        serialize_to_file(views, None, &folder.join(&file)).unwrap();
    };
    let outside = [("embed_tokens", vec![VOCAB, D]), ("norm", vec![D])];
    let named = |(name, shape): (&str, Vec<usize>)| (format!("model.{name}.weight"), shape);
    shard("outside.safetensors".into(), 0, outside.into_iter().map(named).collect());
    for layer in 0..LAYERS {
        let tensors = [
            ("self_attn.q_proj", vec![D, D]),
            ("self_attn.k_proj", vec![KEYS, D]),
            ("self_attn.v_proj", vec![KEYS, D]),
            ("self_attn.o_proj", vec![D, D]),
            ("mlp.gate_proj", vec![FFN, D]),
            ("mlp.up_proj", vec![FFN, D]),
            ("mlp.down_proj", vec![D, FFN]),
            ("input_layernorm", vec![D]),
            ("post_attention_layernorm", vec![D]),
        ];
        let named = |(name, shape)| (format!("model.layers.{layer}.{name}.weight"), shape);
        shard(format!("layer-{layer:02}.safetensors"), layer, tensors.into_iter().map(named).collect());
    }
    let index = json!({"metadata": {}, "weight_map": map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": D, "intermediate_size": FFN,
        "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128, "num_hidden_layers": LAYERS,
        "vocab_size": VOCAB, "max_position_embeddings": 131_072, "rope_theta": 500_000.0, "rms_norm_eps": 1e-5,
        "hidden_act": "silu", "tie_word_embeddings": true, "torch_dtype": "bfloat16",
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let ids: Vec<usize> = (0..512).map(|i| i * 7919 % VOCAB).collect();
    fs::write(folder.join("ids.json"), json!(ids).to_string()).unwrap();
}

/// A number of kilobytes that the kernel states of a process; `None` when it has ended.
fn kilobytes(id: u32, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse().ok()
}

/// The folder that `LUNA_BIG` names receives 6.4 GB once, and keeps them.
#[test]
#[ignore = "writes 6.4 GB to the folder that LUNA_BIG names, and runs for minutes"]
fn three_billion_parameters_in_less_than_a_gigabyte() {
    let folder = env::var("LUNA_BIG").expect("LUNA_BIG names a folder");
    let folder = Path::new(&folder);
    if !folder.join("ids.json").exists() {
        write(folder);
    }
    let began = Stopwatch::start();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("luna"))
        .args([
            "svd-spectrum",
            "--quiet",
            "--seq-len=512",
            "--windows=1",
            "--layers=0,27",
            "--null=none",
            "--threads=2",
        ])
        .args(["--format", "csv", "--model"])
        .arg(folder)
        .arg("--tokens")
        .arg(folder.join("ids.json"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak = [0; 2];
    while child.try_wait().unwrap().is_none() {
        for (peak, what) in peak.iter_mut().zip(["RssAnon", "VmRSS"]) {
            *peak = (*peak).max(kilobytes(child.id(), what).unwrap_or(0));
        }
        sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let [own, all] = peak.map(|kilobytes| kilobytes as f64 / f64::from(1 << 20));
    println!("{own:.2} GiB of its own, {all:.2} GiB with mapped pages, {:.0} s", began.seconds());
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1 + 2 * 24);
    assert!(own > 0.05 && own < 1e9 / f64::from(1 << 30), "{own:.2} GiB");
}
