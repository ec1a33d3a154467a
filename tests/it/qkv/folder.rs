//! Folders with a file for each layer of each forward pass: the figures of the model that they are of, and bad folders.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use luna::attention::{HeadTerms, Window};
use luna::model::{HeadTap, Model};
use ndarray::{Array2, ArrayD, Axis, stack};
use safetensors::{Dtype, serialize, tensor::TensorView};

use super::{SPECTRUM, json, random, refused, same_rows, stored};
use crate::model::{Everything, tiny};

const N: usize = 24;

fn ids(window: usize) -> Vec<u32> {
    (0..N).map(|i| 3 + ((i * 7 + window * 13) % 60) as u32).collect()
}

/// Writes arrays and what their softmax does with them.
fn write(path: &Path, arrays: &[(&str, ArrayD<f64>)], facts: &[(&str, String)]) {
    let bytes: Vec<_> = arrays.iter().map(|(_, a)| stored(a, Dtype::F32).1).collect();
    let views = arrays
        .iter()
        .zip(&bytes)
        .map(|((name, a), bytes)| (*name, TensorView::new(Dtype::F32, a.shape().to_vec(), bytes).unwrap()));
    let facts: HashMap<String, String> =
        facts.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
    fs::write(path, serialize(views, Some(facts)).unwrap()).unwrap();
}

/// The heads of a layer as (1, 1, heads, rows, columns).
fn heads(taps: &[&HeadTap], every: usize, pick: impl Fn(&HeadTap) -> Array2<f32>) -> ArrayD<f64> {
    let own: Vec<_> = taps.iter().step_by(every).map(|tap| pick(tap).mapv(f64::from)).collect();
    let views: Vec<_> = own.iter().map(|a| a.view()).collect();
    stack(Axis(0), &views).unwrap().insert_axis(Axis(0)).insert_axis(Axis(0)).into_dyn()
}

/// Writes the heads of a model over some windows, a forward pass each.
fn captured(model: &Model, windows: usize, folder: &Path) {
    let config = model.config();
    for pass in 0..windows {
        let mut seen = Everything::default();
        model.forward(&ids(pass), &mut seen).unwrap();
        for layer in 0..config.layers {
            let taps: Vec<&HeadTap> = seen.0.iter().filter(|tap| tap.layer == layer).collect();
            let share = config.heads / config.kv_heads;
            let mut arrays = vec![
                ("q", heads(&taps, 1, |tap| tap.q.clone())),
                ("k", heads(&taps, share, |tap| tap.k.clone())),
                ("v", heads(&taps, share, |tap| tap.v.clone())),
            ];
            let HeadTerms { softcap, bias, sink, .. } = &taps[0].terms;
            if bias.is_some() {
                let bias = |tap: &HeadTap| tap.terms.bias.clone().unwrap().insert_axis(Axis(0));
                arrays.push(("bias", heads(&taps, 1, bias)));
            }
            if sink.is_some() {
                arrays.push((
                    "sink",
                    heads(&taps, 1, |tap| Array2::from_elem((1, 1), tap.terms.sink.unwrap())),
                ));
            }
            let mask = match (taps[0].causal, config.window(layer)) {
                (true, None) => "causal".into(),
                (true, Some(Window { back, .. })) => format!("causal,window:back={back}"),
                (false, None) => "full".into(),
                (false, Some(Window { back, ahead })) => format!("window:back={back},ahead={ahead}"),
            };
            let mut facts = vec![("mask", mask), ("scale", taps[0].scale.to_string())];
            facts.extend(softcap.map(|softcap| ("softcap", softcap.to_string())));
            write(&folder.join(format!("pass-{pass}-layer-{layer}.safetensors")), &arrays, &facts);
        }
    }
}

#[test]
fn the_heads_of_a_model_are_the_same_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("ids.json");
    let all: Vec<u32> = (0..2).flat_map(ids).collect();
    fs::write(&tokens, serde_json::to_string(&all).unwrap()).unwrap();
    let error = ["approx-error", "--l=4", "--mechanism", "svd", "--aggregate=no"];
    let spectrum = ["svd-spectrum", "--at=4", "--aggregate=no", "--null-draws=2"];
    for (name, args, said) in [
        ("llama-gqa", &spectrum[..], ""),
        ("llama-gqa", &error, ""),
        ("gemma2", &spectrum, "layers slide (window 12)"),
        ("gemma2", &error, ""),
        ("gpt_oss", &spectrum, "attention sinks"),
        ("t5-encoder", &spectrum, ""),
        ("modernbert", &spectrum, "window"),
    ] {
        let heads = folder.path().join(name);
        if !heads.exists() {
            fs::create_dir(&heads).unwrap();
            captured(&Model::open(&tiny(name)).unwrap(), 2, &heads);
        }
        let model = tiny(name);
        let input = ["--model", model.to_str().unwrap(), "--tokens", tokens.to_str().unwrap()];
        let windows = ["--seq-len=24", "--windows=2", "--stride=contiguous"];
        let expected = json(&[args, &input, &windows].concat());
        let found = json(&[args, &["--qkv", heads.to_str().unwrap()]].concat());
        same_rows(&found, &expected, 1e-5);
        for (one, other) in found["rows"].as_array().unwrap().iter().zip(expected["rows"].as_array().unwrap())
        {
            assert_eq!(one["mask"], other["mask"], "{name}");
        }
        assert!(found["notes"].to_string().contains(said), "{name}: {}", found["notes"]);
    }
    // Layers by their mask, and by number.
    let gemma = folder.path().join("gemma2");
    let of = |more: &[&str]| {
        let found = json(&[&SPECTRUM[..], &["--qkv", gemma.to_str().unwrap()], more].concat());
        let layers = found["rows"].as_array().unwrap().iter().map(|row| row["layer"].as_u64().unwrap());
        let mut layers: Vec<u64> = layers.collect();
        layers.dedup();
        layers
    };
    let (full, sliding) = (of(&["--layers", "full"]), of(&["--layers", "sliding"]));
    assert!(!full.is_empty() && !sliding.is_empty() && full.len() + sliding.len() == of(&[]).len());
    // The option overrides what the files say.
    let args = [&SPECTRUM[..], &["--qkv", gemma.to_str().unwrap(), "--layers=0"]].concat();
    let plain = json(&args);
    let other = json(&[&args[..], &["--qkv-softcap", "0.5"]].concat());
    assert_ne!(plain["rows"], other["rows"]);
    assert_eq!(other["stamp"]["softcap"], 0.5);
}

#[test]
fn folders_that_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("heads");
    fs::create_dir(&dir).unwrap();
    let path = dir.to_str().unwrap();
    let args = [&SPECTRUM[..], &["--qkv", path]].concat();
    let of = |more: &[&'static str], parts: &[&str]| refused(&[&args[..], more].concat(), 1, parts);
    let file = |name: &str, heads: usize, facts: &[(&str, &str)]| {
        let arrays = ["q", "k"].map(|name| (name, random(name, &[1, 1, heads, 6, 4])));
        let facts: Vec<_> = facts.iter().map(|(key, value)| (*key, (*value).to_string())).collect();
        write(&dir.join(name), &arrays, &facts);
    };
    of(&[], &["heads': no file 'pass-0-layer-0.safetensors'"]);
    file("pass-0-layer-2.safetensors", 2, &[("mask", "causal")]);
    file("pass-0-layer-5.safetensors", 2, &[("mask", "causal,window:back=2")]);
    let found = json(&args);
    assert_eq!(found["stamp"]["mask"][5], "causal, window 3");
    assert_eq!(found["rows"].as_array().unwrap().len(), 4);
    of(&["--layers=3"], &["--layers: '3'", "accepted: 2, 5"]);
    of(&["--layers=6"], &["--layers: '6'"]);
    file("pass-1-layer-2.safetensors", 2, &[("mask", "causal")]);
    of(&[], &["no file 'pass-1-layer-5.safetensors'"]);
    file("pass-1-layer-5.safetensors", 2, &[("mask", "causal")]);
    of(&[], &["pass-1-layer-5.safetensors': ", "another mask (causal)"]);
    file("pass-1-layer-5.safetensors", 3, &[("mask", "causal,window:back=2")]);
    of(&[], &["pass-1-layer-5.safetensors': ", "other sizes"]);
    file("pass-1-layer-5.safetensors", 2, &[("mask", "causl")]);
    of(&[], &["mask of '", "pass-1-layer-5.safetensors': 'causl' is not accepted"]);
    file("pass-1-layer-5.safetensors", 2, &[("mask", "causal,window:back=2"), ("scale", "wide")]);
    of(&[], &["scale of '", "'wide' is not accepted; accepted: a number"]);
    file("pass-1-layer-5.safetensors", 2, &[("mask", "causal,window:back=2"), ("softcap", "-1")]);
    of(&[], &["softcap of '", "'-1' is not accepted; accepted: a finite number above 0"]);
    fs::remove_file(dir.join("pass-1-layer-5.safetensors")).unwrap();
    file("pass-1-layer-7.safetensors", 2, &[]);
    of(&[], &["no file 'pass-0-layer-7.safetensors'"]);
    fs::write(dir.join("pass-1-layer-7.safetensors"), b"short").unwrap();
    file("pass-0-layer-7.safetensors", 2, &[]);
    file("pass-1-layer-5.safetensors", 2, &[("mask", "causal,window:back=2")]);
    of(&[], &["pass-1-layer-7.safetensors': "]);
    refused(&["svd-spectrum", "--qkv-softcap=1"], 2, &["required", "--qkv <FILE|DIR>"]);
}
