//! Queries, keys and values from elsewhere (`--qkv`): the figures of the same attention by other ways, and bad files.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod bad;
mod folder;
mod parts;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use luna::model::Model;
use luna::rng::{normal, stream};
use ndarray::{Array2, Array5, ArrayD, ArrayView2, Axis, IxDyn, s};
use ndarray_npy::{NpzWriter, WriteNpyExt};
use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::Value;

use crate::model::{Everything, tiny};

const N: usize = 12;
const SPECTRUM: [&str; 5] = ["svd-spectrum", "--at=2,4", "--aggregate=no", "--null", "none"];

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
    command.args(args).args(["--quiet", "--format", "json"]).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One line and no result.
fn refused(args: &[&str], code: i32, parts: &[&str]) {
    let Output { status, stdout, stderr } = run(args);
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.is_empty()), (Some(code), true), "{args:?}: {said}");
    assert!(code == 2 || said.lines().count() == 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for part in parts {
        assert!(said.contains(part), "{args:?} lacks '{part}': {said}");
    }
}

/// Random numbers of a shape; each of `label` others.
fn random(label: &str, shape: &[usize]) -> ArrayD<f64> {
    let numbers = normal(&mut stream(5, label), 1, shape.iter().product());
    ArrayD::from_shape_vec(IxDyn(shape), numbers.iter().map(|x| f64::from(*x)).collect()).unwrap()
}

/// Arrays rounded to a type, and their bytes.
fn stored(a: &ArrayD<f64>, dtype: Dtype) -> (ArrayD<f64>, Vec<u8>) {
    let mut bytes = Vec::new();
    let rounded = a.mapv(|x| {
        let (value, stored) = match dtype {
            Dtype::F16 => (half::f16::from_f64(x).to_f64(), half::f16::from_f64(x).to_le_bytes().to_vec()),
            Dtype::BF16 => (half::bf16::from_f64(x).to_f64(), half::bf16::from_f64(x).to_le_bytes().to_vec()),
            Dtype::F32 => (f64::from(x as f32), (x as f32).to_le_bytes().to_vec()),
            _ => (x, x.to_le_bytes().to_vec()),
        };
        bytes.extend(stored);
        value
    });
    (rounded, bytes)
}

/// Writes arrays by name; returns what the file holds.
fn write(path: &Path, arrays: &[(&str, ArrayD<f64>)], dtype: Dtype) -> Vec<ArrayD<f64>> {
    let all: Vec<_> = arrays.iter().map(|(_, a)| stored(a, dtype)).collect();
    if path.extension().is_some_and(|extension| extension == "npz") {
        let mut file = NpzWriter::new(fs::File::create(path).unwrap());
        for ((name, _), (a, _)) in arrays.iter().zip(&all) {
            match dtype {
                Dtype::F64 => file.add_array(*name, a).unwrap(),
                Dtype::F32 => file.add_array(*name, &a.mapv(|x| x as f32)).unwrap(),
                other => panic!("{other:?} in an .npz"),
            }
        }
        file.finish().unwrap();
    } else {
        let views = arrays.iter().zip(&all).map(|((name, a), (_, bytes))| {
            (*name, TensorView::new(dtype, a.shape().to_vec(), bytes).unwrap())
        });
        fs::write(path, serialize(views, None).unwrap()).unwrap();
    }
    all.into_iter().map(|(a, _)| a).collect()
}

/// Softmax of `scale q k^T` over the keys that are seen, by its definition.
fn attention(q: ArrayView2<'_, f64>, k: ArrayView2<'_, f64>, scale: f64, sees: Sees) -> Array2<f64> {
    let mut a = q.dot(&k.t()) * scale;
    for ((i, j), x) in a.indexed_iter_mut() {
        *x = if sees(i, j) { x.exp() } else { 0.0 };
    }
    let sums = a.sum_axis(Axis(1)).insert_axis(Axis(1));
    a / sums
}

type Sees = fn(usize, usize) -> bool;

/// Leading dimensions of q and of k, their names, the type and the file, mask and scale.
type Case<'a> = (&'a [usize], &'a [usize], &'a str, Dtype, &'a str, (Sees, Option<&'a str>), Option<f64>);

/// An array with the dimensions (layers, batch, h, n, d).
fn five(a: &ArrayD<f64>, axes: &str) -> Array5<f64> {
    let held: Vec<&str> = axes.split(',').filter(|name| !name.is_empty()).collect();
    let mut a = a.view();
    // Those that it lacks come first, so that the others keep their order.
    let mut names = held.clone();
    for name in ["layer", "batch", "head"] {
        if !held.contains(&name) {
            a = a.insert_axis(Axis(0));
            names.insert(0, name);
        }
    }
    let at = |name: &str| names.iter().position(|other| *other == name).unwrap();
    let order = [at("layer"), at("batch"), at("head"), 3, 4];
    a.permuted_axes(IxDyn(&order)).to_owned().into_dimensionality().unwrap()
}

/// Whether all rows have the same places and the same numbers, up to `tolerance` of each; but for ranks that count what is
/// rounding.
fn same_rows(found: &Value, expected: &Value, tolerance: f64) {
    let (found, expected) = (found["rows"].as_array().unwrap(), expected["rows"].as_array().unwrap());
    assert_eq!(found.len(), expected.len());
    let mut compared = 0;
    for (one, other) in found.iter().zip(expected) {
        for (key, value) in one.as_object().unwrap() {
            match (value.as_f64(), other[key].as_f64()) {
                (Some(_), Some(_)) if tolerance > 0.0 && key.ends_with("numerical_rank") => {}
                (Some(a), Some(b)) => {
                    let off = (a - b).abs();
                    assert!(off <= tolerance * b.abs().max(0.01), "{key}: {a} and {b} in {one} and {other}");
                    compared += 1;
                }
                (None, None) => {
                    assert!(["input", "mask"].contains(&key.as_str()) || value == &other[key], "{key}");
                }
                _ => panic!("{key}: {value} and {}", other[key]),
            }
        }
    }
    assert!(compared > 10 * found.len().min(2), "or this compares nothing");
}

#[test]
fn spectra_are_those_of_the_softmax_of_the_same_queries_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (full, causal): (Sees, Sees) = (|_, _| true, |i, j| j <= i);
    let window: Sees = |i, j| j <= i && i - j <= 3;
    let band: Sees = |i, j| i.abs_diff(j) <= 2;
    let back: Sees = |i, j| i <= j + 4;
    #[rustfmt::skip]
    let cases: [Case<'_>; 9] = [
        (&[], &[], "", Dtype::F64, "a.npz", (full, None), None),
        (&[3], &[3], "head", Dtype::F32, "a.npz", (causal, Some("causal")), None),
        (&[4], &[2], "head", Dtype::F16, "a.safetensors", (full, Some("full")), Some(0.5)),
        (&[2, 4], &[2, 1], "layer,head", Dtype::BF16, "a.safetensors", (window, Some("causal,window:back=3")), None),
        (&[2, 3, 2], &[2, 3, 2], "layer,batch,head", Dtype::F32, "a.safetensors", (band, Some("window:back=2,ahead=2")), None),
        (&[3, 4], &[3, 2], "batch,head", Dtype::F64, "a.safetensors", (causal, Some("causal")), Some(-0.2)),
        (&[2, 3], &[2, 3], "head,layer", Dtype::F32, "a.npz", (full, None), None),
        (&[4, 2, 2], &[2, 2, 2], "head,batch,layer", Dtype::F32, "a.npz", (back, Some("window:back=4")), None),
        (&[3], &[3], "batch", Dtype::F64, "a.npz", (full, None), None),
    ];
    for (leading, groups, axes, dtype, name, (sees, mask), scale) in cases {
        let path = folder.path().join(name);
        let shape = |leading: &[usize], n| [leading, &[n, 6]].concat();
        let m = if mask.is_none() { N + 5 } else { N };
        let held = write(
            &path,
            &[("q", random("q", &shape(leading, N))), ("k", random("k", &shape(groups, m)))],
            dtype,
        );
        let (q, k) = (five(&held[0], axes), five(&held[1], axes));
        let (layers, batch, heads, ..) = q.dim();
        let share = heads / k.dim().2;
        let mut matrices = Array5::zeros((layers, batch, heads, N, m));
        for layer in 0..layers {
            for sample in 0..batch {
                for head in 0..heads {
                    let q = q.slice(s![layer, sample, head, .., ..]);
                    let k = k.slice(s![layer, sample, head / share, .., ..]);
                    let a = attention(q, k, scale.unwrap_or(1.0 / 6.0_f64.sqrt()), sees);
                    matrices.slice_mut(s![layer, sample, head, .., ..]).assign(&a);
                }
            }
        }
        let dump = folder.path().join("a.npy");
        matrices.write_npy(fs::File::create(&dump).unwrap()).unwrap();
        let expected = json(&[&SPECTRUM[..], &["--attention", dump.to_str().unwrap()]].concat());
        let scale = scale.map(|scale| format!("--qkv-scale={scale}"));
        let usual = ["", "head", "layer,head", "layer,batch,head"];
        let mut args = [&SPECTRUM[..], &["--qkv", path.to_str().unwrap()]].concat();
        args.extend(scale.as_deref());
        args.extend(mask.iter().flat_map(|mask| ["--qkv-mask", mask]));
        for named in [usual.contains(&axes), true] {
            // Both with the usual names typed and without.
            let typed = if named && !axes.is_empty() { vec!["--axes", axes] } else { Vec::new() };
            if !typed.is_empty() || usual.contains(&axes) {
                same_rows(&json(&[&args[..], &typed].concat()), &expected, 2e-4);
            }
        }
        // The method that holds no matrix sees the same heads.
        let leading = |args: &[&str]| json(&[args, &["--method", "lanczos", "--top", "3"]].concat());
        let without: Vec<&str> =
            args.iter().copied().filter(|arg| !["--null", "none", "--aggregate=no"].contains(arg)).collect();
        let axes = if axes.is_empty() { vec![] } else { vec!["--axes", axes] };
        let expected = leading(&["svd-spectrum", "--at=2,4", "--attention", dump.to_str().unwrap()]);
        same_rows(&leading(&[&without[..], &axes].concat()), &expected, 2e-3);
    }
}

#[test]
fn axes_of_dumped_matrices() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a.npy"), folder.path().join("b.npy"));
    let mut a = random("a", &[3, 4, N, N]).mapv(f64::exp);
    let sums = a.sum_axis(Axis(3)).insert_axis(Axis(3));
    a /= &sums;
    a.write_npy(fs::File::create(&path).unwrap()).unwrap();
    a.insert_axis(Axis(0)).write_npy(fs::File::create(&other).unwrap()).unwrap();
    let of = |path: &Path, more: &[&str]| {
        json(&[&SPECTRUM[..], &["--attention", path.to_str().unwrap()], more].concat())
    };
    let batch = of(&path, &["--axes", "batch,head"]);
    assert_eq!(batch["rows"], of(&other, &[])["rows"]);
    assert_eq!(batch["stamp"]["shape"], serde_json::json!([1, 3, 4, N, N]));
    let notes = batch["notes"].to_string();
    assert!(notes.contains("3 samples of the file's batch"), "{notes}");
    assert_ne!(batch["rows"], of(&path, &[])["rows"], "layers are no samples");
}

/// The queries, keys and values of a model's heads as a file, and its layers' scale.
fn dumped(model: &Model, ids: &[u32], path: &Path) -> f64 {
    let mut seen = Everything::default();
    model.forward(ids, &mut seen).unwrap();
    let config = model.config();
    let share = config.heads / config.kv_heads;
    let stack = |pick: fn(&luna::model::HeadTap) -> &Array2<f32>, heads: usize, every: usize| {
        let own: Vec<_> =
            seen.0.iter().filter(|tap| tap.head.is_multiple_of(every)).map(|tap| pick(tap).view()).collect();
        let all = ndarray::stack(Axis(0), &own).unwrap().mapv(f64::from);
        let (_, n, d) = all.dim();
        all.into_shape_with_order(IxDyn(&[config.layers, heads, n, d])).unwrap()
    };
    let arrays = [
        ("q", stack(|tap| &tap.q, config.heads, 1)),
        ("k", stack(|tap| &tap.k, config.kv_heads, share)),
        ("v", stack(|tap| &tap.v, config.kv_heads, share)),
    ];
    write(path, &arrays, Dtype::F32);
    f64::from(seen.0[0].scale)
}

/// The heads of a model, by the model and by a file of their queries, keys and values.
#[test]
fn the_heads_of_a_model_are_the_same_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, tokens) = (folder.path().join("heads.npz"), folder.path().join("ids.json"));
    let ids: Vec<u32> = (0..24).map(|i| 3 + i * 7 % 60).collect();
    fs::write(&tokens, serde_json::to_string(&ids).unwrap()).unwrap();
    let error =
        ["approx-error", "--l=4", "--mechanism", "linear,performer,local,luna-causal,svd", "--aggregate=no"];
    let spectrum = ["svd-spectrum", "--at=4", "--aggregate=no", "--null-draws=2"];
    for (name, windows, args) in [
        ("llama-gqa", "causal", &error[..]),
        ("llama-gqa", "causal", &spectrum),
        ("mistral-sliding", "window", &spectrum),
    ] {
        let model = Model::open(&tiny(name)).unwrap();
        let scale = format!("--qkv-scale={}", dumped(&model, &ids, &path));
        let mask = match model.config().window(0) {
            Some(window) => format!("causal,window:back={}", window.back),
            None => "causal".into(),
        };
        assert_eq!(mask.contains("window"), windows == "window", "{name}");
        let folder = tiny(name);
        let input = ["--model", folder.to_str().unwrap(), "--tokens", tokens.to_str().unwrap()];
        let expected = json(&[args, &input, &["--seq-len=24", "--windows=1"]].concat());
        let from_file = ["--qkv", path.to_str().unwrap(), "--qkv-mask", &mask, &scale];
        let found = json(&[args, &from_file].concat());
        same_rows(&found, &expected, 1e-5);
        for (one, other) in found["rows"].as_array().unwrap().iter().zip(expected["rows"].as_array().unwrap())
        {
            assert_eq!(one["mask"], other["mask"], "{name}");
        }
    }
}

/// A window that hides nothing leaves no mechanism out; one that does, those without a form for it.
#[test]
fn a_window_that_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let arrays = ["q", "k", "v"].map(|name| (name, random(name, &[2, N, 4])));
    write(&path, &arrays, Dtype::F32);
    let args = ["approx-error", "--qkv", path.to_str().unwrap(), "--l=4", "--mechanism", "linear,svd"];
    let of = |mask: &str| json(&[&args[..], &["--qkv-mask", mask]].concat());
    same_rows(&of("causal,window:back=11"), &of("causal"), 0.0);
    same_rows(&of("window:back=40,ahead=11"), &of("full"), 0.0);
    refused(&[&args[..], &["--qkv-mask", "causal,window:back=10"]].concat(), 1, &["linear", "window"]);
}

#[test]
fn a_changed_file_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("a.npz"), folder.path().join("run"));
    let arrays =
        |label: &str| ["q", "k", "v"].map(|name| (name, random(&format!("{label} {name}"), &[2, N, 4])));
    for study in [&SPECTRUM[..], &["approx-error", "--l=4", "--mechanism", "linear"]] {
        let out = out.join(study[0]);
        let args =
            [study, &["--qkv", path.to_str().unwrap(), "--out", out.to_str().unwrap(), "--resume"]].concat();
        write(&path, &arrays("one"), Dtype::F32);
        let first = json(&args);
        assert_eq!(json(&args)["rows"], first["rows"]);
        refused(&[&args[..], &["--qkv-scale=0.3"]].concat(), 1, &["another run (scale: "]);
        refused(&[&args[..], &["--qkv-mask=causal"]].concat(), 1, &["another run (mask: "]);
        write(&path, &arrays("other"), Dtype::F32);
        refused(&args, 1, &["another run (qkv_sha256: "]);
    }
}
