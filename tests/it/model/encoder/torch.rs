//! `tests/golden/torch_layers`: `PyTorch`'s own figures, both forms of softmax.

use std::collections::BTreeMap;
use std::path::Path;

use luna::model::Activation;
use luna::model::Named;
use luna::network::{Encoder, EncoderConfig, Mechanism};
use ndarray::{Array3, ArrayD, IxDyn, s};
use serde_json::Value;

const BOUND: f32 = 1e-5;

/// `PyTorch`'s parameter of that shape: cosines of 0, 1, 2, ...
fn cosines(shape: &[usize]) -> ArrayD<f32> {
    let count = shape.iter().product::<usize>();
    let numbers = (0..count).map(|i| (i as f64).cos() as f32).collect();
    ArrayD::from_shape_vec(IxDyn(shape), numbers).unwrap()
}

fn weights() -> Named {
    let (weight, bias) = (cosines(&[12, 4]), cosines(&[12]));
    let mut all = BTreeMap::new();
    for (at, name) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
        let rows = at * 4..(at + 1) * 4;
        let weight = weight.slice(s![rows.clone(), ..]).to_owned().into_dyn();
        all.insert(format!("layers.0.self_attn.{name}.weight"), weight);
        all.insert(format!("layers.0.self_attn.{name}.bias"), bias.slice(s![rows]).to_owned().into_dyn());
    }
    for (name, weight, bias) in [
        ("self_attn.out_proj", &[4, 4][..], 4),
        ("fc1", &[16, 4], 16),
        ("fc2", &[4, 16], 4),
        ("self_attn_layer_norm", &[4], 4),
        ("final_layer_norm", &[4], 4),
    ] {
        all.insert(format!("layers.0.{name}.weight"), cosines(weight));
        all.insert(format!("layers.0.{name}.bias"), cosines(&[bias]));
    }
    Named::new(Path::new("cosines"), all)
}

/// (sequence, batch, d) as lists to an array of (batch, sequence, d).
fn array(value: &Value) -> Array3<f32> {
    let list = |value: &Value| value.as_array().unwrap().clone();
    let rows = list(value);
    let shape = (list(&rows[0]).len(), rows.len(), 4);
    Array3::from_shape_fn(shape, |(b, n, c)| value[n][b][c].as_f64().unwrap() as f32)
}

#[test]
fn a_transformer_layer_is_pytorch_s() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/torch_layers/encoder.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(cases.len(), 8);
    for (at, case) in cases.iter().enumerate() {
        let activation = Activation::find(case["activation"].as_str().unwrap()).unwrap();
        let mut x = array(&case["input"]);
        let (b, n, _) = x.dim();
        let padding = |b: usize, n: usize| case["src_key_padding_mask"][b][n].as_u64() == Some(1);
        // Without positions the order of rows means nothing: real rows first, as padding on the right has them.
        let order: Vec<Vec<usize>> = (0..b)
            .map(|b| {
                let mut rows: Vec<usize> = (0..n).collect();
                rows.sort_by_key(|row| padding(b, *row));
                rows
            })
            .collect();
        let real: Vec<usize> = (0..b).map(|b| (0..n).filter(|n| !padding(b, *n)).count()).collect();
        let given = x.clone();
        for (b, order) in order.iter().enumerate() {
            for (n, from) in order.iter().enumerate() {
                x.slice_mut(s![b, n, ..]).assign(&given.slice(s![b, *from, ..]));
                if n >= real[b] {
                    x.slice_mut(s![b, n, ..]).fill(1e3); // what padding holds must not matter
                }
            }
        }
        for mechanism in [Mechanism::Softmax, Mechanism::Materialised] {
            let config = EncoderConfig { activation, ..EncoderConfig::new(mechanism, 4, 2, 16, 1) };
            let encoder = Encoder::load(&weights(), &config).unwrap();
            let found = encoder.forward_vectors(x.clone(), Some(&real)).unwrap().x;
            assert!(found.iter().all(|x| x.is_finite()), "case {at}");
            if case["output"] == "nan" {
                assert_eq!(real, [0], "nothing is real");
                continue;
            }
            let expected = array(&case["output"]);
            for (b, order) in order.iter().enumerate() {
                for (n, from) in order.iter().enumerate().take(real[b]) {
                    for c in 0..4 {
                        let off = (found[[b, n, c]] - expected[[b, *from, c]]).abs();
                        assert!(off <= BOUND, "case {at}, {mechanism:?}: off by {off:e}");
                    }
                }
            }
        }
    }
}
