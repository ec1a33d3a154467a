//! Sparse stand-ins beside `NumPy` loops over their definitions (`tests/golden/sparse`): the same keys, the same weights.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::path::Path;

use luna::attention::{Attention, Input, Mask, Origin};
use ndarray::{Array2, ArrayView2, Axis};
use safetensors::SafeTensors;

use super::golden::{Golden, furthest};

/// Every array of `tests/golden/sparse/head.safetensors`, with the mechanism that it is of.
const FILES: &[(&str, &str)] = &[
    ("window_causal", "local:l=10"),
    ("sink-window_full", "sink-window:l=18,sink=4"),
    ("sink-window_causal", "sink-window:l=18,sink=4"),
    ("top-k_full", "top-k:l=9"),
    ("top-k_causal", "top-k:l=9"),
    ("top-k-raw_full", "top-k:l=9,renormalise=false"),
    ("top-k-raw_causal", "top-k:l=9,renormalise=false"),
    ("top-p_full", "top-p:mass=0.8"),
    ("top-p_causal", "top-p:mass=0.8"),
    ("block-top-k_full", "block-top-k:l=24,block=8"),
    ("block-top-k_causal", "block-top-k:l=24,block=8"),
    ("vertical-slash_causal", "vertical-slash:l=20,probe=16"),
    ("sparse-low-rank_full", "sparse-low-rank:l=18,rank=5"),
    ("sparse-low-rank_causal", "sparse-low-rank:l=18,rank=5"),
];

/// Every array of `tests/golden/sparse/causal.safetensors`.
const CAUSAL: &[(&str, &str)] = &[
    ("longformer_causal", "longformer:l=9,global=3"),
    ("strided_causal", "sparse:kind=strided,stride=7"),
    ("fixed_causal", "sparse:kind=fixed,stride=6,c=2"),
    ("bigbird_causal", "bigbird:block=4,window=3,global=2,random=0"),
];

/// Checks matrix, kept keys and output of one head.
fn agrees(
    spec: &str,
    mask: Mask,
    [q, k, v]: [ArrayView2<'_, f32>; 3],
    (matrix, out): (&Array2<f32>, &Array2<f32>),
) {
    let origin = Origin { seed: 0, label: "golden", learned: None };
    let attention = Attention::build(&spec.parse().unwrap(), &origin).unwrap();
    let input = Input::new(q, k, mask);
    let found = attention.matrix(&input).unwrap();
    let off = furthest(&found, matrix);
    assert!(off <= 2e-6, "{spec}, {mask:?}: a weight is off by {off:e}");
    let off = furthest(&attention.forward(&input, v).unwrap(), out);
    assert!(off <= 2e-6, "{spec}, {mask:?}: an output is off by {off:e}");
    // What has no exact zeros keeps no set of keys.
    if attention.kind().stochastic {
        for ((at, found), expected) in found.indexed_iter().zip(matrix) {
            assert_eq!(*found > 0.0, *expected > 0.0, "{spec}, {mask:?}: whether {at:?} is kept");
        }
    }
}

fn mask_of(name: &str) -> Mask {
    if name.ends_with("_causal") { Mask::Causal } else { Mask::Full }
}

#[test]
fn sparse_choices_are_numpy_s() {
    for (file, names) in [("head", FILES), ("causal", CAUSAL)] {
        let golden = Golden::read("sparse", file);
        let [q, k, v] = ["q", "k", "v"].map(|name| golden.matrix(name));
        for (name, spec) in names {
            let expected = (&golden.matrix(name), &golden.matrix(&format!("{name}_out")));
            agrees(spec, mask_of(name), [q.view(), k.view(), v.view()], expected);
        }
    }
}

/// The same of every head, and of whatever other sizes and parameters lie there.
#[test]
#[ignore = "reads data outside the clone: LUNA_SHARED"]
fn real_data_of_sparse_choices() {
    let shared = std::env::var("LUNA_SHARED").expect("LUNA_SHARED names the folder with oracles/");
    let mut seen = 0;
    for entry in std::fs::read_dir(Path::new(&shared).join("oracles/sparse")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let parameters = header.metadata().as_ref().and_then(|data| data.get("parameters"));
        let parameters: serde_json::Value =
            parameters.map_or(serde_json::Value::Null, |text| serde_json::from_str(text).unwrap());
        let mechanism = match name.rsplit_once('_').unwrap().0 {
            "exact" => "softmax",
            "window" => "local",
            other => other.trim_end_matches("-raw"),
        };
        let parameters = parameters.as_object().into_iter().flatten();
        let parameters: Vec<String> = parameters.map(|(key, value)| format!("{key}={value}")).collect();
        let spec = [mechanism, &parameters.join(",")].join(":");
        if mechanism != "softmax" && !FILES.iter().any(|(_, known)| known.starts_with(mechanism)) {
            continue;
        }
        let file = Golden::from(bytes);
        let [q, k, v, matrix] = ["q", "k", "v", "matrix"].map(|name| file.heads(name));
        for head in 0..q.len_of(Axis(0)) {
            let [q, k, v, matrix] = [&q, &k, &v, &matrix].map(|x| x.index_axis(Axis(0), head));
            let matrix = matrix.to_owned();
            let out = if mechanism == "softmax" {
                matrix.dot(&v)
            } else {
                file.heads("out").index_axis(Axis(0), head).to_owned()
            };
            agrees(spec.trim_end_matches(':'), mask_of(&name), [q, k, v], (&matrix, &out));
        }
        seen += 1;
    }
    assert!(seen > 2, "{seen} files");
}
