//! Losses and the gradient of every tensor beside torch's autograd in float64 (tests/golden/gradients).
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use luna::attention::luna_causal::{Average, Packing, Weight};
use luna::model::Named;
use luna::network::translator::{DecoderAttention, TranslatorConfig};
use luna::network::{EncoderConfig, Head, Mechanism};
use luna::train::{Batch, Dropout, Layout, Network, Pairs, Rates, Rows, Translator};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gradients").join(file)
}

fn weight(case: &Value) -> Weight {
    if case["w"] == "elu" { Weight::Elu } else { Weight::Softplus }
}

fn config(case: &Value, sizes: &Value) -> EncoderConfig {
    let size = |name: &str| sizes[name].as_u64().unwrap() as usize;
    let tied = case["tied"].as_bool().unwrap_or(true);
    let average = match &case["decay"] {
        Value::Null => Average::Mean,
        Value::String(_) => Average::Learned,
        decay => Average::Decaying(decay.as_f64().unwrap()),
    };
    let packing = Packing { weight: weight(case), average };
    let mechanism = match case["attention"].as_str().unwrap() {
        "softmax" => Mechanism::Softmax,
        "linformer" => Mechanism::Linformer { l: size("l_linformer"), max: size("positions") },
        "linear" => Mechanism::Linear,
        "luna" => Mechanism::Luna { l: size("l_luna"), tied },
        "luna-causal" => Mechanism::LunaCausal { l: size("l_luna"), tied, packing },
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

/// Sequences of tokens behind each other, and which are whose.
fn side_by_side(sequences: &Value) -> (Vec<u32>, Rows) {
    let sequences = sequences.as_array().unwrap().iter().map(|sequence| sequence.as_array().unwrap());
    let rows = Rows::of(sequences.clone().map(Vec::len));
    (sequences.flatten().map(number).collect(), rows)
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap() as u32
}

fn batch(case: &Value) -> Batch {
    let (ids, rows) = side_by_side(&case["tokens"]);
    let targets = match &case["targets"][0] {
        Value::Array(_) => side_by_side(&case["targets"]).0,
        _ => case["targets"].as_array().unwrap().iter().map(number).collect(),
    };
    Batch { ids, rows, targets }
}

/// Networks of one file: their sizes and cases, and torch's tensors.
struct Cases {
    facts: Value,
    bytes: Vec<u8>,
}

impl Cases {
    fn read(facts: &str, tensors: &str) -> Self {
        let facts = serde_json::from_str(&fs::read_to_string(golden(facts)).unwrap()).unwrap();
        Self { facts, bytes: fs::read(golden(tensors)).unwrap() }
    }

    fn each(&self) -> impl Iterator<Item = (&str, &Value)> {
        let cases = self.facts["cases"].as_array().unwrap().iter();
        cases.map(|case| (case["name"].as_str().unwrap(), case))
    }

    fn file(&self) -> safetensors::SafeTensors<'_> {
        safetensors::SafeTensors::deserialize(&self.bytes).unwrap()
    }

    fn tensor(&self, name: &str) -> ArrayD<f32> {
        let file = self.file();
        let view = file.tensor(name).unwrap();
        let numbers: Vec<f32> =
            view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        ArrayD::from_shape_vec(IxDyn(view.shape()), numbers).unwrap()
    }

    /// The weights of a case, as a network lays them out: the same tensors, none more.
    fn numbers(&self, name: &str, layout: &Layout) -> Vec<f32> {
        let names: Vec<String> = layout.entries().iter().map(|entry| entry.name.clone()).collect();
        let file = self.file();
        let of_case = file.names().into_iter().filter(|at| at.starts_with(&format!("{name}/"))).count();
        assert_eq!(names.len(), of_case, "{name}: the same tensors");
        let weights: BTreeMap<_, _> =
            names.iter().map(|at| (at.clone(), self.tensor(&format!("weight/{at}")))).collect();
        Named::new(Path::new("golden"), weights).gather(layout).unwrap()
    }

    /// Holds the loss and every tensor's gradient against torch's, but for `noise` of rounding in sums that cancel; how many
    /// there were.
    fn compare(&self, name: &str, loss: f64, layout: &Layout, gradients: &[f32], noise: f32) -> usize {
        let case = self.each().find(|(case, _)| *case == name).unwrap().1;
        assert!((loss - case["loss"].as_f64().unwrap()).abs() < 2e-6, "{name}: loss {loss}");
        let found = layout.tensors(gradients);
        for (at, found) in &found {
            let expected = self.tensor(&format!("{name}/{at}"));
            let size = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let off = (found - &expected).iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            assert!(off <= 2e-5 * size + noise, "{name} {at}: off by {off} of {size}");
        }
        found.len()
    }
}

fn rates(case: &Value) -> Rates {
    let dropped = case["attention_dropout"].as_f64().unwrap_or(0.0);
    let dropout = Dropout::new(0.0, 1, 2, 0).of_attention(dropped);
    Rates { dropout, smoothing: case["label_smoothing"].as_f64().unwrap_or(0.0) }
}

#[test]
fn losses_and_gradients_are_those_of_torch() {
    let cases = Cases::read("cases.json", "tensors.safetensors");
    let mut compared = 0;
    for (name, case) in cases.each() {
        let network = Network::new(&config(case, &cases.facts["sizes"])).unwrap();
        let numbers = cases.numbers(name, network.layout());
        let batch = batch(case);
        let mut gradients = vec![0.0; numbers.len()];
        let weight = 1.0 / batch.targets.len() as f32;
        let sums = network.learn(&numbers, &mut gradients, weight, &batch, rates(case)).unwrap();
        assert_eq!(sums.nats, network.evaluate(&numbers, &batch).unwrap().nats, "{name}");
        let loss = sums.objective / sums.count as f64;
        compared += cases.compare(name, loss, network.layout(), &gradients, 2e-7);
    }
    assert!(compared > 400, "{compared}");
}

/// A source of two tokens, fewer than P has rows, beside one of seven.
#[test]
fn those_of_encoder_decoders_are_too() {
    let cases = Cases::read("translators.json", "translators.safetensors");
    let sizes = &cases.facts["sizes"];
    let size = |name: &str| sizes[name].as_u64().unwrap() as usize;
    let mut compared = 0;
    for (name, case) in cases.each() {
        let mechanism = match case["attention"].as_str().unwrap() {
            "softmax" => Mechanism::Softmax,
            "linear" => Mechanism::Linear,
            "luna" => Mechanism::Luna { l: size("l"), tied: case["tied"].as_bool().unwrap() },
            other => panic!("{other}"),
        };
        let encoder = EncoderConfig {
            vocab: Some(size("vocab")),
            positions: size("positions"),
            embedding_norm: true,
            pre_norm: case["pre_norm"].as_bool().unwrap(),
            ..EncoderConfig::new(mechanism, size("d"), size("heads"), size("ffn"), size("layers"))
        };
        let l = case["l"].as_u64().map(|l| format!(":l={l}")).unwrap_or_default();
        let spec = format!("{}{l}", case["decoder"].as_str().unwrap()).parse().unwrap();
        let mut decoder = DecoderAttention::build(&spec, &encoder).unwrap();
        decoder.packing = weight(case).into();
        let decoder_layers = size("decoder_layers");
        let network = Translator::new(&TranslatorConfig { encoder, decoder, decoder_layers }).unwrap();
        let numbers = cases.numbers(name, network.layout());
        let [(sources, source_rows), (inputs, rows), (targets, _)] =
            ["sources", "inputs", "targets"].map(|side| side_by_side(&case[side]));
        let pairs = Pairs { sources, source_rows, inputs, rows, targets };
        let mut gradients = vec![0.0; numbers.len()];
        let weight = 1.0 / pairs.targets.len() as f32;
        let sums = network.learn(&numbers, &mut gradients, weight, &pairs, rates(case)).unwrap();
        let loss = sums.objective / sums.count as f64;
        // Rows that were packed from few are much alike: slopes towards queries are small differences of large numbers.
        compared += cases.compare(name, loss, network.layout(), &gradients, 1e-6);
    }
    assert!(compared > 1800, "{compared}");
}
