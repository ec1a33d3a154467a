//! Files of queries, keys and values that are refused, and options that do not fit: one clear line each.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray_npy::WriteNpyExt;
use safetensors::Dtype;

use super::{N, random, refused, write};

#[test]
fn files_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let file = path.to_str().unwrap();
    let spectrum = |more: &[&'static str]| [&["svd-spectrum", "--at=2", "--qkv", file], more].concat();
    let of = |shapes: &[(&'static str, &[usize])], more: &[&'static str], parts: &[&str]| {
        let arrays: Vec<_> = shapes.iter().map(|(name, shape)| (*name, random(name, shape))).collect();
        write(&path, &arrays, Dtype::F32);
        refused(&spectrum(more), 1, parts);
    };
    let (q, k): ((_, &[usize]), (_, &[usize])) = (("q", &[4, N, 6]), ("k", &[2, N, 6]));
    of(&[k], &[], &["'q'", "known: k"]);
    of(&[q], &[], &["'k'", "known: q"]);
    of(&[("Q", &[N, 6]), ("K", &[N, 6])], &[], &["'q'", "known: Q, K"]);
    of(&[q, ("k", &[3, N, 6])], &[], &["array 'k' of ", "[1, 1, 3, 12, 6]", "(1, 1, a divisor of 4, m, 6)"]);
    of(&[q, ("k", &[2, N, 5])], &[], &["array 'k' of ", "[1, 1, 2, 12, 5]", "m, 6), as q has it"]);
    of(&[q, ("k", &[8, N, 6])], &[], &["array 'k' of ", "a divisor of 4"]);
    of(&[("q", &[2, 4, N, 6]), ("k", &[3, 4, N, 6])], &[], &["array 'k' of ", "[3, 1, 4, 12, 6]"]);
    of(
        &[q, k, ("v", &[2, N + 1, 6])],
        &[],
        &["array 'v' of ", "[1, 1, 2, 13, 6]", "(1, 1, 2, 12, d_v), as k has it"],
    );
    of(&[q, k, ("v", &[4, N, 6])], &[], &["array 'v' of ", "[1, 1, 4, 12, 6]"]);
    of(&[("q", &[N]), ("k", &[N])], &[], &["shape [12]", "(n, "]);
    of(&[q, ("k", &[2, 15, 6])], &["--qkv-mask=causal"], &["--qkv-mask: 'causal'", "12 queries and 15 keys"]);
    of(&[q, ("k", &[2, 15, 6])], &["--qkv-mask=window:back=3"], &["--qkv-mask", "12 queries and 15 keys"]);
    of(
        &[q, k],
        &["--qkv-mask=padding:keys=3"],
        &["--qkv-mask: 'padding:keys=3'", "full, causal, window:back=B,ahead=A"],
    );
    of(
        &[q, k],
        &["--qkv-mask=cuasal"],
        &["--qkv-mask: 'cuasal'", "accepted: full, causal, window:back=B,ahead=A"],
    );
    let forms = "full, causal, window:back=B,ahead=A (or one of these), or causal,window:back=B";
    for mask in ["--qkv-mask=window", "--qkv-mask=causal,window:back=3,ahead=2", "--qkv-mask=full,causal"] {
        of(&[q, k], &[mask], &["--qkv-mask: '", forms]);
    }
    of(&[q, k], &["--qkv-scale=0"], &["--qkv-scale: '0'", "a finite number other than 0"]);
    of(&[q, k], &["--qkv-scale=nan"], &["--qkv-scale: 'NaN'", "a finite number"]);
    of(&[q, k], &["--layers=1"], &["--layers: '1'"]);
    of(&[q, k], &["--heads=4"], &["--heads: '4'"]);
    of(&[q, k], &["--axes=layer,head"], &["--axes: 'layer,head'", "1 of layer, batch and head: ", "a.npz'"]);
    let approx = ["approx-error", "--l=4", "--mechanism=linear", "--qkv", file];
    write(&path, &[("q", random("q", q.1)), ("k", random("k", k.1))], Dtype::F32);
    refused(&approx, 1, &["queries, keys and values", "--qkv FILE with a v"]);
    refused(&[&approx[..3], &["--qkv", file, "--substitute=all"]].concat(), 2, &["'--qkv", "'--substitute"]);
    for (name, more) in [("q", &[][..]), ("k", &[]), ("v", &["v"])] {
        let mut arrays = ["q", "k", "v"].map(|name| (name, random(name, &[2, N, 6])));
        let at = ["q", "k", "v"].iter().position(|other| *other == name).unwrap();
        arrays[at].1[[1, 2, 3]] = f64::NAN;
        write(&path, &arrays, Dtype::F32);
        let args = if more.is_empty() { spectrum(&[]) } else { approx.to_vec() };
        refused(&args, 1, &[&format!("array '{name}'"), "head 1", "NaN", "row 2, column 3"]);
    }
}

#[test]
fn files_of_other_kinds_and_options_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut array = Vec::new();
    random("q", &[N, 4]).write_npy(&mut array).unwrap();
    let of =
        |path: &Path, parts: &[&str]| refused(&["svd-spectrum", "--qkv", path.to_str().unwrap()], 1, parts);
    of(&write("a.npy", &array), &["a.npy': one array", ".npz or .safetensors"]);
    of(&write("a.pt", b"x"), &["a.pt': "]);
    of(&write("a.npz", b""), &["a.npz': "]);
    of(&write("a.safetensors", b"not one"), &["a.safetensors': "]);
    of(Path::new("/no/such.npz"), &["'/no/such.npz': No such file"]);
    refused(&["svd-spectrum", "--axes=head", "--synthetic=gaussian"], 2, &["'--axes", "'--synthetic"]);
    refused(&["svd-spectrum", "--axes=head"], 1, &["--axes: 'head'", "--qkv or --attention"]);
    refused(&["svd-spectrum", "--axes=head,head"], 2, &["'head,head'", "each at most once"]);
    refused(&["svd-spectrum", "--axes="], 2, &["'--axes", "axis ''"]);
    refused(&["svd-spectrum", "--axes=heads"], 2, &["'--axes", "axis 'heads'", "layer, batch, head"]);
    refused(&["svd-spectrum", "--qkv-scale=1"], 2, &["required", "--qkv <FILE|DIR>"]);
    refused(&["svd-spectrum", "--qkv-mask=full"], 2, &["required", "--qkv <FILE|DIR>"]);
    for other in
        ["--model=m", "--attention=a.npy", "--synthetic=gaussian", "--tokens=t", "--seq-len=8", "--windows=2"]
    {
        let flag = other.split('=').next().unwrap();
        refused(&["svd-spectrum", "--qkv=a.npz", other], 2, &["'--qkv", &format!("'{flag}")]);
    }
}
