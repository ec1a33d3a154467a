//! Losses and the gradient of every tensor beside torch's autograd in float64 (tests/golden/gradients).
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use luna::attention::luna_causal::Weight;
use luna::model::encoder::{EncoderConfig, Head, Mechanism};
use luna::train::{Batch, Dropout, Network, Rates, Rows};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gradients").join(file)
}

fn config(case: &Value, sizes: &Value) -> EncoderConfig {
    let size = |name: &str| sizes[name].as_u64().unwrap() as usize;
    let tied = case["tied"].as_bool().unwrap_or(true);
    let weight = if case["w"] == "elu" { Weight::Elu } else { Weight::Softplus };
    let mechanism = match case["attention"].as_str().unwrap() {
        "softmax" => Mechanism::Softmax,
        "linformer" => Mechanism::Linformer { l: size("l_linformer"), max: size("positions") },
        "linear" => Mechanism::Linear,
        "luna" => Mechanism::Luna { l: size("l_luna"), tied },
        "luna-causal" => Mechanism::LunaCausal { l: size("l_luna"), tied, weight },
        other => panic!("{other}"),
    };
    let language = case["task"] == "lm";
    EncoderConfig {
        vocab: Some(size("vocab")),
        positions: size("positions"),
        embedding_norm: true,
        pre_norm: case["pre_norm"].as_bool().unwrap(),
        causal: language,
        head: if language { Head::Tokens } else { Head::Classes(size("classes")) },
        ..EncoderConfig::new(mechanism, size("d"), size("heads"), size("ffn"), size("layers"))
    }
}

fn batch(case: &Value) -> Batch {
    let number = |value: &Value| value.as_u64().unwrap() as u32;
    let tokens = case["tokens"].as_array().unwrap();
    let lengths = tokens.iter().map(|sequence| sequence.as_array().unwrap().len());
    let flat = |value: &Value| -> Vec<u32> {
        let each = value.as_array().unwrap().iter();
        each.flat_map(|item| match item.as_array() {
            Some(items) => items.iter().map(number).collect(),
            None => vec![number(item)],
        })
        .collect()
    };
    Batch { ids: flat(&case["tokens"]), rows: Rows::of(lengths), targets: flat(&case["targets"]) }
}

#[test]
fn losses_and_gradients_are_those_of_torch() {
    let cases: Value = serde_json::from_str(&fs::read_to_string(golden("cases.json")).unwrap()).unwrap();
    let bytes = fs::read(golden("tensors.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str| {
        let view = file.tensor(name).unwrap();
        let numbers: Vec<f32> =
            view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        ArrayD::from_shape_vec(IxDyn(view.shape()), numbers).unwrap()
    };
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let network = Network::new(&config(case, &cases["sizes"])).unwrap();
        let names: Vec<String> = network.layout().entries().iter().map(|entry| entry.name.clone()).collect();
        let of_case = file.names().into_iter().filter(|at| at.starts_with(&format!("{name}/"))).count();
        assert_eq!(names.len(), of_case, "{name}: the same tensors");
        let weights: BTreeMap<_, _> =
            names.iter().map(|at| (at.clone(), tensor(&format!("weight/{at}")))).collect();
        let numbers = network.layout().gather(Path::new("golden"), &weights).unwrap();
        let batch = batch(case);
        let smoothing = case["label_smoothing"].as_f64().unwrap_or(0.0);
        let rates = Rates { dropout: Dropout::OFF, smoothing };
        let mut gradients = vec![0.0; numbers.len()];
        let weight = 1.0 / batch.targets.len() as f32;
        let sums = network.learn(&numbers, &mut gradients, weight, &batch, rates).unwrap();
        let loss = sums.objective / sums.count as f64;
        assert!((loss - case["loss"].as_f64().unwrap()).abs() < 2e-6, "{name}: loss {loss}");
        assert_eq!(sums.nats, network.evaluate(&numbers, &batch).unwrap().nats, "{name}");
        for (at, found) in network.layout().tensors(&gradients) {
            let expected = tensor(&format!("{name}/{at}"));
            let size = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let off = (&found - &expected).iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            assert!(off <= 2e-5 * size + 2e-7, "{name} {at}: off by {off} of {size}");
            compared += 1;
        }
    }
    assert!(compared > 400, "{compared}");
}
